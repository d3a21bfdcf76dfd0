"""When to come again: never before the estimate, bounded, and about the same from answer to answer."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.retry_after import RETRY_S_MAX, SPREAD, UNKNOWN_S, Pace, retry_after_s

TOKENS = 100
WAITING = 20


@given(st.floats(0, 1e6), st.integers(0, 10**6))
def test_it_is_bounded_and_never_too_early(estimate_s: float, number: int) -> None:
    said_s = retry_after_s(estimate_s, number)
    assert 1 <= said_s <= RETRY_S_MAX
    assert said_s >= min(estimate_s, RETRY_S_MAX / (1 + SPREAD))
    assert said_s <= max(1.0, estimate_s) * (1 + SPREAD) + 1


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 1000))
def test_who_has_more_ahead_is_never_called_sooner(one_s: float, other_s: float, number: int) -> None:
    assert retry_after_s(min(one_s, other_s), number) <= retry_after_s(max(one_s, other_s), number)


def test_those_who_are_refused_together_do_not_come_all_at_once() -> None:
    assert len({retry_after_s(40.0, number) for number in range(10)}) >= 4
    assert len({retry_after_s(1e6, number) for number in range(10)}) >= 4


@pytest.mark.parametrize("burst", [1, 4, 8])
def test_it_hardly_jumps_while_the_queue_moves_evenly(burst: int) -> None:
    """Turns come in bursts, at odd moments, at two a second on average; twenty wait all the time."""
    random, pace, now_s = Random(burst), Pace(), 0.0
    pace.begins(now_s)
    said: list[int] = []
    while now_s < 300:
        now_s += random.uniform(0.5, 1.5) * burst / 2
        if now_s > 60:
            said.append(retry_after_s(pace.estimate_s(WAITING * TOKENS, now_s), len(said)))
        for _ in range(burst):
            pace.served(TOKENS, now_s)
    assert 8 <= min(said) <= max(said) <= 17
    steps = [max(one, other) / min(one, other) for one, other in pairwise(said)]
    assert max(steps) <= 1.5


def test_before_the_first_turn_it_is_as_long_as_they_have_waited() -> None:
    pace = Pace()
    pace.begins(100.0)
    assert pace.estimate_s(50, 100.5) == UNKNOWN_S
    assert pace.estimate_s(50, 130.0) == 30.0


def test_times_in_which_nobody_waits_say_nothing() -> None:
    pace = Pace()
    for _ in range(5):
        pace.begins(now_s=1000.0)
        pace.served(10, 1002.0)
    assert pace.estimate_s(10, 1002.0) == pytest.approx(2.0)


def test_it_grows_while_nothing_moves() -> None:
    pace = Pace()
    pace.begins(0.0)
    pace.served(10, 1.0)
    estimates = [pace.estimate_s(10, now_s) for now_s in (1.0, 5.0, 20.0, 60.0)]
    assert estimates == sorted(estimates)
    assert estimates[-1] > 60
