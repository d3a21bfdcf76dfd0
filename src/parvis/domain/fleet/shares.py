"""How the slots of replicas are divided among gateways: by who waits where, and never more than there are. Pure.

`totals` says how many slots of a pool each gateway should have, `spread` on which replicas, and a `SlotBook` gets
there: what one gateway has too much is granted to another only once the first has confirmed that it is free.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

DECAY = 3, 4
"""What is left, a second later, of what a gateway needed: a short lull frees nothing."""


class Need(NamedTuple):
    """What one gateway has to do in one pool."""

    in_flight: int = 0
    waiting: int = 0
    tenants: int = 0
    """How many of them wait: each of them counts once where slots are scarce."""

    @property
    def slots(self) -> int:
        return self.in_flight + self.waiting


class Slots(NamedTuple):
    """A replica that takes so many requests side by side."""

    replica_id: str
    pool: str
    slots: int


class Grant(NamedTuple):
    """What one gateway is told: its share of each replica. Numbers grow; what it confirms it names by them."""

    gateway: str
    number: int
    shares: dict[str, int]


NOTHING = Need()


def totals(
    slots: int, needs: Mapping[str, Need], before: Mapping[str, int], hungry: Mapping[str, int] | None = None
) -> dict[str, int]:
    """So many of the slots for each gateway, all of them together. `hungry`: seconds in need without a slot.

    Where everybody has enough, nothing moves. Otherwise each has one if there are so many, those in need and hungry
    first; then slots go round among those who need more, as often to each as it has tenants waiting; what is left over
    is headroom, evenly.
    """
    if not needs:
        return {}
    enough = all(need.slots <= before.get(one, 0) and before.get(one, 0) > 0 for one, need in needs.items())
    if enough and before.keys() == needs.keys() and sum(before.values()) == slots:
        return dict(before)
    waits = hungry or {}
    first = sorted(needs, key=lambda one: (needs[one].slots == 0, -waits.get(one, 0), -before.get(one, 0), one))
    given = dict.fromkeys(needs, 0) | dict.fromkeys(first[:slots], 1)
    left = slots - sum(given.values())
    weights = {one: max(1, need.tenants) for one, need in needs.items()}
    left = _fill(left, given, {one: need.slots for one, need in needs.items()}, weights, before)
    _fill(left, given, dict.fromkeys(needs, slots), dict.fromkeys(needs, 1), before)
    return given


def _fill(
    left: int, given: dict[str, int], wanted: Mapping[str, int], weights: Mapping[str, int], before: Mapping[str, int]
) -> int:
    """Raise everybody evenly, by weight, up to what it wants; the rest of a division goes to who has had it before."""
    while left and (short := [one for one in given if given[one] < wanted[one]]):
        round_of = left // sum(weights[one] for one in short)
        for one in short if round_of else ():
            more = min(round_of * weights[one], wanted[one] - given[one])
            given[one] += more
            left -= more
        if not round_of:
            one = min(short, key=lambda one: (given[one] / weights[one], -before.get(one, 0), one))
            given[one] += 1
            left -= 1
    return left


def spread(
    slots: Mapping[str, int], wanted: Mapping[str, int], before: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """So many slots of each replica for each gateway, moving as few as possible from where they were.

    Each gateway has its slots on as many replicas as it can, so that a conversation finds its cache from anywhere.
    """
    shares = {one: {each: before.get(one, {}).get(each, 0) for each in slots} for one in wanted}
    free = {each: slots[each] - sum(share[each] for share in shares.values()) for each in slots}
    for each in slots:
        while free[each] < 0:
            _move(max(shares.values(), key=lambda share: share[each]), each, free, -1)
    for one, share in shares.items():
        _lessen(share, wanted[one], slots, free)
    for one, share in shares.items():
        _raise(share, wanted[one], slots, free)
    return shares


def _lessen(share: dict[str, int], wanted: int, slots: Mapping[str, int], free: dict[str, int]) -> None:
    """First where it has more than its part, then one by one where it has most."""
    total = sum(slots.values())
    over = sum(share.values()) - wanted
    for each, most in slots.items() if over > 0 else ():
        by = min(over, max(0, share[each] - -(-wanted * most // total)))
        _move(share, each, free, -by)
        over -= by
    for _ in range(over):
        _move(share, max(share, key=lambda each: share[each] / slots[each]), free, -1)


def _raise(share: dict[str, int], wanted: int, slots: Mapping[str, int], free: dict[str, int]) -> None:
    """First where it has less than its part, then one by one where it has least."""
    total = sum(slots.values())
    under = wanted - sum(share.values())
    for each, most in slots.items() if under > 0 else ():
        by = min(under, free[each], max(0, wanted * most // total - share[each]))
        _move(share, each, free, by)
        under -= by
    for _ in range(under):
        there_is = (each for each in slots if free[each] > 0)
        _move(share, min(there_is, key=lambda each: (share[each] / slots[each], -free[each])), free, 1)


def _move(share: dict[str, int], replica_id: str, free: dict[str, int], by: int) -> None:
    share[replica_id] += by
    free[replica_id] -= by


class _Gateway:
    """What one gateway was told, and the most that it can be doing."""

    def __init__(self, ceilings: Mapping[str, int]) -> None:
        self.number = 0
        self.told: dict[str, int] = {}
        self.ceilings = dict(ceilings)
        """So many of each replica it may use now, as far as we know: what it was told last and any time before, until
        it has confirmed to be below."""
        self.needs: dict[str, Need] = {}
        self.lately: dict[str, int] = {}
        """Slots that it needed in each pool, fading."""
        self.hungry: dict[str, int] = {}
        self.away = False

    def lacks(self, share: Mapping[str, int]) -> bool:
        """Whether it must be told this: it has another one, or was never told any, so that it tells us nothing yet."""
        return self.told != share or not self.number

    def need(self, pool: str) -> Need:
        """With what it needed a moment ago."""
        need = self.needs.get(pool, NOTHING)
        return need._replace(in_flight=max(need.in_flight, self.lately.get(pool, 0) - need.waiting))


class SlotBook:
    """All shares of all gateways. The sum of what they may use of a replica is never above its slots."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, int]] = {}
        self._gateways: dict[str, _Gateway] = {}
        self._wanted: dict[str, dict[str, dict[str, int]]] = {}
        """By pool and gateway: the division that we are on the way to."""

    def know(self, replicas: Iterable[Slots]) -> None:
        """These replicas take new requests, and no others."""
        self._pools = {}
        for one in replicas:
            if one.slots > 0:
                self._pools.setdefault(one.pool, {})[one.replica_id] = one.slots
        self._wanted = {pool: wanted for pool, wanted in self._wanted.items() if pool in self._pools}

    def join(self, gateway: str, holds: Mapping[str, int]) -> None:
        """A gateway is connected. It holds so much from before: of a link that it lost, or of another control."""
        self._gateways[gateway] = _Gateway(holds)
        for pool, slots in self._pools.items():
            kept = {each: holds[each] for each in slots if each in holds}
            if kept:
                self._wanted.setdefault(pool, {}).setdefault(gateway, kept)

    def hear(self, gateway: str, number: int, needs: Mapping[str, Need], in_flight: Mapping[str, int]) -> None:
        """How it stands, under the grant of this number."""
        known = self._gateways.get(gateway)
        if known is None:
            return
        known.needs = dict(needs)
        for pool, need in needs.items():
            known.lately[pool] = max(known.lately.get(pool, 0), need.slots)
        if number == known.number:
            used = known.told.keys() | in_flight.keys()
            known.ceilings = {each: max(known.told.get(each, 0), in_flight.get(each, 0)) for each in used}

    def part(self, gateway: str) -> None:
        """Its link is lost. It may serve on, so what it holds stays its own until it joins again or is forgotten."""
        if gateway in self._gateways:
            self._gateways[gateway].away = True

    @property
    def away(self) -> list[str]:
        """Those that have parted and are not forgotten."""
        return [one for one, known in self._gateways.items() if known.away]

    def forget(self, gateway: str) -> None:
        """It has ended: what it held is free."""
        self._gateways.pop(gateway, None)
        for wanted in self._wanted.values():
            wanted.pop(gateway, None)

    def tick(self) -> None:
        """A second has passed: needs fade, and who has nothing gets hungrier."""
        kept, of = DECAY
        for known in self._gateways.values():
            known.lately = {pool: slots * kept // of for pool, slots in known.lately.items()}
            for pool, slots in self._pools.items():
                starving = known.need(pool).slots and not any(known.told.get(each, 0) for each in slots)
                known.hungry[pool] = known.hungry.get(pool, 0) + 1 if starving else 0

    def rebalance(self) -> list[Grant]:
        """What has to be told now, on the way to what is wanted; nothing to who has it already."""
        targets: dict[str, dict[str, int]] = {one: {} for one, known in self._gateways.items() if not known.away}
        for pool, slots in self._pools.items():
            for one, share in self._divide(pool, slots).items():
                targets[one].update(share)
        free = self._free()
        for one, target in targets.items():
            ceilings = self._gateways[one].ceilings
            for each in target:
                room = max(ceilings.get(each, 0), 0) + max(free.get(each, 0), 0)
                target[each] = min(target[each], room)
                grown = max(0, target[each] - ceilings.get(each, 0))
                ceilings[each] = ceilings.get(each, 0) + grown
                free[each] = free.get(each, 0) - grown
        known = self._gateways
        return [self._grant(one, share) for one, share in targets.items() if known[one].lacks(share)]

    def _divide(self, pool: str, slots: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """Among those that are there, of what those that are away do not hold."""
        away = [known.ceilings for known in self._gateways.values() if known.away]
        open_slots = {each: max(0, most - sum(one.get(each, 0) for one in away)) for each, most in slots.items()}
        open_slots = {each: most for each, most in open_slots.items() if most}
        here = {one: known for one, known in self._gateways.items() if not known.away}
        before = {one: share for one, share in self._wanted.get(pool, {}).items() if one in here}
        sums = {one: sum(share.get(each, 0) for each in open_slots) for one, share in before.items()}
        needs = {one: known.need(pool) for one, known in here.items()}
        hungry = {one: known.hungry.get(pool, 0) for one, known in here.items()}
        wanted = spread(open_slots, totals(sum(open_slots.values()), needs, sums, hungry), before)
        self._wanted[pool] = wanted
        return {one: dict.fromkeys(slots, 0) | share for one, share in wanted.items()}

    def _free(self) -> dict[str, int]:
        """Slots that nobody can be using."""
        slots = {each: most for pool in self._pools.values() for each, most in pool.items()}
        held = [known.ceilings for known in self._gateways.values()]
        return {each: most - sum(one.get(each, 0) for one in held) for each, most in slots.items()}

    def _grant(self, gateway: str, shares: dict[str, int]) -> Grant:
        known = self._gateways[gateway]
        known.number += 1
        known.told = shares
        return Grant(gateway, known.number, dict(shares))
