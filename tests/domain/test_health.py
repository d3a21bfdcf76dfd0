"""A replica that fails is left alone, ever longer; one that heals comes back; and retries stay within their budget."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet import health as healths
from parvis.domain.fleet import retry_budget as budgets
from parvis.domain.fleet.ask import Ending
from parvis.domain.fleet.breaker import PAUSE_S, PAUSE_S_MAX, Breaker, BreakerState
from parvis.domain.fleet.health import MISSES_MAX, PACE_MIN, SLOW_START_S, TRIAL_WAIT_S, Health, Life, slow_ones
from parvis.domain.fleet.retry_budget import FLOOR, SHARE, WINDOW_S, RetryBudget

TICK_S = 0.25
Plant = Callable[[pytest.MonkeyPatch], None]


class Drive:
    """One replica through its events; says what no interleaving may show."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.health = Health(self.now_s)
        self.under_way: list[tuple[float, bool]] = []
        """When each request was placed, and whether it began to be answered."""
        self.trials = 0
        self.opened_s: float | None = None
        self.pace_before = 1.0
        self.broken: list[str] = []

    def step(self, event: str, number: int) -> None:
        self.now_s += 0.05
        health, before = self.health, self.health.breaker.state
        match event:
            case "ask" if health.breaker.lets_in:
                health.entered()
                self.trials += before is BreakerState.HALF_OPEN
                self.under_way.append((self.now_s, False))
            case "byte" if self.under_way:
                placed_s, _ = self.under_way.pop(number % len(self.under_way))
                self.under_way.append((placed_s, True))
                health.first_byte(self.now_s, 20)
            case "good" | "broke" | "unavailable" if self.under_way:
                placed_s, heard = self.under_way.pop(number % len(self.under_way))
                health.ended(Ending(event), placed_s, self.now_s, heard=heard)
            case "alive" | "silent" | "refused":
                health.probed(Life(event), self.now_s)
            case "tick":
                self.now_s += number * TICK_S
                health.tick(self.now_s)
        self._look(before)

    def _look(self, before: BreakerState) -> None:
        state, pace = self.health.breaker.state, self.health.pace
        if state is BreakerState.OPEN and before is not BreakerState.OPEN:
            self.opened_s = self.now_s
            self.trials = 0
        if before is BreakerState.OPEN and state is not BreakerState.OPEN:
            assert self.opened_s is not None
            if self.now_s - self.opened_s < PAUSE_S:
                self.broken.append("it was tried before its pause was over")
        if state is BreakerState.HALF_OPEN and self.trials > 1:
            self.broken.append("two requests tried it")
        if state is not before and state is not BreakerState.OPEN:
            self.trials = 0
        if not PACE_MIN <= pace <= 1:
            self.broken.append(f"pace {pace}")
        if state is BreakerState.CLOSED is before and pace < self.pace_before:
            self.broken.append("it was slowed while it came back")
        if state is not BreakerState.CLOSED and not self.health.why:
            self.broken.append("nobody says why")
        self.pace_before = pace


events = st.lists(
    st.tuples(
        st.sampled_from(("ask", "byte", "good", "broke", "unavailable", "alive", "silent", "refused", "tick", "tick")),
        st.integers(1, 12),
    ),
    max_size=120,
)


def broken_by(steps: list[tuple[str, int]]) -> list[str]:
    drive = Drive()
    for event, number in steps:
        drive.step(event, number)
    return drive.broken


@given(events)
def test_what_happens_in_any_order_keeps_the_laws(steps: list[tuple[str, int]]) -> None:
    assert broken_by(steps) == []


TRIAL = [("refused", 1), ("alive", 1), ("tick", 6), ("ask", 1), ("ask", 1)]
"""Out, looked at, half open, and then two requests at once."""


def two_try(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Breaker, "entered", lambda _: None)


def open_without_pause(breaker: Breaker, now_s: float) -> None:
    breaker.state, breaker.until_s = BreakerState.OPEN, now_s


def no_pause(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Breaker, "open", open_without_pause)


@pytest.mark.parametrize("bug", [no_pause, two_try])
def test_control_of_the_breaker(bug: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [step if step != ("tick", 6) or bug is two_try else ("tick", 1) for step in TRIAL]
    assert broken_by(steps) == []
    bug(monkeypatch)
    assert broken_by(steps) != []


# -------------------------------------------------------------------------------------------- what opens it


def after(endings: list[Ending], *, heard: bool = True) -> Health:
    health = Health(0.0)
    for number, ending in enumerate(endings):
        if heard:
            health.first_byte(number, 20)
        health.ended(ending, number, number, heard=heard)
    return health


def test_streams_broken_midway_open_it_though_each_had_begun() -> None:
    assert after([Ending.BROKE] * 8).breaker.state is BreakerState.OPEN
    assert after([Ending.GOOD, Ending.GOOD, Ending.GOOD, Ending.BROKE] * 20).breaker.state is BreakerState.CLOSED


def test_control_a_breaker_that_looks_at_first_bytes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healths, "TROUBLE_STEP", 0.0)
    assert after([Ending.BROKE] * 50).breaker.state is BreakerState.CLOSED


def test_requests_that_got_nothing_open_it_and_one_of_many_does_not() -> None:
    assert after([Ending.UNAVAILABLE] * MISSES_MAX, heard=False).breaker.state is BreakerState.OPEN
    assert after([Ending.UNAVAILABLE, Ending.GOOD, Ending.GOOD] * 40).breaker.state is BreakerState.CLOSED


@given(st.integers(1, 6))
def test_a_wrong_request_or_a_client_that_left_speaks_against_nobody(many: int) -> None:
    assert after([Ending.REFUSED, Ending.GOOD] * many, heard=False).quiet


def test_two_looks_without_an_answer_open_it_and_one_refused_does() -> None:
    silent, refused = Health(0.0), Health(0.0)
    silent.probed(Life.SILENT, 1)
    assert silent.quiet
    silent.probed(Life.SILENT, 2)
    refused.probed(Life.REFUSED, 1)
    assert silent.breaker.state is refused.breaker.state is BreakerState.OPEN


def test_one_look_without_an_answer_is_forgotten_when_it_shows_life() -> None:
    health = Health(0.0)
    for _ in range(5):
        health.probed(Life.SILENT, 1)
        health.moved(1)
    assert health.quiet


def test_who_failed_before_it_was_left_alone_does_not_speak_against_it_again() -> None:
    health = after([Ending.UNAVAILABLE] * MISSES_MAX, heard=False)
    until_s = health.breaker.until_s
    for _ in range(50):
        health.ended(Ending.UNAVAILABLE, 0.0, 2.1, heard=False)
    assert health.breaker.until_s == until_s
    health.tick(until_s)
    health.ended(Ending.BROKE, 0.0, until_s, heard=True)
    assert health.breaker.state is BreakerState.HALF_OPEN


def hung_up(looks: list[Life], *, last: bool = False) -> Health:
    """It hangs up on a request after each of these looks, once a second."""
    health = Health(0.0)
    for now_s, life in enumerate(looks):
        health.probed(life, now_s)
        health.ended(Ending.DROPPED, now_s, now_s, heard=False, last=last)
    return health


def test_hanging_up_in_a_row_opens_it_unless_good_looks_come_between() -> None:
    assert after([Ending.DROPPED] * MISSES_MAX, heard=False).breaker.state is BreakerState.OPEN
    assert hung_up([Life.ALIVE] * 5).breaker.state is BreakerState.CLOSED
    assert hung_up([Life.ALIVE, Life.REFUSED]).breaker.state is BreakerState.OPEN


def test_the_last_of_a_pool_is_open_however_often_it_hangs_up_between_good_looks() -> None:
    assert hung_up([Life.ALIVE] * 50).breaker.state is BreakerState.OPEN
    assert hung_up([Life.ALIVE] * 50, last=True).breaker.state is BreakerState.CLOSED


def test_one_that_comes_back_is_not_sent_back_by_what_it_hung_up_on_once() -> None:
    health = Health(0.0, slowly=True)
    health.ended(Ending.DROPPED, 1.0, 1.0, heard=False)
    assert (health.breaker.state, health.sign_s) == (BreakerState.CLOSED, 0.0)
    health.ended(Ending.UNAVAILABLE, 1.0, 1.0, heard=False)
    assert health.breaker.state is BreakerState.OPEN


def test_a_key_that_is_refused_opens_it_at_once_and_says_so_for_as_long() -> None:
    health = Health(0.0)
    health.ended(Ending.KEY_REFUSED, 1.0, 1.0, heard=False, last=True, said="It refuses our key (401).")
    assert (health.breaker.state, health.why) == (BreakerState.OPEN, "It refuses our key (401).")
    health.probed(Life.ALIVE, 1.5)
    health.tick(3.0)
    assert health.breaker.state is BreakerState.HALF_OPEN
    assert health.why.startswith("It refuses our key (401).")


def test_looks_say_why_it_is_still_away() -> None:
    health = Health(0.0)
    health.probed(Life.REFUSED, 1.0)
    assert health.why == "Nothing listens there."
    health.probed(Life.REFUSED, 2.0, "Its name does not resolve.")
    assert health.why == "Its name does not resolve."


# -------------------------------------------------------------------------------------------- how it comes back


def pauses_of(trials: int) -> list[float]:
    """The pauses of a replica whose page of health is good, and which takes nothing."""
    health, now_s, pauses = Health(0.0), 0.0, []
    for _ in range(MISSES_MAX):
        health.ended(Ending.UNAVAILABLE, now_s, now_s, heard=False)
    for _ in range(trials):
        pauses.append(health.breaker.until_s - now_s)
        now_s = health.breaker.until_s
        health.tick(now_s)
        health.entered()
        health.ended(Ending.UNAVAILABLE, now_s, now_s, heard=False)
    return pauses


def test_pauses_grow_to_their_bound() -> None:
    assert pauses_of(8) == [min(PAUSE_S * 2**n, PAUSE_S_MAX) for n in range(8)]


def healed(health: Health, now_s: float, limit_s: float) -> float:
    """From now on it is well: the seconds after which it takes its whole share."""
    started_s = now_s
    while not health.quiet:
        now_s += TICK_S
        assert now_s - started_s <= limit_s, "it does not come back"
        health.probed(Life.ALIVE, now_s)
        health.tick(now_s)
    return now_s - started_s


def whole_again_after(steps: list[tuple[str, int]]) -> float:
    """Whatever happened: no request comes, all looks are good. A trial that runs must have ended first."""
    drive = Drive()
    for event, number in steps:
        drive.step(event, number)
    drive.health.breaker.undecided()
    return healed(drive.health, drive.now_s, PAUSE_S_MAX + TRIAL_WAIT_S + SLOW_START_S + 4 * TICK_S)


@given(events)
def test_a_healed_one_always_comes_back(steps: list[tuple[str, int]]) -> None:
    whole_again_after(steps)


def test_control_one_that_waits_for_a_request_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healths, "TRIAL_WAIT_S", 1e9)
    with pytest.raises(AssertionError, match="does not come back"):
        whole_again_after([("refused", 1)])


def test_it_takes_ever_more_while_it_comes_back_and_leaves_at_the_first_trouble() -> None:
    health = Health(0.0)
    health.probed(Life.REFUSED, 0)
    health.probed(Life.ALIVE, 1)
    health.tick(1.5)
    health.entered()
    health.first_byte(2, 20)
    health.ended(Ending.GOOD, 1.6, 2, heard=True)
    paces = []
    for second in range(2, 14):
        health.tick(second)
        paces.append(health.pace)
    assert paces == sorted(paces)
    assert (paces[0], paces[-1]) == (PACE_MIN, 1.0)
    assert not any(step > 0.1 for step in map(float.__sub__, paces[1:], paces))
    again = Health(0.0, slowly=True)
    again.ended(Ending.BROKE, 1, 2, heard=True)
    assert again.breaker.state is BreakerState.OPEN


# -------------------------------------------------------------------------------------------- outliers


def pool_of(first_bytes_ms: list[int], out: int) -> list[Health]:
    pool = []
    for number, ms in enumerate(first_bytes_ms):
        health = Health(0.0)
        if number < out:
            health.probed(Life.REFUSED, 0)
        for _ in range(8):
            health.first_byte(10, ms)
        pool.append(health)
    return pool


def left_after_outliers(first_bytes_ms: list[int], out: int) -> tuple[int, int]:
    """How many leave as slow, and how many are open then."""
    pool = pool_of(first_bytes_ms, out)
    leaving = slow_ones(pool, 10)
    for health, others_ms in leaving:
        health.leave_as_slow(10, others_ms)
    return len(leaving), sum(health.breaker.state is BreakerState.CLOSED for health in pool)


@given(st.lists(st.sampled_from((10, 50, 900, 4_000, 90_000)), min_size=1, max_size=12), st.integers(0, 3))
def test_outliers_never_empty_a_pool(first_bytes_ms: list[int], out: int) -> None:
    out = min(out, len(first_bytes_ms))
    leaving, left = left_after_outliers(first_bytes_ms, out)
    if leaving:
        assert left >= 1
        assert leaving + out <= max(1, len(first_bytes_ms) // 3)


def test_control_every_outlier_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [10, 90_000, 10, 90_000, 10]
    assert left_after_outliers(slow, 0)[0] == 1
    monkeypatch.setattr(healths, "max", lambda *_: 5, raising=False)
    assert left_after_outliers(slow, 0)[0] > 1


@pytest.mark.parametrize(
    ("first_bytes_ms", "leaving"),
    [
        ([20, 20, 20], 0),
        ([20, 20, 400], 0),  # many times as slow, and yet quick
        ([20, 20, 5_000], 1),
        ([20, 5_000], 1),
        ([3_000, 3_000, 5_000], 0),
        ([5_000], 0),
    ],
)
def test_an_outlier_is_many_times_and_much_slower(first_bytes_ms: list[int], leaving: int) -> None:
    assert left_after_outliers(first_bytes_ms, 0)[0] == leaving


def test_what_was_slow_long_ago_is_not_known_now() -> None:
    assert slow_ones(pool_of([20, 20, 5_000], 0), 16) == []


# -------------------------------------------------------------------------------------------- retries

traffic = st.lists(st.tuples(st.sampled_from((0, 0, 0.01, 0.3, 2, 30)), st.integers(0, 40)), max_size=60)


def overspent(bursts: list[tuple[float, int]]) -> str | None:
    """Every request fails, and everybody tries again as often as the budget lets."""
    budget, now_s, started_s, requests, retries = RetryBudget(), 1_000.0, 1_000.0, 0, 0
    for pause_s, count in bursts:
        now_s += pause_s
        for _ in range(count):
            budget.request(now_s)
            requests += 1
        while budget.spend(now_s):
            retries += 1
    windows = int((now_s - started_s) // WINDOW_S) + 2
    return f"{retries} of {requests}" if retries > SHARE * requests + FLOOR * windows else None


@given(traffic)
def test_retries_stay_within_their_budget(bursts: list[tuple[float, int]]) -> None:
    assert overspent(bursts) is None


def attempts_each(rate: int, seconds: int) -> float:
    """All attempts for each request of a steady flow in which nothing succeeds and everybody tries for ever."""
    budget, attempts = RetryBudget(), 0
    for number in range(rate * seconds):
        now_s = number / rate
        budget.request(now_s)
        attempts += 1
        while budget.spend(now_s):
            attempts += 1
    return attempts / (rate * seconds)


def test_a_steady_flow_of_failures_makes_at_most_a_fifth_more_attempts() -> None:
    assert attempts_each(200, 60) <= 1 + SHARE


def test_control_a_budget_that_forgets_what_it_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "WINDOW_S", 1)  # slots of one second, each forgotten at once
    turn = RetryBudget._turn

    def forgetful(self: RetryBudget, second: int) -> None:
        turn(self, second)
        self._retries = 0

    monkeypatch.setattr(RetryBudget, "_turn", forgetful)
    assert overspent([(0, 40), (0.3, 0)] + [(2, 0)] * 40) is not None


def test_a_gateway_with_little_to_do_may_try_again() -> None:
    budget = RetryBudget()
    budget.request(5)
    assert [budget.spend(5) for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]
    assert budget.spend(5 + WINDOW_S)


def test_who_is_beaten_to_the_first_byte_is_slow_and_not_ill() -> None:
    health = Health(0.0)
    health.first_byte(0.1, 10.0)
    for _ in range(20):
        health.ended(Ending.LATE, 1.0, 1.5, heard=False)
    assert health.breaker.state is BreakerState.CLOSED
    assert health.first_byte_ms > 100
    assert health.sign_s == 0.1  # nothing came from it


def test_how_long_a_whole_answer_took_makes_nobody_slow() -> None:
    health = Health(0.0)
    for _ in range(20):
        health.first_byte(1.0, None)
    assert (health.first_byte_ms, health.known_ms(1.0), health.sign_s) == (0.0, None, 1.0)
