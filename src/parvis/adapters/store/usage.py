"""Reports: sums of usage, and single requests."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, func, literal, select, tuple_, union_all

from parvis.adapters.store.database import Room
from parvis.adapters.store.dialect import ExactSum, Negated, Pico
from parvis.adapters.store.identity_tables import api_keys
from parvis.adapters.store.ingest import KEY, SUMS
from parvis.adapters.store.tables import rollups, usage
from parvis.core.errors import BadRequest
from parvis.core.money import Money
from parvis.core.quantities import Quantities, Units
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord
from parvis.domain.metering.totals import DAY_MS, GroupBy, UsagePage, UsageTotal, day_of, day_text

PAGE_MAX = 1000
Tenants = str | tuple[str, ...] | None
_COLUMNS: dict[GroupBy, str] = {
    "tenant": "tenant_id",
    "project": "project_id",
    "user": "owner_id",
    "key": "key_id",
    "model": "model_id",
    "day": "day",
}
_AMOUNTS = frozenset({"billed", "written_off"})


class Usage(Room):
    """`UsageStore` on SQL."""

    async def usage(
        self,
        tenant_id: str | None,
        group_by: tuple[GroupBy, ...] = (),
        since_unix_ms: int | None = None,
        until_unix_ms: int | None = None,
        limit: int | None = None,
    ) -> list[UsageTotal]:
        """See the port."""
        return await self.database.read(_usage, tenant_id, group_by, since_unix_ms, until_unix_ms, limit)

    async def requests(self, tenant_id: str | None, after: str | None = None, limit: int = 100) -> UsagePage:
        """See the port."""
        if not 1 <= limit <= PAGE_MAX:
            raise BadRequest(f"A page has 1 to {PAGE_MAX} requests, not {limit}.", param="limit")
        return await self.database.read(_requests, tenant_id, None if after is None else _read_cursor(after), limit)

    async def request(self, request_id: str) -> UsageRecord | None:
        """See the port."""
        return await self.database.read(_request, request_id)


def rows_as_rollups(*conditions: ColumnElement[bool]) -> Subquery:
    """Requests in the shape of roll-ups, one each."""
    return _rows(*conditions).subquery()


def _rows(*conditions: ColumnElement[bool], taken_away: bool = False) -> Select[Any]:
    sums: list[ColumnElement[int]] = [literal(1).label("requests"), *(usage.c[name] for name in SUMS[1:])]
    if taken_away:
        sums = [(Negated(one) if one.name in _AMOUNTS else -one).label(one.name) for one in sums]
    return select(*(usage.c[name] for name in KEY), *sums).where(*conditions)


def summed(source: Subquery, names: tuple[str, ...]) -> Select[Any]:
    """One row for each group: its columns, then the sums in the order of `SUMS`."""
    groups = [source.c[name] for name in names]
    sums = [_sum_of(source.c[name]).label(name) for name in SUMS]
    grouped = select(*groups, *sums).group_by(*groups).order_by(*groups)
    # Without groups there is one sum, even of nothing; of groups, those of which all was taken away again are none.
    return grouped.having(func.sum(source.c.requests) > 0) if groups else grouped


def _sum_of(column: ColumnElement[int]) -> ColumnElement[int]:
    """Amounts are added exactly, which SQLite leaves to Python: zeros, which most rows write off, are passed over."""
    if column.name not in _AMOUNTS:
        return func.sum(column)
    return func.coalesce(ExactSum(column).filter(column != 0), literal(0, Pico()))


def _usage(
    connection: Connection,
    tenant_id: str | None,
    group_by: tuple[GroupBy, ...],
    since_unix_ms: int | None,
    until_unix_ms: int | None,
    limit: int | None,
) -> list[UsageTotal]:
    asked = grouped_usage(group_by, tenant_id, since_unix_ms, until_unix_ms).limit(limit)
    return [total_of(row, group_by) for row in connection.execute(asked)]


def grouped_usage(
    group_by: tuple[GroupBy, ...], tenants: Tenants, since_unix_ms: int | None, until_unix_ms: int | None
) -> Select[Any]:
    """One row for each group of a report, sorted by group; `total_of` reads it."""
    source = _source(tenants, since_unix_ms, until_unix_ms)
    if {"project", "user"} & set(group_by):
        source = _attributed(source)
    return summed(source, tuple(_COLUMNS[name] for name in group_by))


def _source(tenants: Tenants, since: int | None, until: int | None) -> Subquery:
    """Roll-ups of days, which is fast, and requests themselves where a bound cuts a day: those of its shorter part.

    When that is the part which is not asked for, the whole day is added and these requests are taken away again.
    """
    if since is not None and until is not None and (since >= until or day_of(since) == day_of(until)):
        return rows_as_rollups(*within(usage.c.tenant_id, tenants, usage.c.started_unix_ms, since, until))
    first, last = (None if bound is None else (bound + DAY_MS // 2) // DAY_MS for bound in (since, until))
    whole = within(rollups.c.tenant_id, tenants, rollups.c.day, first, last)
    parts = [select(*(rollups.c[name] for name in (*KEY, *SUMS))).where(*whole)]
    for bound, day, begins in ((since, first, True), (until, last, False)):
        if bound is not None and day is not None and bound != day * DAY_MS:
            span = sorted((bound, day * DAY_MS))
            added = begins == (bound < day * DAY_MS)
            piece = within(usage.c.tenant_id, tenants, usage.c.started_unix_ms, *span)
            parts.append(_rows(*piece, taken_away=not added))
    return union_all(*parts).subquery()


def _attributed(source: Subquery) -> Subquery:
    """With the project and the owner that each key has now."""
    same_key = (api_keys.c.tenant_id == source.c.tenant_id) & (api_keys.c.key_id == source.c.key_id)
    shown = [func.coalesce(api_keys.c[name], "").label(name) for name in ("project_id", "owner_id")]
    return select(*source.c, *shown).select_from(source.outerjoin(api_keys, same_key)).subquery()


def within(
    tenant: ColumnElement[str],
    tenants: Tenants,
    time: ColumnElement[int],
    since: int | None,
    until: int | None,
) -> list[ColumnElement[bool]]:
    """Conditions for rows of these tenants, or of all, in a span; what is None narrows nothing."""
    asked = [
        None if tenants is None else tenant.in_((tenants,) if isinstance(tenants, str) else tenants),
        None if since is None else time >= since,
        None if until is None else time < until,
    ]
    return [condition for condition in asked if condition is not None]


def total_of(row: Row[Any], group_by: tuple[GroupBy, ...]) -> UsageTotal:
    """A row of `grouped_usage`."""
    group = [day_text(value) if name == "day" else value for name, value in zip(group_by, row, strict=False)]
    return totalled((*group, *row[len(group_by) :]), len(group_by))


def totalled(row: Sequence[Any], groups: int) -> UsageTotal:
    """A row of `summed`: as many columns of groups, then the sums."""
    requests, *counts, estimated, billed, written_off = (int(value or 0) for value in row[groups:])
    return UsageTotal(
        tuple(row[:groups]),
        requests,
        TokenCount(*counts[: len(TokenCount._fields)]),
        Money(billed),
        Money(written_off),
        estimated_requests=estimated,
        units=Units(*counts[len(TokenCount._fields) :]),
    )


def _requests(connection: Connection, tenant_id: str | None, after: tuple[int, str] | None, limit: int) -> UsagePage:
    place = tuple_(usage.c.started_unix_ms, usage.c.request_id)
    asked = select(usage).order_by(usage.c.started_unix_ms.desc(), usage.c.request_id.desc()).limit(limit + 1)
    if tenant_id is not None:
        asked = asked.where(usage.c.tenant_id == tenant_id)
    if after is not None:
        asked = asked.where(place < after)
    records = [record_of(row) for row in connection.execute(asked)]
    more = len(records) > limit
    page = tuple(records[:limit])
    return UsagePage(page, _write_cursor(page[-1]) if more else None)


def _request(connection: Connection, request_id: str) -> UsageRecord | None:
    row = connection.execute(select(usage).where(usage.c.request_id == request_id)).one_or_none()
    return None if row is None else record_of(row)


def record_of(row: Row[Any]) -> UsageRecord:
    """The request as it was booked."""
    return UsageRecord(
        Started(
            row.request_id,
            row.organisation_id,
            row.tenant_id,
            row.key_id,
            row.model_id,
            Operation(row.operation),
            row.replica_id,
            row.price_version,
            row.held,
            row.streamed,
            row.started_unix_ms,
            row.project_id,
            row.owner_id,
            row.budgets,
        ),
        Settled(
            row.request_id,
            Outcome(row.outcome),
            TokenCount(row.input, row.cached, row.output, row.reasoning),
            bool(row.estimated),
            row.billed,
            row.written_off,
            row.first_byte_ms,
            row.total_ms,
            row.quarantined,
            quantities_of(row),
        ),
    )


def quantities_of(row: Row[Any]) -> Quantities | None:
    """What a request used beside tokens; None where that is nothing."""
    quantities = Quantities(row.audio_ms, row.documents, row.images)
    return quantities if any(quantities) else None


def _write_cursor(record: UsageRecord) -> str:
    return f"{record.started.started_unix_ms}.{record.started.request_id}"


def _read_cursor(text: str) -> tuple[int, str]:
    unix_ms, dot, request_id = text.partition(".")
    if not dot or not unix_ms.isdecimal() or len(unix_ms) > len(str(2**62)):
        raise BadRequest("This is no cursor of an earlier page.", param="after")
    return int(unix_ms), request_id
