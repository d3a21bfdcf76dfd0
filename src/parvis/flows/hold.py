"""What is reserved for a request while it runs. Made for each, so these are plain classes: cheap where compiled."""

from typing import NamedTuple

from parvis.core.money import Money
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.explanation import which_account
from parvis.domain.quota.limit import NO_AMOUNTS, Amounts


class RateState(NamedTuple):
    """How one of the limits stands, as headers tell it."""

    limit: int
    remaining: int
    reset_ms: int
    """Until the bucket is full again."""


class Passage:
    """A request that is inside its rates."""

    __slots__ = ("entered_s", "gate", "most", "requests", "subjects", "tokens")

    def __init__(
        self,
        subjects: tuple[str, ...] = (),
        most: Amounts = NO_AMOUNTS,
        entered_s: float = 0.0,
        requests: RateState | None = None,
        tokens: RateState | None = None,
        gate: object = None,
    ) -> None:
        self.subjects = subjects
        self.most = most
        self.entered_s = entered_s
        self.requests = requests
        """The tightest of those that count requests; None where there is none."""
        self.tokens = tokens
        """The tightest of those that count tokens."""
        self.gate = gate
        """What the request passed; the throttle's own business."""


FREE = Passage()
"""Of who has no rates."""


class Hold:
    """The most that a request may be, reserved: money in every account that it touches, tokens in every rate."""

    __slots__ = ("accounts", "amount", "clipped_by", "passage", "worst")

    def __init__(
        self, accounts: tuple[str, ...], amount: Money, worst: WorstCase, passage: Passage, clipped_by: str = ""
    ) -> None:
        self.accounts = accounts
        """The tenant's first, then budgets."""
        self.amount = amount
        self.worst = worst
        """After clipping: what the engine is told is in it."""
        self.passage = passage
        self.clipped_by = clipped_by
        """The account for whose sake the answer is shorter than was asked; empty when nothing was clipped."""

    @property
    def clipped(self) -> str:
        """How it was clipped and why, as callers read it: `max_tokens=37; budget of key`. Empty when it was not."""
        if not self.clipped_by:
            return ""
        return f"max_tokens={self.worst.output_tokens_each}; {which_account(self.clipped_by)}"
