"""A gateway's share of a tenant's money.

It was debited durably before the gateway got it, so that holding against it needs no question to anybody and cannot
overrun anything.

    granted = available + held + spent     holds at every moment
"""

from typing import NamedTuple

from parvis.core.money import ZERO, Money


class Lease(NamedTuple):
    """Amounts since this gateway started. Frozen: each act gives the next state."""

    granted: Money = ZERO
    held: Money = ZERO
    spent: Money = ZERO

    @property
    def available(self) -> Money:
        return self.granted - self.held - self.spent

    def grant(self, amount: Money) -> "Lease":
        return Lease(self.granted + amount, self.held, self.spent)

    def hold(self, amount: Money) -> "Lease | None":
        """Reserve a worst case; None when the share does not cover it."""
        held = self.held.pico_euro + amount.pico_euro
        if held + self.spent.pico_euro > self.granted.pico_euro:
            return None
        return Lease(self.granted, Money(held), self.spent)

    def settle(self, hold: Money, billed: Money) -> "Lease":
        """End a hold: what was billed is spent, the rest is available again. Void is to settle at zero."""
        if billed.pico_euro > hold.pico_euro:
            raise ValueError("a settlement is never above its hold")
        held = Money(self.held.pico_euro - hold.pico_euro)
        return Lease(self.granted, held, Money(self.spent.pico_euro + billed.pico_euro))


def top_up(lease: Lease, wanted: Money, size: Money) -> Money:
    """How much more to ask control for: nothing while half a lease is free, else enough for `wanted` and one size."""
    free = lease.granted.pico_euro - lease.held.pico_euro - lease.spent.pico_euro
    if free >= wanted.pico_euro and free * 2 >= size.pico_euro:
        return ZERO
    return size + wanted
