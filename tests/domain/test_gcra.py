"""Rates let no more pass than they say, whatever is taken, given back, and shown by the owner's clock."""

from collections.abc import Iterable
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.quota.gcra import Bucket, give_back, interval_ns, take
from parvis.domain.quota.limit import Metric, Rate, Window
from parvis.domain.quota.share import RateShare
from parvis.domain.quota.slices import Slice, Unused, Want, take_places

START_US = 1_700_000_000_000_000
Use = tuple[int, int]
"""When, in microseconds, and how much."""


def overrun(uses: Iterable[Use], rate: Rate) -> str | None:
    """By brute force: an interval in which more was used than the amount and what refills in it."""
    uses = sorted(uses)
    sums = [0, *accumulate(units for _, units in uses)]
    window_us = rate.window.ms * 1000
    for i, (first_us, _) in enumerate(uses):
        for j in range(i, len(uses)):
            span_us, used = uses[j][0] - first_us, sums[j + 1] - sums[i]
            if used * window_us > rate.amount * (window_us + span_us):
                return f"{used} of {rate} in {span_us} us"
    return None


rates = st.builds(
    Rate,
    st.just(Metric.OUTPUT_TOKENS),
    st.sampled_from(Window),
    st.one_of(st.integers(1, 12), st.integers(1, 10_000_000)),
)
steps = st.lists(
    st.tuples(
        st.integers(0, 30),  # hundredths of a bucket that time refills
        st.integers(0, 5),  # seconds by which the clock goes back
        st.integers(1, 100),  # hundredths of the amount that are taken
        st.integers(0, 100),  # of these, hundredths that are not used
        st.integers(1, 4),  # steps after which the rest is given back
    ),
    min_size=1,
    max_size=25,
)


def units(rate: Rate, count: int, taken_us: int) -> Unused:
    return Unused("", count * interval_ns(rate), taken_us, interval_ns(rate))


class History:
    """One bucket at its owner, and what was truly used when."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.true_us = self.clock_us = START_US
        self.state: Bucket | None = None
        self.uses: list[Use] = []
        self.unused: list[tuple[int, int, int]] = []

    def step(self, passes: int, back_s: int, part: int, unused_part: int, after: int) -> None:
        passed_us = self.rate.window.ms * 10 * passes
        self.true_us += passed_us
        self.clock_us += passed_us - back_s * 1_000_000
        needed = max(self.rate.amount * part // 100, 1)
        self.state, slice_ = take(self.state, self.clock_us, self.rate, Want("", needed, needed))
        if slice_.granted:
            unused = slice_.granted * unused_part // 100
            self.uses.append((self.true_us, slice_.granted - unused))
            self.unused.append((after, unused, slice_.at_us))
        self._give_back()

    def _give_back(self) -> None:
        later = []
        for after, unused, taken_us in self.unused:
            if after == 0:
                self.state = give_back(self.state, self.clock_us, self.rate, units(self.rate, unused, taken_us))
            else:
                later.append((after - 1, unused, taken_us))
        self.unused = later


@given(rates, steps)
def test_no_interval_is_above_the_amount_and_what_refills(
    rate: Rate, told: list[tuple[int, int, int, int, int]]
) -> None:
    history = History(rate)
    for step in told:
        history.step(*step)
    assert overrun(history.uses, rate) is None


@given(rates)
def test_a_full_bucket_holds_its_amount_to_the_unit(rate: Rate) -> None:
    state, slice_ = take(None, START_US, rate, Want("", rate.amount, rate.amount))
    assert (slice_.granted, slice_.remaining) == (rate.amount, 0)
    assert take(state, START_US, rate, Want("", 1, 1))[1].granted == 0
    assert rate.window.ms <= slice_.full_ms <= rate.window.ms + rate.amount // 1_000_000 + 1
    again_us = START_US + -(-rate.amount * interval_ns(rate) // 1000)
    assert take(state, again_us, rate, Want("", rate.amount, rate.amount))[1].granted == rate.amount


@given(rates, st.integers(1, 100), st.integers(1, 100))
def test_what_is_needed_is_there_when_it_was_said_to_be(rate: Rate, used: int, needed: int) -> None:
    units = max(rate.amount * used // 100, 1), max(rate.amount * needed // 100, 1)
    state, _ = take(None, START_US, rate, Want("", units[0], units[0]))
    state, slice_ = take(state, START_US, rate, Want("", units[1], units[1]))
    if slice_.granted == 0:
        then_us = START_US + slice_.wait_ms * 1000
        assert take(state, then_us - 1000, rate, Want("", units[1], units[1]))[1].granted == 0
        assert take(state, then_us, rate, Want("", units[1], units[1]))[1].granted == units[1]


def test_the_checker_sees_an_overrun() -> None:
    """Giving back without regard to time: a bucket that drained meanwhile is refilled twice."""
    rate = Rate(Metric.REQUESTS, Window.MINUTE, 60)
    state, slice_ = take(None, START_US, rate, Want("", 60, 60))
    later_us = START_US + 60_000_000
    state, _ = take(state, later_us, rate, Want("", 60, 60))
    careful = give_back(state, later_us, rate, units(rate, 60, slice_.at_us))
    assert take(careful, later_us, rate, Want("", 1, 1))[1].granted == 0
    careless = give_back(state, later_us, rate, units(rate, 60, later_us))
    again = take(careless, later_us, rate, Want("", 60, 60))[1].granted
    assert overrun([(START_US, 0), (later_us, 60), (later_us, again)], rate) is not None


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(1, 30), st.integers(1, 12), st.integers(0, 20))
def test_places_are_never_more_than_the_limit(others: list[int], places_max: int, needed: int, more: int) -> None:
    held = max(min(places_max - sum(others), 3), 0)
    slice_ = take_places(held, others, places_max, Want("", needed, needed + more), 0)
    if slice_.granted != held:
        assert needed <= slice_.granted <= needed + more
        assert slice_.granted + sum(others) <= places_max
    assert (needed <= places_max - sum(others)) == (slice_.granted >= needed or slice_.granted != held)


def test_a_share_melts_while_it_waits() -> None:
    rate = Rate(Metric.REQUESTS, Window.MINUTE, 60_000)  # a unit in a millisecond
    share = RateShare("key:k|requests|minute", rate)
    share.take(Slice(100, 59_900, 100, 0, 7), 0, 0, 0)
    assert [share.free(ms * 1_000_000) for ms in (0, 1, 40, 99, 100, 5_000)] == [100, 99, 60, 1, 0, 0]
    assert share.reserve(60, 40_000_000) == 0
    assert share.free(40_000_000) == 0


def test_what_a_share_gives_back_is_never_more_than_what_is_left_of_it() -> None:
    rate = Rate(Metric.REQUESTS, Window.MINUTE, 60_000)
    share = RateShare("key:k|requests|minute", rate)
    state, slice_ = take(None, START_US, rate, Want("", 100, 100))
    share.take(slice_, 0, 0, 0)
    unused = share.give_up(40_000_000)
    assert unused is not None
    assert unused.amount == 60_000_000 + 40_000_000 * 24 // 25
    state = give_back(state, START_US + 40_000, rate, unused)
    assert state.debt_ns == 1_600_000
    assert share.give_up(40_000_000) is None
