"""Slots are divided by need, evenly, and no more of them are ever used than there are, whatever is late or lost."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.shares import Grant, Need, SlotBook, Slots, spread, totals

NAMES = ["g1", "g2", "g3", "g4", "g5"]
_needs = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Need, st.integers(0, 9), st.integers(0, 40), st.integers(0, 6)), min_size=1
)


@given(st.integers(0, 40), _needs, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 12)))
def test_all_slots_are_somebodys(slots: int, needs: dict[str, Need], before: dict[str, int]) -> None:
    given_out = totals(slots, needs, before)
    assert sum(given_out.values()) == slots
    assert min(given_out.values()) >= 0
    if slots >= len(needs):
        assert min(given_out.values()) >= 1


@given(st.integers(1, 40), _needs)
def test_more_than_an_even_share_is_only_what_others_do_not_need(slots: int, needs: dict[str, Need]) -> None:
    given_out = totals(slots, needs, {})
    weights = {one: max(1, need.tenants) for one, need in needs.items()}
    for one, need in needs.items():
        if (
            given_out[one] < need.slots
        ):  # short: then nobody has more than it for each of its tenants, but for roundings
            for other in needs:
                assert (given_out[other] - 1) * weights[one] <= max(weights[other], 1) * (given_out[one] + 1)


def test_nothing_moves_while_everybody_has_enough() -> None:
    before = {"g1": 5, "g2": 3}
    assert totals(8, {"g1": Need(1), "g2": Need(3)}, before) == before
    assert totals(8, {"g1": Need(1), "g2": Need(4)}, before) == {"g1": 3, "g2": 5}


def test_a_division_stays_as_long_as_the_need() -> None:
    needs = {"g1": Need(4, 90, 1), "g2": Need(4, 2, 2), "g3": Need(3, 50, 1)}
    once = totals(17, needs, {})
    assert totals(17, needs, once) == once


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), _needs, _needs)
def test_slots_are_spread_and_few_move(slots: list[int], needs: dict[str, Need], others: dict[str, Need]) -> None:
    each = {f"r{place}": most for place, most in enumerate(slots)}
    before = spread(each, totals(sum(slots), needs, {}), {})
    wanted = totals(sum(slots), others, {one: sum(share.values()) for one, share in before.items()})
    shares = spread(each, wanted, before)
    assert {one: sum(share.values()) for one, share in shares.items()} == wanted
    for one, most in each.items():
        assert sum(share[one] for share in shares.values()) == most
    for gateway, share in shares.items():  # nobody gives on one replica and takes on another
        moves = {share[one] - before.get(gateway, {}).get(one, 0) for one in each}
        assert min(moves) >= 0 or max(moves) <= 0


class Gateway:
    """One end of a link that is slow: what was told and what it told are under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.shares: dict[str, int] = {}
        self.in_flight: dict[str, int] = {}
        self.waiting = 0
        self.connected = False
        self.told: deque[Grant] = deque()
        self.tells: deque[tuple[int, Need, dict[str, int]]] = deque()

    def hear(self) -> None:
        if self.told:
            grant = self.told.popleft()
            self.number, self.shares = grant.number, grant.shares
            self.tell()

    def tell(self) -> None:
        need = Need(sum(self.in_flight.values()), self.waiting, min(1, self.waiting))
        self.tells.append((self.number, need, dict(self.in_flight)))

    def holds(self) -> dict[str, int]:
        used = self.shares.keys() | self.in_flight.keys()
        return {each: max(self.shares.get(each, 0), self.in_flight.get(each, 0)) for each in used}

    def start(self, replica_id: str) -> None:
        if self.in_flight.get(replica_id, 0) < self.shares.get(replica_id, 0):
            self.in_flight[replica_id] = self.in_flight.get(replica_id, 0) + 1
            self.waiting = max(0, self.waiting - 1)

    def end(self, replica_id: str) -> None:
        self.in_flight[replica_id] = max(0, self.in_flight.get(replica_id, 0) - 1)


class Fleet:
    """A book, its gateways, and what happens to them in an order that a seed draws."""

    def __init__(self, seed: int, gateways: int, replicas: dict[str, int]) -> None:
        self.random = Random(seed)
        self.replicas = replicas
        self.book = SlotBook()
        self.book.know([Slots(one, "pool", slots) for one, slots in replicas.items()])
        self.gateways = {name: Gateway(name) for name in NAMES[:gateways]}

    def deliver(self) -> None:
        for grant in self.book.rebalance():
            self.gateways[grant.gateway].told.append(grant)

    def step(self) -> None:
        one = self.random.choice(list(self.gateways.values()))
        replica_id = self.random.choice(list(self.replicas))
        match self.random.randrange(10):
            case 0 | 1 | 2:
                one.waiting += self.random.randrange(4)
                one.start(replica_id)
            case 3 | 4:
                one.end(replica_id)
            case 5 | 6 if one.connected:
                one.hear()
            case 7 if one.connected:
                self.listen(one)
            case 8:
                self.book.tick()
                if one.connected:
                    one.tell()
            case 9 if not one.connected or self.random.randrange(3) == 0:
                self.reconnect(one)
        self.deliver()

    def listen(self, one: Gateway) -> None:
        if one.tells:
            number, need, in_flight = one.tells.popleft()
            self.book.hear(one.name, number, {"pool": need}, in_flight)

    def reconnect(self, one: Gateway) -> None:
        one.told.clear()
        one.tells.clear()
        if one.connected:
            self.book.part(one.name)
            one.connected = False
        else:
            self.book.join(one.name, one.holds())
            one.number, one.connected = 0, True

    def overrun(self) -> list[str]:
        used = {each: sum(one.in_flight.get(each, 0) for one in self.gateways.values()) for each in self.replicas}
        return [f"{each}: {used[each]} of {most}" for each, most in self.replicas.items() if used[each] > most]

    def settle(self) -> None:
        """Nothing new happens; everything that is under way arrives, and everything that runs ends."""
        for one in self.gateways.values():
            if not one.connected:
                self.reconnect(one)
        for _ in range(6):
            for one in self.gateways.values():
                one.in_flight = {}
                one.tell()
                while one.told:
                    one.hear()
                while one.tells:
                    self.listen(one)
            self.deliver()


@pytest.mark.parametrize("seed", range(10))
def test_the_slots_of_a_replica_are_never_overrun(seed: int) -> None:
    fleet = Fleet(seed, 1 + seed % 5, {"r1": 4, "r2": 1, "r3": 2})
    for _ in range(2_000):
        fleet.step()
        assert fleet.overrun() == []
    fleet.settle()
    for each, most in fleet.replicas.items():
        assert sum(one.shares.get(each, 0) for one in fleet.gateways.values()) == most
    assert all(any(one.shares.values()) for one in fleet.gateways.values())


def test_a_grant_before_the_other_has_let_go_overruns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: whoever believes a message that was only sent."""
    rebalance = SlotBook.rebalance

    def at_once(self: SlotBook) -> list[Grant]:
        grants = rebalance(self)
        for known in self._gateways.values():
            known.ceilings = dict(known.told)
        return grants

    monkeypatch.setattr(SlotBook, "rebalance", at_once)
    fleet = Fleet(4, 5, {"r1": 4, "r2": 1, "r3": 2})
    overrun: list[str] = []
    for _ in range(2_000):
        fleet.step()
        overrun += fleet.overrun()
    assert overrun


def test_a_gateway_alone_has_all_at_once() -> None:
    book = SlotBook()
    book.know([Slots("r1", "pool", 8), Slots("r2", "pool", 4), Slots("endless", "pool", 0)])
    book.join("g1", {})
    assert book.rebalance() == [Grant("g1", 1, {"r1": 8, "r2": 4})]
    assert book.rebalance() == []


def test_who_has_no_slot_is_told_so_once() -> None:
    """Before it was told anything it tells nothing: nobody would learn what waits there for a replica that sleeps."""
    book = SlotBook()
    book.join("g1", {})
    assert book.rebalance() == [Grant("g1", 1, {})]
    assert book.rebalance() == []


def test_one_slot_goes_round_where_gateways_are_more() -> None:
    fleet = Fleet(0, 3, {"r1": 1})
    for one in fleet.gateways.values():
        fleet.reconnect(one)
    turns = []
    for _ in range(9):
        for one in fleet.gateways.values():
            one.waiting = 5
        fleet.settle()
        turns += [name for name, one in fleet.gateways.items() if one.shares.get("r1")]
        fleet.book.tick()
    assert {turns.count(name) for name in fleet.gateways} == {3}


def test_what_a_gateway_that_is_away_holds_stays_its_own() -> None:
    fleet = Fleet(0, 2, {"r1": 4})
    for one in fleet.gateways.values():
        fleet.reconnect(one)
    fleet.settle()
    fleet.book.part("g1")
    fleet.book.hear("g2", fleet.gateways["g2"].number, {"pool": Need(2, 50, 1)}, {"r1": 2})
    assert fleet.book.rebalance() == []
    fleet.book.forget("g1")
    assert [grant.shares for grant in fleet.book.rebalance()] == [{"r1": 4}]
