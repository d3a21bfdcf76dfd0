"""Parties, the sums of a month, and the documents that were issued."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.dialect import ExactSum
from parvis.adapters.store.identity_tables import tenants
from parvis.adapters.store.statement_tables import parties, statements
from parvis.adapters.store.tables import transfers, usage
from parvis.core.errors import Conflict
from parvis.core.money import ZERO, Money
from parvis.core.quantities import Units
from parvis.core.tokens import TokenCount
from parvis.domain.billing.invoice import InvoiceKind
from parvis.domain.billing.issued import Moved, Refunded, Span, Statement
from parvis.domain.billing.statement import UsageSum
from parvis.domain.billing.transfer import TransferKind, tenant_account, tenant_of_account

_EPOCH = date(1970, 1, 1)
_TOKENS = TokenCount._fields
_COUNTS = (*_TOKENS, *Units._fields)
_KEY = ("tenant_id", "model_id", "price_version")
_COLUMNS = [statements.c[name] for name in Statement._fields]


class Statements(Room):
    """`StatementStore` on SQL."""

    async def put_party(self, organisation_id: str, facts: bytes) -> None:
        """See the port."""
        await self.database.run(_put_party, organisation_id, facts, self._clock.unix_ms())

    async def party(self, organisation_id: str) -> bytes | None:
        """See the port."""
        return await self.database.read(_party, organisation_id)

    async def usage_sums(self, span: Span) -> list[UsageSum]:
        """See the port."""
        return await self.database.read(_usage_sums, span)

    async def moved(self, span: Span) -> list[Moved]:
        """See the port."""
        return await self.database.read(_moved, span)

    async def refunds(self, organisation_id: str, after_booking: int) -> list[Refunded]:
        """See the port."""
        return await self.database.read(_refunds, organisation_id, after_booking)

    async def last_sequence(self, series: str, year: int) -> int:
        """See the port."""
        return await self.database.read(_last_sequence, series, year)

    async def add_statement(self, statement: Statement) -> None:
        """See the port."""
        await self.database.run(_add, statement)

    async def last_statement(self, organisation_id: str, kind: InvoiceKind) -> Statement | None:
        """See the port."""
        return await self.database.read(_last, organisation_id, kind)

    async def statement(self, number: str) -> Statement | None:
        """See the port."""
        return await self.database.read(_one, number)

    async def statements_page(self, organisation_id: str | None, after: str | None, limit: int) -> list[Statement]:
        """See the port."""
        return await self.database.read(_page, organisation_id, after, limit)


def _put_party(connection: Connection, organisation_id: str, facts: bytes, now: int) -> None:
    own = select(func.max(parties.c.version)).where(parties.c.organisation_id == organisation_id)
    version = (connection.scalar(own) or 0) + 1
    connection.execute(
        insert(parties).values(organisation_id=organisation_id, version=version, facts=facts, at_unix_ms=now)
    )


def _party(connection: Connection, organisation_id: str) -> bytes | None:
    own = select(parties.c.facts).where(parties.c.organisation_id == organisation_id)
    return connection.scalar(own.order_by(parties.c.version.desc()).limit(1))


def _parts(span: Span) -> Iterator[ColumnElement[bool]]:
    """The requests of a span in two parts, each of which an index finds: of the time since the last one, and late ones.

    What an earlier release booked has no number of its booking (0) and counts as booked before all else.
    """
    own = usage.c.tenant_id.in_(select(tenants.c.tenant_id).where(tenants.c.organisation_id == span.organisation_id))
    started, booked = usage.c.started_unix_ms, usage.c.booking
    yield and_(own, started >= span.until_before_unix_ms, started < span.until_unix_ms, booked <= span.last)
    if span.until_before_unix_ms:
        yield and_(own, started < span.until_before_unix_ms, booked > span.last_before, booked <= span.last)


def _usage_sums(connection: Connection, span: Span) -> list[UsageSum]:
    """Days are added up to months here: a month is none of SQL that both databases have."""
    found: defaultdict[tuple[str, str, str, int], list[Any]] = defaultdict(lambda: [0, [0] * len(_COUNTS), ZERO, ZERO])
    for part in _parts(span):
        for row in connection.execute(_grouped(part)):
            total = found[row.tenant_id, row.model_id, row.price_version, _month(row.day)]
            total[0] += int(row.requests)
            total[1] = [held + int(getattr(row, name)) for held, name in zip(total[1], _COUNTS, strict=True)]
            total[2] += Money(row.billed)
            total[3] += Money(row.written_off)
    return sorted(
        UsageSum(*key, count, TokenCount(*counts[: len(_TOKENS)]), billed, off, Units(*counts[len(_TOKENS) :]))
        for key, (count, counts, billed, off) in found.items()
    )


def _grouped(part: ColumnElement[bool]) -> Any:
    key = [usage.c[name] for name in (*_KEY, "day")]
    counts = [func.sum(usage.c[name]).label(name) for name in _COUNTS]
    amounts = [ExactSum(usage.c[name]).label(name) for name in ("billed", "written_off")]
    return select(*key, func.count().label("requests"), *counts, *amounts).where(part).group_by(*key)


def _moved(connection: Connection, span: Span) -> list[Moved]:
    found: defaultdict[str, dict[str, Money]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    kinds = (TransferKind.SETTLE, TransferKind.WRITE_OFF)
    same = transfers.c.reference == usage.c.request_id
    for part in _parts(span):
        joined = select(usage.c.tenant_id, transfers.c.kind, ExactSum(transfers.c.amount).label("amount"))
        asked = joined.join_from(usage, transfers, same).where(part, transfers.c.kind.in_(kinds))
        for row in connection.execute(asked.group_by(usage.c.tenant_id, transfers.c.kind)):
            found[row.tenant_id][row.kind] += Money(row.amount)
    return sorted(Moved(tenant, *(of[kind] for kind in kinds)) for tenant, of in found.items())


def _refunds(connection: Connection, organisation_id: str, after_booking: int) -> list[Refunded]:
    own = select(tenants.c.tenant_id).where(tenants.c.organisation_id == organisation_id)
    accounts = [tenant_account(one) for one in connection.scalars(own)]
    refund = (transfers.c.kind == TransferKind.REFUND) & (transfers.c.booking > after_booking)
    asked = select(transfers).where(refund, transfers.c.credit.in_(accounts))
    return [
        Refunded(tenant_of_account(row.credit), row.reference, row.note, Money(row.amount), row.booking)
        for row in connection.execute(asked.order_by(transfers.c.booking, transfers.c.reference))
    ]


def _last_sequence(connection: Connection, series: str, year: int) -> int:
    same = (statements.c.series == series) & (statements.c.year == year)
    return connection.scalar(select(func.max(statements.c.sequence)).where(same)) or 0


def _add(connection: Connection, statement: Statement) -> None:
    following = _last_sequence(connection, statement.series, statement.year) + 1
    if statement.sequence != following:
        raise Conflict(f"The next number of {statement.series}{statement.year} is {following}.")
    period = str(statement.month) if statement.month else statement.number
    same = (statements.c.organisation_id == statement.organisation_id) & (statements.c.period == period)
    if connection.execute(select(statements.c.number).where(same)).first():
        raise Conflict(f"'{statement.organisation_id}' has an invoice of {period} already.")
    connection.execute(insert(statements).values(**statement._asdict(), period=period))


def _last(connection: Connection, organisation_id: str, kind: InvoiceKind) -> Statement | None:
    own = (statements.c.organisation_id == organisation_id) & (statements.c.kind == kind)
    newest = (statements.c.year.desc(), statements.c.sequence.desc())
    return _statement(connection.execute(select(*_COLUMNS).where(own).order_by(*newest).limit(1)).one_or_none())


def _one(connection: Connection, number: str) -> Statement | None:
    return _statement(connection.execute(select(*_COLUMNS).where(statements.c.number == number)).one_or_none())


def _page(connection: Connection, organisation_id: str | None, after: str | None, limit: int) -> list[Statement]:
    asked = select(*_COLUMNS).order_by(statements.c.number).limit(limit)
    if organisation_id is not None:
        asked = asked.where(statements.c.organisation_id == organisation_id)
    if after is not None:
        asked = asked.where(statements.c.number > after)
    return [found for row in connection.execute(asked) if (found := _statement(row))]


def _statement(row: Row[Any] | None) -> Statement | None:
    return None if row is None else Statement._make(row)._replace(kind=InvoiceKind(row.kind))


def _month(day: int) -> int:
    moment = _EPOCH + timedelta(days=day)
    return moment.year * 100 + moment.month
