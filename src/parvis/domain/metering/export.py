"""Usage and requests as tables for other programs: their columns, and a line for each."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from parvis.core.quantities import Quantities, Units
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsageTotal

Cell = str | int | datetime
Line = tuple[Cell, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What stands in a column."""

    TEXT = "text"
    COUNT = "count"
    """A whole number below 2^63."""
    PICO_EURO = "pico-euro"
    """A whole number of up to 38 digits."""
    INSTANT = "instant"
    """To the millisecond, in UTC."""


class Column(NamedTuple):
    """One column. Units stand last in its name."""

    name: str
    kind: Kind


_TOKENS = tuple(Column(f"{name}_tokens", Kind.COUNT) for name in ("input", "cached", "output", "reasoning"))
_AMOUNTS = tuple(Column(f"{name}_pico_euro", Kind.PICO_EURO) for name in ("billed", "written_off"))
_SUMS = (Column("requests", Kind.COUNT), *_TOKENS, *_AMOUNTS, Column("estimated_requests", Kind.COUNT))
_UNITS = tuple(Column(name, Kind.COUNT) for name in Units._fields)
_QUANTITIES = tuple(Column(name, Kind.COUNT) for name in Quantities._fields)
_NOTHING = Quantities()
REQUEST_COLUMNS = (
    Column("request_id", Kind.TEXT),
    Column("started_at", Kind.INSTANT),
    *(Column(name, Kind.TEXT) for name in ("tenant_id", "project_id", "user_id", "key_id", "model", "operation")),
    Column("outcome", Kind.TEXT),
    *_TOKENS,
    Column("price_version", Kind.TEXT),
    *_AMOUNTS,
    *(Column(name, Kind.COUNT) for name in ("estimated", "streamed", "first_byte_ms", "total_ms")),
    *_QUANTITIES,
)
"""`estimated` and `streamed` are 0 or 1. Project and user are those that the key had then."""


def usage_columns(group_by: tuple[GroupBy, ...]) -> tuple[Column, ...]:
    """Those of a usage report: what it is split by, then the sums."""
    return (*(Column(name, Kind.TEXT) for name in group_by), *_SUMS, *_UNITS)


def usage_line(total: UsageTotal) -> Line:
    """In the order of `usage_columns`."""
    amounts = total.billed.pico_euro, total.written_off.pico_euro
    return (*total.group, total.requests, *total.tokens, *amounts, total.estimated_requests, *total.units)


def request_line(record: UsageRecord) -> Line:
    """In the order of `REQUEST_COLUMNS`."""
    started, settled = record.started, record.settled
    return (
        started.request_id,
        _EPOCH + timedelta(milliseconds=started.started_unix_ms),
        started.tenant_id,
        started.project_id,
        started.owner_id,
        started.key_id,
        started.model_id,
        started.operation,
        settled.outcome,
        *settled.tokens,
        started.price_version,
        settled.billed_pico_euro,
        settled.written_off_pico_euro,
        int(settled.estimated),
        int(started.streamed),
        settled.first_byte_ms,
        settled.total_ms,
        *(settled.quantities or _NOTHING),
    )
