"""What happens on replicas is written into their seats, and no request ever waits for it."""

from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.breaker import PAUSE_S_MAX_OF_ALL
from parvis.domain.fleet.health import MISSES_MAX, PACE_MIN, SLOW_START_S, Life
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.retry_budget import FLOOR
from parvis.domain.fleet.seat import Placement, Seat
from parvis.flows.standing import TICK_S, Standing


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def unix_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


class Pool:
    """Some replicas of one pool, and what befalls them."""

    def __init__(self, count: int = 3) -> None:
        self.clock = Hand()
        self.deserted: list[str] = []
        self.seats = [seat_of(number) for number in range(count)]
        self.standing = Standing(self.clock, self.deserted.append)
        self.standing.begin(self.seats)

    def ask(self, number: int, ending: Ending, took_s: float = 0.02) -> None:
        ask = Ask("pool")
        ask.attempts = 1
        placement = Placement(ask, self.seats[number], self.clock.now_s)
        self.standing.placed(placement)
        self.clock.now_s += took_s
        if ending in (Ending.GOOD, Ending.BROKE):
            self.standing.first_byte(placement)
        self.standing.ended(placement, ending)

    def wait(self, seconds: float) -> None:
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            self.clock.now_s += TICK_S
            self.standing.tick(self.clock.now_s)

    @property
    def open(self) -> list[bool]:
        return [seat.open for seat in self.seats]


def seat_of(number: int, port: int = 0) -> Seat:
    address = f"http://127.0.0.1:{port or 9000 + number}"
    return Seat(Replica(f"pool-{number}", "pool", EngineKind.OPENAI, address, ReplicaState.READY))


def test_one_that_takes_nothing_is_left_alone_and_tried_by_one_request() -> None:
    pool = Pool()
    for _ in range(MISSES_MAX):
        pool.ask(1, Ending.UNAVAILABLE)
    assert pool.open == [True, False, True]
    assert "in a row" in pool.seats[1].why
    pool.wait(1.25)
    assert (pool.seats[1].open, pool.seats[1].probing) == (True, True)
    trial = Placement(Ask("pool"), pool.seats[1], pool.clock.now_s)
    pool.standing.placed(trial)
    assert pool.open == [True, False, True]
    pool.standing.first_byte(trial)
    pool.standing.ended(trial, Ending.GOOD)
    assert (pool.seats[1].open, pool.seats[1].probing, pool.seats[1].pace) == (True, False, PACE_MIN)
    pool.wait(SLOW_START_S)
    assert (pool.seats[1].pace, pool.seats[1].why) == (1.0, "")
    assert pool.standing.take_counts() == [("parvis_ejections_total", ("pool-1",), 1)]
    assert pool.standing.take_counts() == []


def test_one_that_does_not_live_is_deserted_and_comes_back_only_when_it_lives() -> None:
    pool = Pool()
    pool.standing.probed("pool-0", Life.SILENT)
    assert (pool.open, pool.deserted) == ([True] * 3, [])
    pool.standing.probed("pool-0", Life.SILENT)
    assert (pool.open, pool.deserted) == ([False, True, True], ["pool-0"])
    pool.wait(60)
    assert not pool.seats[0].open
    pool.standing.probed("pool-0", Life.ALIVE)
    pool.wait(TICK_S)
    assert pool.seats[0].probing


def test_all_may_be_out_when_none_lives() -> None:
    pool = Pool()
    for seat in pool.seats:
        pool.standing.probed(seat.replica.replica_id, Life.REFUSED)
    assert pool.open == [False] * 3


def test_when_all_are_out_one_is_tried_soon_however_long_it_went_on() -> None:
    pool = Pool(1)
    for _ in range(MISSES_MAX + 5):
        while not pool.seats[0].open:
            pool.wait(TICK_S)
        pool.ask(0, Ending.UNAVAILABLE)
    asked_s = pool.clock.now_s
    while not pool.seats[0].open:
        pool.wait(TICK_S)
    assert pool.clock.now_s - asked_s <= PAUSE_S_MAX_OF_ALL + TICK_S


def test_one_that_is_far_slower_than_its_pool_is_left_alone() -> None:
    pool = Pool()
    for _ in range(6):
        for number, took_s in enumerate((0.02, 0.02, 3.0)):
            pool.ask(number, Ending.GOOD, took_s)
    pool.wait(TICK_S)
    assert pool.open == [True, True, False]
    assert "first bytes" in pool.seats[2].why


def test_only_who_shows_no_life_is_looked_at() -> None:
    pool = Pool()
    pool.ask(0, Ending.GOOD)
    pool.standing.moved("pool-2")
    assert [replica.replica_id for replica in pool.standing.due(pool.clock.now_s)] == ["pool-1"]
    pool.wait(1.5)
    assert len(pool.standing.due(pool.clock.now_s)) == 3


def test_a_new_one_begins_slowly_beside_others_and_so_does_one_that_has_moved() -> None:
    pool = Pool(2)
    assert [seat.pace for seat in pool.seats] == [1.0, 1.0]
    moved, new = pool.seats[1], seat_of(2)
    moved.replica = seat_of(1, port=1).replica
    pool.standing.begin([pool.seats[0], moved, new])
    assert [pool.seats[0].pace, moved.pace, new.pace] == [1.0, PACE_MIN, PACE_MIN]


def test_retries_are_paid_by_requests() -> None:
    pool, ask = Pool(), Ask("pool")
    for _ in range(500):
        pool.ask(0, Ending.REFUSED, 0)
    assert sum(pool.standing.may_retry(ask) for _ in range(500)) == 100 > FLOOR
    assert ("parvis_retries_total", ("over budget",), 400) in pool.standing.take_counts()


def test_what_is_said_of_a_replica_that_has_gone_is_not_heard() -> None:
    pool = Pool(1)
    gone = Placement(Ask("pool"), pool.seats[0], pool.clock.now_s)
    pool.standing.begin([])
    pool.standing.first_byte(gone)
    pool.standing.ended(gone, Ending.UNAVAILABLE)
    pool.standing.probed("pool-0", Life.SILENT)
    pool.standing.moved("pool-0")
    assert pool.standing.seats == []


def test_broken_answers_never_close_the_last_of_a_pool() -> None:
    """Else whoever asks for what breaks an engine would close it to all."""
    pool = Pool(2)
    for _ in range(20):
        for number in range(2):
            pool.ask(number, Ending.BROKE)
    assert sum(pool.open) == 1
    last = pool.open.index(True)
    for _ in range(MISSES_MAX):
        pool.ask(last, Ending.UNAVAILABLE)
    assert pool.open == [False, False]


def test_who_hangs_up_on_what_another_hung_up_on_is_not_blamed() -> None:
    pool = Pool(2)
    for _ in range(3 * MISSES_MAX):
        ask = Ask("pool")
        ask.drops = 2
        pool.standing.ended(Placement(ask, pool.seats[0], pool.clock.now_s), Ending.DROPPED)
    assert pool.open == [True, True]


def test_who_hangs_up_is_looked_at_at_once() -> None:
    pool = Pool(1)
    pool.ask(0, Ending.GOOD)
    assert pool.standing.due(pool.clock.now_s) == []
    pool.ask(0, Ending.DROPPED)
    assert len(pool.standing.due(pool.clock.now_s)) == 1


def test_a_refused_key_leaves_it_alone_even_where_failures_do_not() -> None:
    pool = Pool(2)
    pool.standing.breaks = False
    pool.seats[0].said = "It refuses our key (401)."
    pool.ask(0, Ending.KEY_REFUSED)
    assert (pool.open, pool.seats[0].why) == ([False, True], "It refuses our key (401).")
