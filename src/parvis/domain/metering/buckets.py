"""Usage over time: cut into buckets of one width, split by what is asked, narrowed to what is asked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from parvis.domain.metering.records import Operation
from parvis.domain.metering.totals import DAY_MS, UsageTotal

Split = Literal["project", "user", "key", "model"]
"""What a bucket can be split by. A key's project and user are those that it has now."""

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


class Width(StrEnum):
    """How wide a bucket is. The first of each starts with 1970 in UTC, so that a day is a day of UTC."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def ms(self) -> int:
        return _WIDTHS_MS[self]


_WIDTHS_MS = {Width.MINUTE: _MINUTE_MS, Width.HOUR: _HOUR_MS, Width.DAY: DAY_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """Requests started in [since, until) of these tenants. Of each other list, None narrows nothing.

    Fast for days without `operations`, because roll-ups answer it; else every request of the span is read.
    """

    tenant_ids: tuple[str, ...]
    since_unix_ms: int
    until_unix_ms: int
    width: Width = Width.DAY
    split_by: tuple[Split, ...] = ()
    operations: tuple[Operation, ...] | None = None
    key_ids: tuple[str, ...] | None = None
    model_ids: tuple[str, ...] | None = None
    project_ids: tuple[str, ...] | None = None
    user_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was used in one span: a total for each group, sorted. `group` is empty where a key has none."""

    start_unix_ms: int
    totals: tuple[UsageTotal, ...] = ()


def bucket_start(unix_ms: int, width: Width) -> int:
    """When the bucket begins in which an instant lies."""
    return unix_ms // width.ms * width.ms
