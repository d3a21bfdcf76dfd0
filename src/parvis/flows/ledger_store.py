"""What stories need to remember of money. The promises of `parvis.flows.store` hold here too."""

from collections.abc import Sequence
from typing import Protocol

from parvis.core.money import Money
from parvis.domain.billing.books import Checked, Unbooked
from parvis.domain.billing.order import Order
from parvis.domain.metering.records import UsageRecord
from parvis.domain.quota.budget import LeaseAnswer, Spending


class OrderStore(Protocol):
    """Credit that tenants have ordered, and corrections. The conformance suite: `parvis.testing.order_suite`."""

    async def credit(self, tenant_id: str, amount: Money, reference: str) -> None:
        """An order that never expires, under its reference: move `amount` from the allowance to the tenant, once.

        Raises NotFound without the tenant, BadRequest unless the amount is above zero, Conflict when the
        reference was used for something else.
        """

    async def add_order(self, order: Order) -> Order:
        """Move its amount from the allowance to its tenant, once; return it as it is now. Raises as `credit` does."""

    async def orders_page(self, tenant_id: str | None, after: str | None, limit: int) -> list[Order]:
        """The next ones after an id, of one tenant or of all, sorted by id, each with what is unspent of it now."""

    async def expire_orders(self, now_unix_ms: int) -> list[Order]:
        """Move what is unspent of orders whose time is over back to the allowance; return them, as they are then.

        What is spent is of the order that expires first. What a gateway holds stays until it comes back; then the next
        call moves it.
        """

    async def refund(self, tenant_id: str, amount: Money, reference: str, note: str) -> None:
        """Move `amount` from the revenue to the tenant, once for each reference.

        Raises NotFound without the tenant, BadRequest unless the amount is above zero, Conflict when the reference was
        used for something else, or when it is more than the tenant was billed and not refunded.
        """


class LedgerStore(OrderStore, Protocol):
    """Money. Each movement is one transfer between two accounts, so all balances sum to zero, always.

    A lease is of an account: of `tenant:T`, or of a budget `budget:YYYYMM:SUBJECT` (`domain.quota.budget`). The
    conformance suites: `parvis.testing.store_suite` and `ledger_suite`.
    """

    async def balance(self, account: str) -> Money:
        """What is on an account of money now; zero for one that never moved."""

    async def lend(
        self, account: str, incarnation: str, need: Money, wanted: Money, ask: str, holders: int = 1
    ) -> LeaseAnswer:
        """Move a share of an account to its lease of this gateway run: at least `need`, up to `wanted`, or nothing.

        `holders` is the number of gateways among which the account is shared: see `grant_size`. Of a tenant with
        unlimited credit, what is missing comes from the allowance first; of a budget without a limit there is always
        enough. The same `ask` again moves nothing and gives the first answer; an answer of zero is not remembered, and
        that of a budget for a day. Leases at the same moment never overrun an account: a tenant's is never negative,
        and of a budget spent and leased together are within the limit whenever something more is leased.

        Raises NotFound without the tenant, BadRequest unless an amount is above zero, Conflict when the run's leases
        have been returned or the `ask` was used for something else.
        """

    async def return_part(self, account: str, incarnation: str, amount: Money, ask: str) -> Money:
        """Give part of a lease back, at most what is in it; return how much. The same `ask` again moves nothing.

        Of a run whose leases have been returned nothing is moved. Raises BadRequest unless the amount is above zero.
        """

    async def return_lease(self, incarnation: str) -> Money:
        """Give all that is left in the leases of this run back and close it; return how much credit that was.

        For a run that has returned its leases, or that is fenced and whose journal was read to its end.
        Closing a run that never asked for anything forbids that it ever does. Again is no error and gives
        zero.
        """

    async def declare_lost(self, incarnation: str, note: str) -> dict[str, Money]:
        """Close a run whose journal nobody can read any more; return what came back, by account.

        What it has spent is not known, and so is billed to nobody. Raises NotFound for a run that never was, Conflict
        for one that is closed.
        """

    async def held_by(self, incarnation: str) -> dict[str, Money]:
        """What a run holds, by account; accounts of which it holds nothing are absent."""

    async def holders_of(self, account: str) -> list[str]:
        """Runs that hold something of an account, sorted."""

    async def open_incarnations(self) -> list[str]:
        """Runs whose leases have not been returned, sorted."""

    async def forget_asks(self) -> None:
        """Let go of asks that nobody sends again."""

    async def ingest(self, incarnation: str, position: int, records: Sequence[UsageRecord]) -> int:
        """Book requests of one gateway run, read from its journal up to `position`; return how many were new.

        Each request is booked once for ever, known by its id, whatever positions it is sent with: its row,
        its part of the roll-ups, what its subjects spent in the month, lease to revenue for what was billed, the
        write-off account to revenue for what was written off. The stored position only moves forward, in the same
        transaction. A request that was held in a month is of that month, though it left a moment into the next.

        What cannot be booked (no lease covers it, no tenant has this id, a constraint forbids it) is set aside with
        the reason, and the rest is booked: see `unbookable`.
        """

    async def position(self, incarnation: str) -> int:
        """The highest position ingested; 0 when there was none."""

    async def unbookable(self, after: str | None = None, limit: int = 100) -> list[Unbooked]:
        """The next ones after an id of the requests that were set aside, sorted by id."""

    async def dismiss(self, request_id: str, note: str) -> None:
        """Somebody has looked into a request that was set aside: it is no difference any more. Raises NotFound."""

    async def spending(self, subjects: Sequence[str], month: int) -> dict[str, Spending]:
        """What each of these subjects has spent in a month (202611), by what is booked."""

    async def check(self) -> list[str]:
        """Add everything up again, on one snapshot; return each difference as a sentence.

        All balances sum to zero; each balance is the sum of its transfers, and none is negative but a world
        account's; each request's bill and write-off are the cost of its tokens at its price version, within
        its hold, and are what was transferred; roll-ups are the sums of their rows, and so is what subjects spent in
        a month; what is leased of a budget is the sum of its leases; a closed run holds nothing; nothing was set
        aside that nobody has looked into. Reads every row: minutes for ten million.
        """

    async def check_new(self, whole_after_ms: int) -> Checked:
        """Check what was booked since the last time, and all balances; everything, when that is so long ago.

        Costs as much as was booked. What it found is kept, and returned: see `last_check`.
        """

    async def last_check(self) -> Checked | None:
        """What the last `check_new` found; None before the first."""
