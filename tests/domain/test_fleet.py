"""The choice among replicas: who can serve, what speaks for each, and that an explanation says the same."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.explained import explain
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.routing import BUSY, NOBODY, Choice, Known, Weights, compare, has_room, pick, takes_new
from parvis.domain.fleet.seat import Seat

NONE_TRIED: frozenset[str] = frozenset()
LOAD_ALONE = Weights(load=1, prefix=0, latency=0, weight=0, cost=0)


def replica(number: int = 0, state: ReplicaState = ReplicaState.READY, weight: int = 1, cost: int = 0) -> Replica:
    return Replica(f"r{number}", "a", EngineKind.VLLM, "http://127.0.0.1:1", state, weight=weight, cost=cost)


@st.composite
def pools(draw: st.DrawFn, *, sound: bool = False) -> list[Seat]:
    """Some seats; `sound` ones can all take a request."""
    seats = []
    for number in range(draw(st.integers(1, 8))):
        state = ReplicaState.READY if sound else draw(st.sampled_from(ReplicaState))
        seat = Seat(replica(number, state, draw(st.integers(1, 5)), draw(st.integers(0, 9))))
        seat.number = number + 1
        seat.in_flight, seat.elsewhere = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        seat.slots = 0 if sound else draw(st.sampled_from([0, 8, 21]))
        seat.open = sound or draw(st.integers(0, 3)) > 0
        seat.pace = draw(st.sampled_from([0.0, 0.1, 1.0]))
        seat.first_byte_ms = draw(st.sampled_from([0.0, 20.0, 200.0]))
        seats.append(seat)
    compare(seats, Weights())
    return seats


depths = st.dictionaries(st.integers(1, 8), st.integers(1, 20))
tries = st.frozensets(st.sampled_from([f"r{n}" for n in range(8)]), max_size=4)


def can(seat: Seat, tried: frozenset[str]) -> bool:
    return takes_new(seat.replica) and seat.open and has_room(seat) and seat.replica.replica_id not in tried


def filled(seat: Seat) -> float:
    return (seat.in_flight + seat.elsewhere) / (seat.room * max(seat.pace, 0.01))


def picked(seats: Sequence[Seat], choice: Choice) -> Seat:
    assert choice.picked >= 0
    return seats[choice.picked]


@given(st.sampled_from(ReplicaState))
def test_only_one_that_is_ready_takes_new_requests(state: ReplicaState) -> None:
    assert takes_new(replica(state=state)) == (state is ReplicaState.READY)


@given(pools(), tries, depths)
def test_nobody_is_picked_who_cannot_take_it_and_somebody_is_if_one_can(
    seats: list[Seat], tried: frozenset[str], found: dict[int, int]
) -> None:
    choice = pick(seats, tried, Weights(), Known(found, 20, 0, 0))
    able = [seat for seat in seats if can(seat, tried)]
    if able:
        assert picked(seats, choice) in able
        return
    full = [one for one in seats if takes_new(one.replica) and one.open and one.replica.replica_id not in tried]
    assert choice.picked == (BUSY if full else NOBODY)


@given(pools(sound=True))
def test_with_all_else_equal_the_least_filled_is_picked_and_the_first_of_equals(seats: list[Seat]) -> None:
    compare(seats, LOAD_ALONE)
    fills = [filled(seat) for seat in seats]
    assert pick(seats, NONE_TRIED, LOAD_ALONE).picked == fills.index(min(fills))


def test_of_equals_the_one_whose_cache_has_most_room_is_picked() -> None:
    seats = [Seat(replica(number)) for number in range(3)]
    seats[0].read, seats[1].read, seats[2].read = 7, 3, 5
    assert pick(seats, NONE_TRIED, Weights()).picked == 1
    seats[1].in_flight = 1
    assert pick(seats, NONE_TRIED, Weights()).picked == 2


@given(pools(sound=True), st.integers(1, 20), depths, st.floats(1, 3))
def test_affinity_never_outweighs_a_load_beyond_its_bound(
    seats: list[Seat], blocks: int, found: dict[int, int], bound: float
) -> None:
    weights = Weights(load=0.001, prefix=100, affinity_load_max=bound, affinity_fill=0.0)
    seat = picked(seats, pick(seats, NONE_TRIED, weights, Known(found, blocks, 0, 0)))
    without = picked(seats, pick(seats, NONE_TRIED, weights))
    room = sum(one.room * max(one.pace, 0.01) for one in seats)
    whole = (sum(one.in_flight + one.elsewhere for one in seats) + 1) / room
    assert seat is without or filled(seat) < bound * whole


@given(st.integers(2, 8), st.integers(1, 300), st.floats(1, 3))
def test_a_prompt_that_everybody_asks_overheats_nobody(size: int, requests: int, bound: float) -> None:
    """All requests prefer the first replica, and none ends: bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016)."""
    seats = [Seat(replica(number)) for number in range(size)]
    seats[0].number = 1
    weights = Weights(prefix=100, affinity_load_max=bound, affinity_fill=0.0)
    for sent in range(1, requests + 1):
        picked(seats, pick(seats, NONE_TRIED, weights, Known({1: 9}, 9, 0, 0))).in_flight += 1
        assert seats[0].in_flight <= bound * sent / size + 1


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 200))
def test_work_is_spread_by_weight(weights: list[int], requests: int) -> None:
    seats = [Seat(replica(number, weight=weight)) for number, weight in enumerate(weights)]
    compare(seats, LOAD_ALONE)
    for _ in range(requests):
        picked(seats, pick(seats, NONE_TRIED, LOAD_ALONE)).in_flight += 1
    for seat in seats:
        fair = Fraction(requests * seat.replica.weight, sum(weights))
        assert abs(seat.in_flight - fair) <= len(seats)


@given(pools(), tries, depths, st.integers(0, 20), st.integers(0, 9))
def test_an_explanation_tells_the_choice_that_was_made(
    seats: list[Seat], tried: frozenset[str], found: dict[int, int], common: int, home: int
) -> None:
    weights = Weights(cost=0.5)
    compare(seats, weights)
    choice = pick(seats, tried, weights, Known(found, 20, common, home))
    told = explain("req_1", "a", choice, [seat.replica for seat in seats], weights)
    totals = Counter({one.replica_id: one.total for one in told.candidates if not one.filtered})
    assert told.picked == (seats[choice.picked].replica.replica_id if choice.picked >= 0 else "")
    assert [not one.filtered for one in told.candidates] == [can(seat, tried) for seat in seats]
    if told.picked:
        assert totals[told.picked] == max(totals.values())
    for one in told.candidates:
        scores = (one.load, one.prefix, one.latency, one.weight, one.cost)
        assert all(0 <= score <= 1 for score in scores)
        if not one.filtered:
            weighed = zip(scores, (1, 1, 0.25, 0.1, 0.5), strict=True)
            assert abs(one.total - sum(score * weight for score, weight in weighed) / weights.whole) < 1e-9


def test_what_speaks_for_a_replica_can_be_weighed_against_the_rest() -> None:
    """A cache that has the prompt outweighs a few requests more, a slow replica waits for the others to be busy."""
    first, second = Seat(replica(0)), Seat(replica(1))
    first.number, second.number = 1, 2
    first.in_flight, second.in_flight = 2, 3
    assert pick([first, second], NONE_TRIED, Weights(), Known({2: 9}, 9, 0, 0)).picked == 1
    assert pick([first, second], NONE_TRIED, Weights(), Known({2: 1}, 9, 0, 0)).picked == 0
    second.in_flight, first.first_byte_ms, second.first_byte_ms = 2, 900.0, 300.0
    assert pick([first, second], NONE_TRIED, Weights()).picked == 1


@given(st.integers(1, (1 << 30) - 1), st.integers(2, 12), st.randoms())
def test_gateways_agree_where_an_unknown_prompt_is_at_home(home: int, size: int, dice: Random) -> None:
    seats = [Seat(replica(number)) for number in range(size)]
    known = Known({}, 9, 0, home)
    at_home = picked(seats, pick(seats, NONE_TRIED, Weights(), known))
    at_home.in_flight = 2
    dice.shuffle(seats)
    assert picked(seats, pick(seats, NONE_TRIED, Weights(), known)) is at_home
    at_home.in_flight = 9
    assert picked(seats, pick(seats, NONE_TRIED, Weights(), known)) is not at_home


def test_homes_are_spread_evenly() -> None:
    seats, dice = [Seat(replica(number)) for number in range(12)], Random(1)
    homes = (Known({}, 9, 0, dice.randrange(1, 1 << 30)) for _ in range(6_000))
    counts = Counter(pick(seats, NONE_TRIED, Weights(), known).picked for known in homes)
    assert len(counts) == 12
    assert max(counts.values()) < 1.25 * 500


def test_every_kind_of_engine_has_its_profile() -> None:
    assert PROFILES.keys() == set(EngineKind)
