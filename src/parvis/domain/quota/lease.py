"""A gateway's share of a tenant's money.

It was debited durably beforehand, so that holding against it needs no question to anybody and cannot overrun anything.

    granted = available + held + spent     holds at every moment
"""

from parvis.core.money import ZERO, Money


class Lease:
    """Amounts since this gateway started, counted in whole pico-euro. Each act gives the next state."""

    __slots__ = ("granted_pico_euro", "held_pico_euro", "spent_pico_euro")

    def __init__(self, granted: Money = ZERO, held: Money = ZERO, spent: Money = ZERO) -> None:
        self.granted_pico_euro: int = granted.pico_euro
        self.held_pico_euro: int = held.pico_euro
        self.spent_pico_euro: int = spent.pico_euro

    @property
    def granted(self) -> Money:
        return Money(self.granted_pico_euro)

    @property
    def held(self) -> Money:
        return Money(self.held_pico_euro)

    @property
    def spent(self) -> Money:
        return Money(self.spent_pico_euro)

    @property
    def available(self) -> Money:
        return Money(self.free_pico_euro())

    def free_pico_euro(self) -> int:
        """What is available."""
        return self.granted_pico_euro - self.held_pico_euro - self.spent_pico_euro

    def grant(self, amount: Money) -> "Lease":
        return self._next(amount.pico_euro, 0, 0)

    def hold(self, amount: Money) -> "Lease | None":
        """Reserve a worst case; None when the share does not cover it."""
        wanted: int = amount.pico_euro
        return None if wanted > self.free_pico_euro() else self._next(0, wanted, 0)

    def settle(self, hold: Money, billed: Money) -> "Lease":
        """End a hold: what was billed is spent, the rest is available again. Void is to settle at zero."""
        held: int = hold.pico_euro
        spent: int = billed.pico_euro
        if spent > held:
            raise ValueError("a settlement is never above its hold")
        return self._next(0, -held, spent)

    def _next(self, granted: int, held: int, spent: int) -> "Lease":
        lease = Lease()
        lease.granted_pico_euro = self.granted_pico_euro + granted
        lease.held_pico_euro = self.held_pico_euro + held
        lease.spent_pico_euro = self.spent_pico_euro + spent
        return lease

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lease) and self._amounts() == other._amounts()

    def __hash__(self) -> int:
        return hash(self._amounts())

    def _amounts(self) -> tuple[int, int, int]:
        return (self.granted_pico_euro, self.held_pico_euro, self.spent_pico_euro)


def top_up(lease: Lease, wanted: Money, size: Money) -> Money:
    """How much more to ask control for: nothing while half a lease is free, else enough for `wanted` and one size."""
    free = lease.free_pico_euro()
    if free >= wanted.pico_euro and free * 2 >= size.pico_euro:
        return ZERO
    return size + wanted
