"""A lease: the share of an account that one gateway may spend without asking, and how large it should be.

    granted = available + held + spent        always, in pico-euro, and none of them negative

Control has debited `granted` durably beforehand, so nothing that happens here can overrun the account.
"""

from parvis.core.money import ZERO, Money

LEASE_S = 2
"""A lease lasts about so long, at the pace of the last seconds."""
SHARES = 64
"""The smallest lease is this part of the largest: some requests of anybody's."""
IDLE_LOOKS = 5
"""So often nothing new was held: then all that is free is given back."""


class Lease:
    """What was granted less what was given back, counted in place: each request comes by here."""

    __slots__ = ("granted_pico_euro", "held_pico_euro", "least_pico_euro", "spent_pico_euro", "used")

    def __init__(self, granted: Money = ZERO, held: Money = ZERO, spent: Money = ZERO) -> None:
        self.granted_pico_euro: int = granted.pico_euro
        self.held_pico_euro: int = held.pico_euro
        self.spent_pico_euro: int = spent.pico_euro
        self.least_pico_euro: int = self.free_pico_euro()
        """The least that was free since somebody looked."""
        self.used: bool = False
        """Whether anything was held since somebody looked."""

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

    def grant(self, pico_euro: int) -> None:
        self.granted_pico_euro += pico_euro

    def hold(self, pico_euro: int) -> bool:
        """Reserve a worst case, if the share covers it."""
        free = self.free_pico_euro() - pico_euro
        if free < 0:
            return False
        self.held_pico_euro += pico_euro
        self.least_pico_euro = min(self.least_pico_euro, free)
        self.used = True
        return True

    def settle(self, held_pico_euro: int, billed_pico_euro: int) -> None:
        """End a hold: what was billed is spent, the rest is available again. Void is to settle at zero."""
        if billed_pico_euro > held_pico_euro:
            raise ValueError("a settlement is never above its hold")
        self.held_pico_euro -= held_pico_euro
        self.spent_pico_euro += billed_pico_euro

    def give_back(self, pico_euro: int) -> None:
        """Part of what is available is nobody's here any more."""
        if pico_euro > self.free_pico_euro():
            raise ValueError("what is held or spent cannot be given back")
        self.granted_pico_euro -= pico_euro
        self.least_pico_euro = min(self.least_pico_euro, self.free_pico_euro())


class Pace:
    """How fast an account is spent here, looked at about once a second; and what follows from it."""

    __slots__ = ("_most", "_quiet", "_spent_before", "a_second", "size")

    def __init__(self, most_pico_euro: int) -> None:
        self.a_second: int = 0
        self.size: int = most_pico_euro // SHARES or 1
        """How much to ask for beyond what a request needs: between a 64th of the largest lease and that lease."""
        self._most: int = most_pico_euro
        self._spent_before: int = 0
        self._quiet: int = 0

    def look(self, lease: Lease) -> int:
        """A second has passed. How much of what is free nobody needs here."""
        spent, self._spent_before = lease.spent_pico_euro - self._spent_before, lease.spent_pico_euro
        self.a_second = max(spent, (self.a_second + spent) // 2)  # faster at once, slower by and by
        self.size = min(max(self.a_second * LEASE_S, self._most // SHARES, 1), self._most)
        self._quiet = 0 if lease.used else self._quiet + 1
        free = lease.free_pico_euro()
        least, lease.least_pico_euro, lease.used = lease.least_pico_euro, free, False
        if self.idle:
            return free
        spare = least - 2 * self.size
        return spare if spare > self.size else 0

    @property
    def idle(self) -> bool:
        """Whether nothing new was held for some looks."""
        return self._quiet >= IDLE_LOOKS
