"""Booking requests: their rows, their part of the roll-ups, and the money that they moved."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from parvis.adapters.store.booking import INCOME, WRITE_OFF, batches, book, lease_of
from parvis.adapters.store.identity_tables import tenants
from parvis.adapters.store.tables import rollups, usage
from parvis.core.errors import NotFound
from parvis.core.money import Money
from parvis.domain.billing.transfer import Transfer, TransferKind
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import day_of

SUMS = ("requests", "input", "cached", "output", "reasoning", "estimated", "billed", "written_off")
"""The columns of a roll-up that are sums over its requests."""
KEY = ("tenant_id", "day", "key_id", "model_id")
"""What a roll-up is about."""

_NOTHING = (0,) * len(SUMS)
_OF = tuple(f"of_{name}" for name in KEY)
_GROW = update(rollups).where(*(rollups.c[name] == bindparam(of) for name, of in zip(KEY, _OF, strict=True)))


def ingest(connection: Connection, incarnation: str, records: Sequence[UsageRecord], now: int) -> int:
    """Book those that were never booked; return how many. Raises as `LedgerStore.ingest` does."""
    fresh = _unbooked(connection, records)
    if fresh:
        _demand_tenants(connection, {record.started.tenant_id for record in fresh})
        rows = [_values(record, incarnation) for record in fresh]
        connection.execute(insert(usage), rows)
        _roll_up(connection, rows)
        _book(connection, incarnation, fresh, now)
    return len(fresh)


def _unbooked(connection: Connection, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """The first of each id that the store does not hold."""
    by_id: dict[str, UsageRecord] = {}
    for record in records:
        by_id.setdefault(record.started.request_id, record)
    for some in batches(list(by_id)):
        for known in connection.scalars(select(usage.c.request_id).where(usage.c.request_id.in_(some))):
            del by_id[known]
    return list(by_id.values())


def _demand_tenants(connection: Connection, wanted: set[str]) -> None:
    for some in batches(sorted(wanted)):
        wanted -= set(connection.scalars(select(tenants.c.tenant_id).where(tenants.c.tenant_id.in_(some))))
    if wanted:
        raise NotFound(f"Requests name tenants that do not exist: {', '.join(sorted(wanted))}.")


def _values(record: UsageRecord, incarnation: str) -> dict[str, Any]:
    started, settled = record.started, record.settled
    return {
        "tenant_id": started.tenant_id,
        "request_id": started.request_id,
        "incarnation": incarnation,
        "organisation_id": started.organisation_id,
        "key_id": started.key_id,
        "model_id": started.model_id,
        "operation": started.operation,
        "replica_id": started.replica_id,
        "price_version": started.price_version,
        "held": started.held_pico_euro,
        "streamed": started.streamed,
        "started_unix_ms": started.started_unix_ms,
        "day": day_of(started.started_unix_ms),
        "outcome": settled.outcome,
        **settled.tokens._asdict(),
        "estimated": int(settled.estimated),
        "billed": settled.billed_pico_euro,
        "written_off": settled.written_off_pico_euro,
        "first_byte_ms": settled.first_byte_ms,
        "total_ms": settled.total_ms,
    }


def _roll_up(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Add the rows to their roll-ups."""
    added: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        key = tuple(row[name] for name in KEY)
        added[key] = _add(added.get(key, _NOTHING), [row.get(name, 1) for name in SUMS])
    held = _rollups(connection, sorted(added))
    fresh = [_named(KEY, key) | _named(SUMS, sums) for key, sums in added.items() if key not in held]
    grown = [_named(_OF, key) | _named(SUMS, _add(sums, held[key])) for key, sums in added.items() if key in held]
    if fresh:
        connection.execute(insert(rollups), fresh)
    if grown:
        connection.execute(_GROW, grown)


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


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _book(connection: Connection, incarnation: str, records: list[UsageRecord], now: int) -> None:
    """Lease to revenue for what was billed, write-off to revenue for the rest."""
    moved = []
    leases = {record.started.tenant_id: lease_of(record.started.tenant_id, incarnation) for record in records}
    for started, settled in ((record.started, record.settled) for record in records):
        lease = leases[started.tenant_id].name
        for kind, debit, pico_euro in (
            (TransferKind.SETTLE, lease, settled.billed_pico_euro),
            (TransferKind.WRITE_OFF, WRITE_OFF.name, settled.written_off_pico_euro),
        ):
            if pico_euro:
                moved.append(Transfer(kind, started.request_id, debit, INCOME.name, Money(pico_euro)))
    book(connection, moved, [INCOME, WRITE_OFF, *leases.values()], now)
