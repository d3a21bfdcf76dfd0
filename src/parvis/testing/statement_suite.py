"""What every `StatementStore` promises, as functions that take a store, alone and when months are closed on it."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
from typing import NamedTuple

import pytest

from parvis.core.clock import SystemClock
from parvis.core.errors import Conflict
from parvis.core.money import Money
from parvis.domain.billing.invoice import InvoiceKind
from parvis.domain.billing.issued import Moved, Refunded, Span, Statement
from parvis.domain.billing.party import Buyer, Party, Seller
from parvis.domain.metering.totals import DAY_MS
from parvis.domain.quota.budget import month_of
from parvis.flows.closing import Bookkeeper, close_month
from parvis.flows.receipts import Notary
from parvis.flows.statement_file import write_party
from parvis.flows.statement_store import SELLER
from parvis.flows.store import Store
from parvis.testing.receipt_suite import SignedWith
from parvis.testing.store_suite import COST, NOON_UNIX_MS, TOKENS, lent, settle_in, usage_record

PARTY = Party("Somebody", "Street 1", "75002", "Paris", vat_id="FR96552100554")
MONTH = month_of(NOON_UNIX_MS)
RUN, OTHER = "run", "elsewhere"
FAR_UNIX_MS = NOON_UNIX_MS + 400 * DAY_MS


class Furnished(NamedTuple):
    """A store in which `org` and `other` have used something in the month of `NOON_UNIX_MS`."""

    store: Store
    notary: Notary
    books: Bookkeeper

    async def book(self, *numbers: int, tenant_id: str = "unlimited", later_days: int = 0) -> None:
        records = []
        for number in numbers:
            one = usage_record(number, tenant_id, started_unix_ms=NOON_UNIX_MS + later_days * DAY_MS)
            organisation = OTHER if tenant_id == OTHER else "org"
            records.append(one._replace(started=one.started._replace(organisation_id=organisation)))
        await self.store.ingest(RUN, 0, records)
        await self.notary.seal()


async def furnished(house: SignedWith) -> Furnished:
    store, clock = house.store, SystemClock()
    await settle_in(store)
    await store.create_organisation(OTHER, "Other")
    await store.create_tenant(OTHER, OTHER, "Other", credit_unlimited=True)
    for tenant in ("unlimited", OTHER):
        await lent(store, tenant, RUN, Money.euro(1), tenant)
    await store.put_party(SELLER, write_party(Seller(PARTY)))
    for organisation in ("org", OTHER):
        await store.put_party(organisation, write_party(Buyer(PARTY)))
    return Furnished(store, house.notary, Bookkeeper(store, house.notary.signer, clock))


async def what_was_said_last_of_a_party_holds(house: SignedWith) -> None:
    assert await house.store.party(SELLER) is None
    for facts in (b"first", b"second"):
        await house.store.put_party(SELLER, facts)
    await house.store.put_party("org", b"buyer")
    assert [await house.store.party(one) for one in (SELLER, "org", OTHER)] == [b"second", b"buyer", None]


async def sums_are_of_one_organisation_and_of_what_is_on_no_statement(house: SignedWith) -> None:
    made = await furnished(house)
    await made.book(1, 2)
    await made.book(3, tenant_id=OTHER)
    await made.book(4, later_days=40)
    before = await made.store.last_batch()
    assert before is not None
    await made.book(5, 6)
    last = await made.store.last_batch()
    assert last is not None
    until = NOON_UNIX_MS + 30 * DAY_MS
    [first] = await made.store.usage_sums(Span("org", before.last, until))
    assert (first.tenant_id, first.price_version, first.month, first.requests) == ("unlimited", "p1", MONTH, 2)
    assert (first.tokens.output, first.billed) == (2 * TOKENS.output, COST * 2)
    assert await made.store.moved(Span("org", before.last, until)) == [Moved("unlimited", COST * 2, Money(0))]
    after = Span("org", last.last, FAR_UNIX_MS, before.last, until)
    assert [(one.month, one.requests) for one in await made.store.usage_sums(after)] == [
        (MONTH, 2),
        (month_of(NOON_UNIX_MS + 40 * DAY_MS), 1),
    ]
    assert await made.store.moved(after) == [Moved("unlimited", COST * 3, Money(0))]
    assert await made.store.usage_sums(Span("nobody", last.last, FAR_UNIX_MS)) == []


async def what_was_written_off_is_summed_apart(house: SignedWith) -> None:
    made = await furnished(house)
    off = usage_record(1, "unlimited", written_off=Money(5))
    await made.store.ingest(RUN, 0, [off])
    await made.notary.seal()
    last = await made.store.last_batch()
    assert last is not None
    span = Span("org", last.last, FAR_UNIX_MS)
    [one] = await made.store.usage_sums(span)
    assert (one.billed, one.written_off) == (COST - Money(5), Money(5))
    assert await made.store.moved(span) == [Moved("unlimited", COST - Money(5), Money(5))]


async def refunds_are_those_of_an_organisation_since_a_booking(house: SignedWith) -> None:
    made = await furnished(house)
    await made.book(1)
    await made.book(2, tenant_id=OTHER)
    for tenant in ("unlimited", OTHER):
        await made.store.refund(tenant, Money(7), f"for {tenant}", "why")
    [mine] = await made.store.refunds("org", 0)
    assert mine == Refunded("unlimited", "for unlimited", "why", Money(7), mine.booking)
    assert await made.store.refunds("org", mine.booking) == []


async def numbers_follow_one_another_whoever_closes_at_once(house: SignedWith) -> None:
    made = await furnished(house)
    await made.book(1)
    await made.book(2, tenant_id=OTHER)
    await asyncio.gather(*(close_month(made.books, one, MONTH) for one in ("org", OTHER)))
    found = await made.store.statements_page(None, None, 10)
    assert [one.sequence for one in found] == [1, 2]
    assert {one.organisation_id for one in found} == {"org", OTHER}
    assert await made.store.last_sequence("F", found[0].year) == 2
    assert await made.store.last_sequence("A", found[0].year) == 0


async def a_month_is_closed_once(house: SignedWith) -> None:
    made = await furnished(house)
    await made.book(1)
    closed = await asyncio.gather(*(close_month(made.books, "org", MONTH) for _ in range(3)), return_exceptions=True)
    issued = [one for one in closed if isinstance(one, Statement)]
    assert len(issued) == 1
    assert all(isinstance(one, (Statement, Conflict)) for one in closed)
    assert await made.store.statement(issued[0].number) == issued[0]
    assert await made.store.last_statement("org", InvoiceKind.INVOICE) == issued[0]
    assert await made.store.last_statement("org", InvoiceKind.CREDIT_NOTE) is None
    assert await made.store.statement("F2000-000001") is None
    again = issued[0]._replace(number="F9999-000002", sequence=issued[0].sequence + 1)
    with pytest.raises(Conflict, match="already"):
        await made.store.add_statement(again)
    gap = issued[0]._replace(number="F9999-000003", sequence=issued[0].sequence + 2, organisation_id=OTHER)
    with pytest.raises(Conflict, match="next number"):
        await made.store.add_statement(gap)


async def pages_are_by_number(house: SignedWith) -> None:
    made = await furnished(house)
    await made.book(1)
    await made.book(2, tenant_id=OTHER)
    numbers = [(await close_month(made.books, one, MONTH)).number for one in ("org", OTHER)]
    assert [one.number for one in await made.store.statements_page(None, numbers[0], 10)] == numbers[1:]
    assert [one.number for one in await made.store.statements_page(None, None, 1)] == numbers[:1]
    assert [one.number for one in await made.store.statements_page(OTHER, None, 10)] == numbers[1:]


STATEMENT_PROMISES = (
    what_was_said_last_of_a_party_holds,
    sums_are_of_one_organisation_and_of_what_is_on_no_statement,
    what_was_written_off_is_summed_apart,
    refunds_are_those_of_an_organisation_since_a_booking,
    numbers_follow_one_another_whoever_closes_at_once,
    a_month_is_closed_once,
    pages_are_by_number,
)
