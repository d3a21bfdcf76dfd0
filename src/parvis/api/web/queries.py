"""What the lists and reports of both listeners can be asked for. An unknown name is refused."""

from pydantic import BaseModel, ConfigDict, Field

from parvis.api.web.instants import read_instant
from parvis.api.web.shapes import PAGE_MAX
from parvis.core.errors import BadRequest
from parvis.domain.metering.totals import GroupBy

OWN_GROUPS: tuple[GroupBy, ...] = ("project", "user", "tag", "key", "model", "day")
"""What usage of one tenant can be split by."""
ALL_GROUPS: tuple[GroupBy, ...] = ("tenant", *OWN_GROUPS)
_GROUPS: dict[str, GroupBy] = {name: name for name in ALL_GROUPS}


class NoQuery(BaseModel):
    """Of a route that can be asked for nothing."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(NoQuery):
    """Which part of a list."""

    after: str | None = Field(default=None, max_length=500)
    limit: int = Field(default=100, ge=1, le=PAGE_MAX)


class SpanQuery(NoQuery):
    """Which usage, and how it is split: `group_by=key,model,day`.

    A key with two tags counts in both groups of `tag`, and once in the total.
    """

    group_by: str = ""
    since: str | None = None
    until: str | None = None

    def groups(self, *, allowed: tuple[GroupBy, ...]) -> tuple[GroupBy, ...]:
        """Raises BadRequest for a name that is unknown or said twice."""
        names = [name.strip() for name in self.group_by.split(",") if name.strip()]
        known = [_GROUPS[name] for name in names if name in _GROUPS and _GROUPS[name] in allowed]
        if len(known) != len(names) or len(set(known)) != len(known):
            raise BadRequest(f"'group_by' takes each of {', '.join(allowed)} at most once.", param="group_by")
        return tuple(known)

    @property
    def span_unix_ms(self) -> tuple[int | None, int | None]:
        """Raises BadRequest for what is no instant."""
        return self.since_unix_ms(), self.until_unix_ms()

    def since_unix_ms(self) -> int | None:
        return read_instant(self.since, "since")

    def until_unix_ms(self) -> int | None:
        return read_instant(self.until, "until")
