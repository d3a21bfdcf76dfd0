"""What reports over time can be asked for, and how their pages of buckets look."""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from parvis.api.console.organization.lists import MS_PER_S, unix_s
from parvis.api.web.queries import NoQuery
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest
from parvis.domain.metering.buckets import Split, Width
from parvis.domain.metering.totals import UsageTotal
from parvis.flows.usage_over_time import BucketPage

UNIX_S_MAX = 253_402_300_799
"""The last second of the year 9999."""
_COUNTS: dict[Width, tuple[int, int]] = {Width.DAY: (7, 31), Width.HOUR: (24, 168), Width.MINUTE: (60, 1440)}
"""Buckets of a page: how many when nothing is said, and how many at most."""
_CURSOR = "page_"

Ids = Annotated[list[str] | None, Field(max_length=100)]
_SPLITS: dict[str, Split] = {
    "project_id": "project",
    "user_id": "user",
    "api_key_id": "key",
    "model": "model",
    "line_item": "model",
}
Unix = Annotated[int, Field(ge=0, le=UNIX_S_MAX)]


class BucketQuery(NoQuery):
    """Which span of time, in Unix seconds. A bound inside a bucket stands for the whole bucket."""

    start_time: Unix
    end_time: Unix | None = None
    page: str | None = Field(default=None, max_length=100)
    project_ids: Ids = Field(default=None, alias="project_ids[]")
    api_key_ids: Ids = Field(default=None, alias="api_key_ids[]")

    def span_ms(self, now_unix_ms: int) -> tuple[int, int]:
        """What this page is about: [since, until). Raises BadRequest for a span that holds nothing."""
        since = self.start_time * MS_PER_S
        until = now_unix_ms + 1 if self.end_time is None else self.end_time * MS_PER_S
        if until <= since:
            raise BadRequest("'end_time' must be later than 'start_time'.", param="end_time")
        return (since if self.page is None else self._page_start_ms(self.page, until)), until

    def _page_start_ms(self, page: str, until_unix_ms: int) -> int:
        text = page.removeprefix(_CURSOR)
        if text == page or not text.isdecimal() or not self.start_time <= int(text) < until_unix_ms / MS_PER_S:
            raise BadRequest("'page' must be the 'next_page' of an earlier answer to the same question.", param="page")
        return int(text) * MS_PER_S


class WidthQuery(BucketQuery):
    """Which usage, in buckets of which width."""

    bucket_width: Width = Width.DAY
    limit: int | None = Field(default=None, ge=1)
    models: Ids = Field(default=None, alias="models[]")
    user_ids: Ids = Field(default=None, alias="user_ids[]")

    def count(self) -> int:
        """How many buckets a page has. Raises BadRequest."""
        usual, most = _COUNTS[self.bucket_width]
        if self.limit is not None and self.limit > most:
            raise BadRequest(f"'limit' is at most {most} for buckets of '{self.bucket_width}'.", param="limit")
        return self.limit or usual


def splits(group_by: Sequence[str]) -> tuple[Split, ...]:
    """By what a bucket is split; a name that is said twice counts once."""
    return tuple(dict.fromkeys(_SPLITS[name] for name in group_by))


def grouped(total: UsageTotal, group_by: Sequence[str], names: Sequence[str]) -> Json:
    """A field for each name that the answer has: its value where it was grouped by and is known, else null."""
    values = dict(zip(splits(group_by), total.group, strict=True))
    return {name: (values[_SPLITS[name]] or None) if name in group_by else None for name in names}


def bucket_pages(page: BucketPage, width: Width, shape: Callable[[UsageTotal], Json]) -> Json:
    """`{"object": "page", "data": [{"object": "bucket", ...}]}`."""
    following = page.next_unix_ms
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": unix_s(bucket.start_unix_ms),
                "end_time": unix_s(bucket.start_unix_ms + width.ms),
                "results": [shape(total) for total in bucket.totals if total.requests],
            }
            for bucket in page.buckets
        ],
        "has_more": following is not None,
        "next_page": None if following is None else f"{_CURSOR}{unix_s(following)}",
    }
