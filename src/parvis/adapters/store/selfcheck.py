"""Adding everything up again. Every difference is a sentence; none means that the books are right."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, select

from parvis.adapters.store.catalogue import price_lists
from parvis.adapters.store.dialect import ExactSum
from parvis.adapters.store.ingest import KEY, SUMS
from parvis.adapters.store.ledger_tables import unbookable
from parvis.adapters.store.selfcheck_budgets import leased_wrong, spent_wrong
from parvis.adapters.store.tables import accounts, incarnations, rollups, transfers, usage
from parvis.adapters.store.usage import quantities_of, rows_as_rollups, summed
from parvis.core.errors import BadRequest
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, price_in_force, whole_cost
from parvis.domain.billing.transfer import TransferKind

ROWS_AT_ONCE = 1000
_OF_REQUESTS = (TransferKind.SETTLE, TransferKind.WRITE_OFF)


def check(connection: Connection) -> list[str]:
    """See `LedgerStore.check`."""
    return [*check_whole(connection, moved(connection, -1))]


def check_whole(connection: Connection, made: Mapping[str, int]) -> Iterator[str]:
    """Everything, when all transfers make this of each account."""
    return chain(
        accounts_wrong(connection, made),
        requests_wrong(connection, -1),
        _rollups_wrong(connection),
        spent_wrong(connection),
        rest_wrong(connection),
    )


def rest_wrong(connection: Connection) -> Iterator[str]:
    """What holds at every moment, and is little to look through."""
    return chain(_closed_runs_wrong(connection), leased_wrong(connection), _set_aside(connection))


def accounts_wrong(connection: Connection, made: Mapping[str, int]) -> Iterator[str]:
    """Balances that are not what all transfers make of them, together or each."""
    held = {row.account: row for row in connection.execute(select(accounts).where(accounts.c.balance != 0))}
    total = sum(row.balance for row in held.values())
    if total:
        yield f"all balances together are {Money(total)}, not zero"
    for name in sorted(held.keys() | made.keys()):
        balance = held[name].balance if name in held else 0
        if balance != made.get(name, 0):
            yield f"account {name}: its balance is {Money(balance)}, its transfers make {Money(made.get(name, 0))}"
        if balance < 0 and not held[name].world:
            yield f"account {name}: it is overdrawn by {Money(-balance)}"


def moved(connection: Connection, after: int) -> Counter[str]:
    """What the transfers of later bookings make of each account."""
    made: Counter[str] = Counter()
    for column, sign in ((transfers.c.debit, -1), (transfers.c.credit, 1)):
        sums = select(column, ExactSum(transfers.c.amount)).where(transfers.c.booking > after).group_by(column)
        for name, amount in connection.execute(sums):
            made[name] += sign * amount
    return made


def requests_wrong(connection: Connection, after: int) -> Iterator[str]:
    """Each request of later bookings against its price and the transfers that name it; and those transfers."""
    lists: dict[str, list[PriceList]] = {}
    for prices in price_lists(connection):
        lists.setdefault(prices.version, []).append(prices)
    settled, lost = transfers.alias("settled"), transfers.alias("lost")
    joined = (
        select(usage, settled.c.amount.label("settled"), lost.c.amount.label("lost"))
        .outerjoin(settled, _names_request(settled, TransferKind.SETTLE))
        .outerjoin(lost, _names_request(lost, TransferKind.WRITE_OFF))
        .where(usage.c.booking > after)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for row in connection.execute(joined):
        yield from (f"request {row.request_id}: {wrong}" for wrong in _wrong(row, lists.get(row.price_version, [])))
    orphans = (
        select(transfers.c.kind, transfers.c.reference)
        .outerjoin(usage, usage.c.request_id == transfers.c.reference)
        .where(transfers.c.booking > after, transfers.c.kind.in_(_OF_REQUESTS), usage.c.request_id.is_(None))
    )
    for row in connection.execute(orphans):
        yield f"request {row.reference}: a transfer ({row.kind}) names it, and it was never booked"


def _names_request(moved: FromClause, kind: TransferKind) -> ColumnElement[bool]:
    return and_(moved.c.kind == kind, moved.c.reference == usage.c.request_id)


def _wrong(row: Row[Any], lists: list[PriceList]) -> Iterator[str]:
    due = row.billed + row.written_off
    prices = price_in_force(lists, row.model_id, row.started_unix_ms)
    if prices is None:
        yield f"there are no prices '{row.price_version}' for model '{row.model_id}' at its time"
    elif due != _due(row, prices):
        yield f"billed and written off are {Money(due)} together, which its tokens do not cost"
    if row.billed > row.held:
        yield f"billed {Money(row.billed)}, of which only {Money(row.held)} was held"
    if row.billed != (row.settled or 0):
        yield f"billed {Money(row.billed)}, transferred {Money(row.settled or 0)}"
    if row.written_off != (row.lost or 0):
        yield f"written off {Money(row.written_off)}, transferred {Money(row.lost or 0)}"


def _due(row: Row[Any], prices: PriceList) -> int | None:
    """What it costs; None for what the list does not sell."""
    tokens = TokenCount(row.input, row.cached, row.output, row.reasoning)
    try:
        return whole_cost(tokens, quantities_of(row), prices).pico_euro
    except BadRequest:
        return None


def _rollups_wrong(connection: Connection) -> Iterator[str]:
    held = _sums(connection, select(*(rollups.c[name] for name in (*KEY, *SUMS))))
    made = _sums(connection, summed(rows_as_rollups(), KEY))
    for key in sorted(held.keys() | made.keys()):
        if held.get(key) != made.get(key):
            words = ", ".join(f"{name}={part}" for name, part in zip(KEY, key, strict=True))
            stands, should = _words(held.get(key)), _words(made.get(key))
            yield f"roll-up {words}: it holds {stands}, its requests make {should}"


def _sums(connection: Connection, asked: Select[Any]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    rows = connection.execute(asked)
    return {tuple(row[: len(KEY)]): tuple(int(value) for value in row[len(KEY) :]) for row in rows}


def _words(sums: tuple[int, ...] | None) -> str:
    return "nothing" if sums is None else ", ".join(f"{name} {value}" for name, value in zip(SUMS, sums, strict=True))


def _closed_runs_wrong(connection: Connection) -> Iterator[str]:
    closed = incarnations.c.returned_unix_ms.is_not(None)
    held = select(accounts.c.account, accounts.c.balance).join(
        incarnations, incarnations.c.incarnation == accounts.c.incarnation
    )
    for row in connection.execute(held.where(closed, accounts.c.balance != 0).order_by(accounts.c.account)):
        yield f"account {row.account}: its run has ended, and it still holds {Money(row.balance)}"


def _set_aside(connection: Connection) -> Iterator[str]:
    aside = select(unbookable).where(unbookable.c.note == "").order_by(unbookable.c.request_id).limit(ROWS_AT_ONCE)
    for row in connection.execute(aside):
        yield f"request {row.request_id}: set aside, of run {row.incarnation}: {row.reason}"
