"""Booking requests: their rows, their part of the roll-ups and of budgets, and the money that they moved."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.booking import INCOME, WRITE_OFF, batches, book, lease_of, next_booking
from parvis.adapters.store.budgets import spend
from parvis.adapters.store.bulk import append, replace
from parvis.adapters.store.dialect import Verdict, verdict
from parvis.adapters.store.identity_tables import tenants
from parvis.adapters.store.ledger_tables import unbookable
from parvis.adapters.store.tables import rollups, usage
from parvis.core.errors import Conflict, Failure, NotFound
from parvis.core.money import Money
from parvis.core.quantities import Units, units_of
from parvis.domain.billing.transfer import Transfer, TransferKind
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import day_of
from parvis.domain.quota.budget import budget_of, month_bounds_ms

SUMS = ("requests", "input", "cached", "output", "reasoning", *Units._fields, "estimated", "billed", "written_off")
"""The columns of a roll-up that are sums over its requests."""
KEY = ("tenant_id", "day", "key_id", "model_id")
"""What a roll-up is about."""

_USAGE = (
    *("tenant_id", "request_id", "incarnation", "organisation_id", "key_id", "model_id", "operation", "replica_id"),
    *("price_version", "held", "streamed", "started_unix_ms", "day", "outcome"),
    *("input", "cached", "output", "reasoning", "estimated", "billed", "written_off", "first_byte_ms", "total_ms"),
    *("project_id", "owner_id", "budgets", "quarantined", "booking"),
    *("audio_ms", *Units._fields),
)
_NOTHING = (0,) * len(SUMS)
_AMOUNTS = 2
"""The last of the sums, which are money."""


def ingest(connection: Connection, incarnation: str, records: Sequence[UsageRecord], now: int) -> int:
    """Book those that were never booked; return how many. What cannot be booked is set aside."""
    fresh = [_in_its_month(record) for record in _unbooked(connection, records)]
    if not fresh:
        return 0
    try:
        with connection.begin_nested():
            _book_all(connection, incarnation, fresh, now)
    except (Conflict, NotFound, DBAPIError) as error:
        _refusal(error)
        return sum(_book_one(connection, incarnation, record, now) for record in fresh)
    return len(fresh)


def _book_one(connection: Connection, incarnation: str, record: UsageRecord, now: int) -> bool:
    """Whether it was booked; otherwise it was set aside."""
    try:
        with connection.begin_nested():
            _book_all(connection, incarnation, [record], now)
    except (Conflict, NotFound, DBAPIError) as error:
        aside = (
            record.started.request_id,
            incarnation,
            record.started.tenant_id,
            msgspec.json.encode(record).decode(),
            str(_refusal(error)),
            now,
            "",
        )
        append(connection, unbookable, [column.name for column in unbookable.columns], [aside])
        return False
    return True


def _refusal(error: Failure | DBAPIError) -> Failure:
    """What the books have against it. Raises what is wrong with the database, not with the request."""
    if not isinstance(error, DBAPIError):
        return error
    if verdict(error) is not Verdict.CLASH:
        raise error
    return Conflict("A constraint of the database forbids it.")


def _book_all(connection: Connection, incarnation: str, fresh: Sequence[UsageRecord], now: int) -> None:
    """Raises Conflict when a lease does not cover what was billed, NotFound without the tenant."""
    _demand_tenants(connection, {record.started.tenant_id for record in fresh})
    number = next_booking(connection)
    spend(connection, incarnation, fresh)
    _roll_up(connection, fresh)
    append(connection, usage, _USAGE, [_values(record, incarnation, number) for record in fresh])
    _move(connection, incarnation, fresh, now, number)


def _unbooked(connection: Connection, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """The first of each id that the store does not hold."""
    by_id: dict[str, UsageRecord] = {}
    for record in records:
        by_id.setdefault(record.started.request_id, record)
    for table in (usage, unbookable):
        for some in batches(list(by_id)):
            for known in connection.scalars(select(table.c.request_id).where(table.c.request_id.in_(some))):
                by_id.pop(known, None)
    return list(by_id.values())


def _in_its_month(record: UsageRecord) -> UsageRecord:
    """A request that was held in a month is of that month, though it left for its engine a moment into the next."""
    started = record.started
    held_in = budget_of(started.budgets[0]) if started.budgets else None
    if held_in is None or started.started_unix_ms <= (last := _last_ms(held_in[1])):
        return record
    return record._replace(started=started._replace(started_unix_ms=last))


@lru_cache(maxsize=8)
def _last_ms(month: int) -> int:
    return month_bounds_ms(month)[1] - 1


def _demand_tenants(connection: Connection, wanted: set[str]) -> None:
    for some in batches(sorted(wanted)):
        wanted -= set(connection.scalars(select(tenants.c.tenant_id).where(tenants.c.tenant_id.in_(some))))
    if wanted:
        raise NotFound(f"Requests name tenants that do not exist: {', '.join(sorted(wanted))}.")


def _values(record: UsageRecord, incarnation: str, number: int) -> tuple[Any, ...]:
    """In the order of `_USAGE`."""
    started, settled = record
    return (
        started.tenant_id,
        started.request_id,
        incarnation,
        started.organisation_id,
        started.key_id,
        started.model_id,
        started.operation.value,
        started.replica_id,
        started.price_version,
        str(started.held_pico_euro),
        started.streamed,
        started.started_unix_ms,
        day_of(started.started_unix_ms),
        settled.outcome.value,
        *settled.tokens,
        int(settled.estimated),
        str(settled.billed_pico_euro),
        str(settled.written_off_pico_euro),
        settled.first_byte_ms,
        settled.total_ms,
        started.project_id,
        started.owner_id,
        _words(started.budgets),
        settled.quarantined,
        number,
        0 if settled.quantities is None else settled.quantities.audio_ms,
        *units_of(settled.quantities),
    )


@lru_cache(maxsize=10_000)
def _words(budgets: tuple[str, ...]) -> str:
    """As `columns.Words` are stored."""
    return msgspec.json.encode(budgets).decode()


def _roll_up(connection: Connection, records: Sequence[UsageRecord]) -> None:
    """Add the requests to their roll-ups."""
    added: dict[tuple[Any, ...], list[int]] = {}
    for started, settled in records:
        key = (started.tenant_id, day_of(started.started_unix_ms), started.key_id, started.model_id)
        amounts, units = (settled.billed_pico_euro, settled.written_off_pico_euro), units_of(settled.quantities)
        added[key] = _add(added.get(key, _NOTHING), (1, *settled.tokens, *units, int(settled.estimated), *amounts))
    held = _rollups(connection, sorted(added))
    grown = ((*key, *_add(sums, held.get(key, _NOTHING))) for key, sums in sorted(added.items()))
    replace(connection, rollups, KEY, SUMS, [(*row[:-_AMOUNTS], *map(str, row[-_AMOUNTS:])) for row in grown])


def _rollups(connection: Connection, keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Sequence[int]]:
    """The sums so far of those that exist."""
    found: dict[tuple[Any, ...], Sequence[int]] = {}
    columns = [rollups.c[name] for name in (*KEY, *SUMS)]
    for some in batches(keys):
        for row in connection.execute(select(*columns).where(tuple_(*columns[: len(KEY)]).in_(some))):
            found[tuple(row[: len(KEY)])] = row[len(KEY) :]
    return found


def _add(some: Sequence[int], more: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(some, more, strict=True)]


def _move(connection: Connection, incarnation: str, records: Sequence[UsageRecord], now: int, number: int) -> None:
    """Lease to revenue for what was billed, write-off to revenue for the rest."""
    moved = []
    leases = {record.started.tenant_id: lease_of(record.started.tenant_id, incarnation) for record in records}
    for started, settled in records:
        lease = leases[started.tenant_id].name
        for kind, debit, pico_euro in (
            (TransferKind.SETTLE, lease, settled.billed_pico_euro),
            (TransferKind.WRITE_OFF, WRITE_OFF.name, settled.written_off_pico_euro),
        ):
            if pico_euro:
                moved.append(Transfer(kind, started.request_id, debit, INCOME.name, Money(pico_euro)))
    book(connection, moved, [INCOME, WRITE_OFF, *leases.values()], now, number)
