"""Lists as OpenAI pages them: `after` an id, and the first and last id of what is shown."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import Field

from parvis.api.web.queries import NoQuery
from parvis.api.web.shapes import Json

T = TypeVar("T")
MS_PER_S = 1000


class ListQuery(NoQuery):
    """Which part of a list."""

    after: str | None = Field(default=None, max_length=500)
    limit: int = Field(default=20, ge=1, le=100)


def id_page(items: Iterable[T], id_of: Callable[[T], str], query: ListQuery, *, newest_first: bool = False) -> list[T]:
    """Those of a whole list that come after the cursor, sorted by id, and one more than asked if there is one."""
    ordered = sorted(items, key=id_of, reverse=newest_first)
    after = query.after
    rest = [i for i in ordered if after is None or (id_of(i) < after if newest_first else id_of(i) > after)]
    return rest[: query.limit + 1]


def id_list(shapes: list[Json], limit: int) -> Json:
    """One page of shapes, of which there is one more than the limit when others follow."""
    shown = shapes[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shapes) > limit,
    }


def unix_s(unix_ms: int) -> int:
    """OpenAI's timestamps are whole seconds."""
    return unix_ms // MS_PER_S


def unix_s_or_none(unix_ms: int | None) -> int | None:
    """Of an instant that may never have been."""
    return None if unix_ms is None else unix_s(unix_ms)
