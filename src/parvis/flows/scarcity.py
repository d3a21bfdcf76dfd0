"""Where money falls short: the prompt is counted, the answer is shortened to what is left, or it is said why not."""

from typing import NamedTuple

from parvis.core.errors import QuotaExhausted
from parvis.core.money import Money
from parvis.domain.billing.price import PriceList, cost_max, whole_max
from parvis.domain.catalog.model import Model
from parvis.domain.quota.admission import WorstCase, counted, shortened
from parvis.domain.quota.budget import budget_of
from parvis.domain.quota.explanation import AccountState, why_exhausted
from parvis.flows.ports import PromptCounter, Purse, Shortage
from parvis.flows.prepared import LimitsOf
from parvis.flows.request import InferenceRequest

CLIPS_MAX = 8
"""So often an answer is shortened while others take from the same accounts; then it is refused."""
BYTES_A_TOKEN_MAX = 32
"""A prompt of which not even a token for so many bytes could be paid is not worth counting."""


class Asked(NamedTuple):
    """A request whose worst case is more than what is at hand."""

    accounts: tuple[str, ...]
    prices: PriceList
    worst: WorstCase
    clips: bool
    """Whether its tenant wants answers shortened."""
    request: InferenceRequest | None
    model: Model | None


class Reserved(NamedTuple):
    """What was held for it in the end."""

    worst: WorstCase
    amount: Money
    clipped_by: str


class Scarcity:
    """Tries what can be tried. Nothing is held when it raises."""

    def __init__(self, purse: Purse, limits: LimitsOf, counter: PromptCounter) -> None:
        self._purse = purse
        self._limits = limits
        self._counter = counter

    async def hold(self, asked: Asked) -> Reserved:
        """Hold as much as there is. Raises QuotaExhausted, which explains itself; Unavailable."""
        worst, amount = asked.worst, most(asked.worst, asked.prices)
        shortage = await self._purse.hold(asked.accounts, amount)
        if shortage is not None and (exact := await self._count(asked, shortage)) is not None:
            worst, amount = exact, most(exact, asked.prices)
            shortage = await self._purse.hold(asked.accounts, amount)
        if shortage is None:
            return Reserved(worst, amount, "")
        reserved = await self._clip(asked, worst, shortage) if asked.clips else shortage
        if isinstance(reserved, Reserved):
            return reserved
        raise self._exhausted(reserved, amount)

    async def _clip(self, asked: Asked, worst: WorstCase, shortage: Shortage) -> Reserved | Shortage:
        for _ in range(CLIPS_MAX):
            shorter = shortened(worst, affordable_output(shortage.free, worst.input_tokens_max, asked.prices))
            if shorter is None:
                return shortage
            amount, scarcest = most(shorter, asked.prices), shortage.account
            again = await self._purse.hold(asked.accounts, amount)
            if again is None:
                return Reserved(shorter, amount, scarcest)
            shortage = again
        return shortage

    async def _count(self, asked: Asked, shortage: Shortage) -> WorstCase | None:
        """The worst case with its prompt counted, where that may help."""
        if asked.request is None or asked.model is None:
            return None
        least = asked.worst.input_tokens_max // BYTES_A_TOKEN_MAX, 1 if asked.clips else asked.worst.output_tokens_max
        if cost_max(*least, asked.prices) > shortage.free:
            return None
        tokens = await self._counter.count_prompt(asked.request, asked.model)
        return None if tokens is None else counted(asked.worst, tokens)

    def _exhausted(self, shortage: Shortage, needed: Money) -> QuotaExhausted:
        budget = budget_of(shortage.account)
        limits = None if budget is None else self._limits(budget[0])
        monthly = None if limits is None else limits.monthly
        state = AccountState(needed, shortage.free, shortage.held)
        return QuotaExhausted(why_exhausted(shortage.account, state, monthly))


def most(worst: WorstCase, prices: PriceList) -> Money:
    """The most that a request can cost."""
    return whole_max(worst.input_tokens_max, worst.output_tokens_max, worst.quantities, prices)


def affordable_output(left: Money, input_tokens_max: int, prices: PriceList) -> int:
    """How many tokens of output can be paid beside such a prompt."""
    rest = left - cost_max(input_tokens_max, 0, prices)
    each = cost_max(0, 1, prices)
    return rest.pico_euro // each.pico_euro if each.pico_euro else 0
