"""What a request takes of all that its caller may use, before an engine is asked; and what it gives back in the end.

Nearly always this is arithmetic in memory; where money falls short, `scarcity` goes on.
"""

from parvis.core.clock import Clock
from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost_max, cost_of
from parvis.domain.catalog.model import Model
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.budget import budget_account, month_bounds_ms, month_of
from parvis.domain.quota.limit import Amounts
from parvis.flows.hold import FREE, Hold
from parvis.flows.ports import Purse, Throttle
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Asked, Scarcity

ACCOUNTS_KEPT_MAX = 10_000


class LeasedQuota:
    """The `Quota` of a gateway, which leases all of it from control."""

    def __init__(self, purse: Purse, throttle: Throttle, scarcity: Scarcity, clock: Clock) -> None:
        self._purse = purse
        self._throttle = throttle
        self._scarcity = scarcity
        self._clock = clock
        self._month: int = 0
        self._month_ends_unix_ms: int = 0
        self._accounts: dict[tuple[str, ...], tuple[str, ...]] = {}

    async def hold(
        self,
        prepared: PreparedKey,
        prices: PriceList,
        worst: WorstCase,
        request: InferenceRequest | None = None,
        model: Model | None = None,
    ) -> Hold:
        """See the port."""
        charged = prepared.charged
        accounts = charged if len(charged) == 1 else self._accounts_of(charged)
        amount, clipped_by = cost_max(worst.input_tokens_max, worst.output_tokens_max, prices), ""
        if worst.quantities is not None:
            amount += cost_of(worst.quantities, prices)
        if not self._purse.hold_now(accounts, amount):
            asked = Asked(accounts, prices, worst, prepared.clips, request, model)
            worst, amount, clipped_by = await self._scarcity.hold(asked)
        passage = FREE
        if prepared.subjects:
            entered = False
            try:
                most = Amounts(1, worst.input_tokens_max, worst.output_tokens_max)
                passage = await self._throttle.enter(prepared.subjects, most)
                entered = True
            finally:
                if not entered:  # refused, or the caller gave up
                    self._purse.settle(accounts, amount, ZERO)
        return Hold(accounts, amount, worst, passage, clipped_by)

    def settle(self, hold: Hold, billed: Money, tokens: TokenCount) -> None:
        """See the port. Of rates, a request counts as one whatever came of it."""
        self._purse.settle(hold.accounts, hold.amount, billed)
        if hold.passage is not FREE:
            self._throttle.leave(hold.passage, Amounts(1, tokens.prompt_total, tokens.completion_total))

    def _accounts_of(self, charged: tuple[str, ...]) -> tuple[str, ...]:
        """The tenant's account, and the budgets of this month (of UTC)."""
        now_unix_ms = self._clock.unix_ms()
        if now_unix_ms >= self._month_ends_unix_ms or len(self._accounts) >= ACCOUNTS_KEPT_MAX:
            self._month = month_of(now_unix_ms)
            self._month_ends_unix_ms = month_bounds_ms(self._month)[1]
            self._accounts.clear()
        accounts = self._accounts.get(charged)
        if accounts is None:
            accounts = (charged[0], *[budget_account(subject, self._month) for subject in charged[1:]])
            self._accounts[charged] = accounts
        return accounts
