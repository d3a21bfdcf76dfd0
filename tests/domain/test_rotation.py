"""Rotation: at most two live secrets, none without its end, and nobody cut off who did what was asked."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from parvis.domain.identity.api_key import ApiKey, secret_matched
from parvis.domain.identity.notice import ATTEMPTS_MAX, Dispatch, NoticeKind, after_attempt
from parvis.domain.identity.rotation import DAY_MS, Phase, Schedule, schedule_faults
from parvis.domain.identity.succession import (
    Refusal,
    due_now,
    first_secret,
    live_secrets,
    moments,
    next_secret,
    rescheduled,
    standing,
    with_grace,
    without_old,
)

NOW = 1_784_000_000_000
SCHEDULE = Schedule()
BLANK = ApiKey("k", "org", "lab", "notebook", ())
spans = st.integers(1_000, 400 * DAY_MS)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    every = draw(st.integers(60_000, 400 * DAY_MS))
    return Schedule(
        every,
        draw(st.integers(1_000, every - 1)),
        draw(st.integers(0, every - 1)),
        draw(st.integers(1_000, 90 * DAY_MS)),
    )


def digest(number: int) -> bytes:
    return number.to_bytes(32)


def made(schedule: Schedule | None = SCHEDULE) -> ApiKey:
    return first_secret(replace(BLANK, schedule=schedule), digest(0), NOW)


def rotated(key: ApiKey, now: int, *, presented: int | None = None, used: bool = False, early: bool = True) -> ApiKey:
    name = key.secrets[0].made_unix_ms if presented is None else presented
    after = next_secret(key, name, digest(now), now, used=used, early=early)
    assert isinstance(after, ApiKey), after
    return after


@given(schedules())
def test_what_the_strategy_draws_is_a_schedule(schedule: Schedule) -> None:
    assert schedule_faults(schedule) == []


def test_a_schedule_that_cannot_be_is_named() -> None:
    for wrong in (
        Schedule(every_ms=1),
        Schedule(overlap_ms=90 * DAY_MS),
        Schedule(overlap_ms=0),
        Schedule(notice_ms=91 * DAY_MS),
        Schedule(grace_ms=0),
    ):
        assert schedule_faults(wrong)


@given(schedules(), spans)
def test_a_secret_that_nobody_follows_works_until_the_grace_ends_and_not_one_millisecond_longer(
    schedule: Schedule, after: int
) -> None:
    key = made(schedule)
    ends = NOW + schedule.every_ms + schedule.grace_ms
    assert secret_matched(key, digest(0), ends - 1) is not None
    assert secret_matched(key, digest(0), ends) is None
    assert (standing(key, NOW + after).phase is Phase.EXPIRED) == (NOW + after >= ends)


@given(schedules(), st.data())
def test_both_work_for_the_overlap(schedule: Schedule, data: st.DataObject) -> None:
    """Whenever the next one was fetched, also in the last moment of the grace."""
    at = data.draw(st.integers(NOW, NOW + schedule.every_ms + schedule.grace_ms - 1))
    key = rotated(made(schedule), at)
    for inside in (at, at + schedule.overlap_ms - 1):
        assert secret_matched(key, digest(0), inside) is not None
        assert secret_matched(key, digest(at), inside) is not None
    assert secret_matched(key, digest(0), at + schedule.overlap_ms) is None
    assert standing(key, at).phase is Phase.OVERLAP


@given(schedules())
def test_it_is_due_when_the_notice_comes_and_not_before(schedule: Schedule) -> None:
    key = made(schedule)
    notice = NOW + schedule.every_ms - schedule.notice_ms
    assert next_secret(key, NOW, digest(1), notice - 1, used=False, early=False) is Refusal.NOT_DUE
    assert isinstance(next_secret(key, NOW, digest(1), notice, used=False, early=False), ApiKey)
    assert isinstance(next_secret(key, NOW, digest(1), notice - 1, used=False, early=True), ApiKey)


def test_an_answer_that_was_lost_is_replaced_and_the_old_one_ends_as_before() -> None:
    first = rotated(made(), NOW + 5)
    again = rotated(first, NOW + 9, presented=NOW)
    assert [secret.digest for secret in again.secrets] == [digest(NOW + 9), digest(0)]
    assert again.secrets[1] == first.secrets[1]
    assert next_secret(again, NOW, digest(1), NOW + 10, used=True, early=True) is Refusal.FOLLOWED


def test_a_third_secret_is_never_made_while_two_work() -> None:
    key = rotated(made(), NOW + 5)
    assert next_secret(key, NOW + 5, digest(1), NOW + 6, used=True, early=True) is Refusal.OVERLAPPING
    assert len(rotated(without_old(key), NOW + 6).secrets) == 2


def test_who_presents_what_has_ended_gets_nothing() -> None:
    key = rotated(made(), NOW + 5)
    late = NOW + 5 + SCHEDULE.overlap_ms
    assert next_secret(key, NOW, digest(1), late, used=False, early=True) is Refusal.ENDED
    assert next_secret(key, 7, digest(1), NOW + 6, used=False, early=True) is Refusal.ENDED


def test_two_secrets_of_one_millisecond_have_two_names() -> None:
    key = rotated(made(), NOW)
    assert len({secret.made_unix_ms for secret in key.secrets}) == 2


@given(st.none() | schedules(), spans)
def test_due_now_is_due_at_once_and_ends_with_the_grace(schedule: Schedule | None, after: int) -> None:
    key, now = made(schedule), NOW + after
    if standing(key, now).phase is Phase.EXPIRED:
        return
    grace = (schedule or SCHEDULE).grace_ms
    pushed = due_now(key, now)
    was_due = min(now, key.due_unix_ms or now)
    assert (pushed.due_unix_ms, pushed.secrets[0].ends_unix_ms) == (was_due, was_due + grace)
    assert rotated(pushed, was_due, early=False).due_unix_ms == (schedule and was_due + schedule.every_ms)


@given(schedules(), schedules(), spans)
def test_another_schedule_never_ends_a_key_at_once(before: Schedule, schedule: Schedule, after: int) -> None:
    key, now = made(before), NOW + after
    if standing(key, now).phase is Phase.EXPIRED:
        assert rescheduled(key, schedule, now).secrets == key.secrets
        return
    changed = rescheduled(key, schedule, now)
    assert schedule == before or (changed.secrets[0].ends_unix_ms or 0) >= now + schedule.grace_ms
    endless = rescheduled(key, None, now)
    assert (endless.due_unix_ms, endless.secrets[0].ends_unix_ms, moments(endless)) == (None, None, ())


def test_a_longer_grace_moves_the_end_and_not_the_day_on_which_it_was_due() -> None:
    key = made()
    longer = with_grace(key, NOW + 200 * DAY_MS)
    assert longer.due_unix_ms == key.due_unix_ms
    assert standing(longer, NOW + 199 * DAY_MS).phase is Phase.DUE
    assert standing(key, NOW + 199 * DAY_MS).phase is Phase.EXPIRED


def test_what_is_told_comes_by_time() -> None:
    due, ends = NOW + 90 * DAY_MS, NOW + 104 * DAY_MS
    assert moments(made()) == (
        (due - 14 * DAY_MS, NoticeKind.ROTATION_DUE),
        (due + DAY_MS, NoticeKind.ROTATION_LATE),
        (ends - DAY_MS, NoticeKind.ROTATION_LATE),
        (ends, NoticeKind.KEY_EXPIRED),
    )
    assert moments(replace(made(), active=False)) == ()
    assert moments(replace(made(None), ends_unix_ms=NOW + DAY_MS, created_unix_ms=NOW)) == (
        (NOW, NoticeKind.KEY_EXPIRES),
        (NOW + DAY_MS, NoticeKind.KEY_EXPIRED),
    )


@given(schedules())
def test_nothing_is_told_of_a_key_after_its_end(schedule: Schedule) -> None:
    told = moments(replace(made(schedule), ends_unix_ms=NOW + 30 * DAY_MS))
    assert [kind for _, kind in told].count(NoticeKind.KEY_EXPIRED) == 1
    assert told[-1][0] == min(NOW + 30 * DAY_MS, NOW + schedule.every_ms + schedule.grace_ms)


def test_a_dispatch_is_tried_three_times_with_growing_pauses() -> None:
    dispatch, now, pauses = Dispatch("ntc", "ntt", next_unix_ms=0), 0, []
    while dispatch.next_unix_ms is not None:
        now = dispatch.next_unix_ms
        dispatch = after_attempt(dispatch, now, "nobody answers")
        pauses.append((dispatch.next_unix_ms or now) - now)
    assert (dispatch.attempts, dispatch.sent_unix_ms) == (ATTEMPTS_MAX, None)
    assert pauses[0] < pauses[1]
    assert after_attempt(Dispatch("ntc", "ntt"), 7).sent_unix_ms == 7


class Rotations(RuleBasedStateMachine):
    """Any order of acts: whoever holds the newest secret, or has just been promised an overlap, is let in."""

    @initialize(schedule=st.none() | schedules())
    def start(self, schedule: Schedule | None) -> None:
        self.now, self.drawn = NOW, 0
        self.key = made(schedule)
        self.promised: dict[bytes, int] = {}
        self.ended: set[bytes] = set()

    @rule(ms=st.integers(1, 20 * DAY_MS))
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule(used=st.booleans(), early=st.booleans(), oldest=st.booleans())
    def fetch(self, *, used: bool, early: bool, oldest: bool) -> None:
        by = self.key.secrets[-1 if oldest else 0]
        self.drawn += 1
        before = self.key
        after = next_secret(self.key, by.made_unix_ms, digest(self.drawn), self.now, used=used, early=early)
        if isinstance(after, ApiKey):
            self.key = after
            self.ended |= {s.digest for s in before.secrets} - {s.digest for s in after.secrets}
            self.promised = {s.digest: s.ends_unix_ms for s in after.secrets[1:] if s.ends_unix_ms is not None}

    @rule()
    def end_old(self) -> None:
        self.ended |= {secret.digest for secret in self.key.secrets[1:]}
        self.promised = {}
        self.key = without_old(self.key)

    @rule(schedule=st.none() | schedules())
    def reschedule(self, schedule: Schedule | None) -> None:
        self.key = rescheduled(self.key, schedule, self.now)

    @invariant()
    def two_at_most_and_each_has_its_end(self) -> None:
        live = live_secrets(self.key, self.now)
        assert len(live) <= 2
        assert all(secret.ends_unix_ms is not None for secret in live[1:])
        assert [s.made_unix_ms for s in self.key.secrets] == sorted({s.made_unix_ms for s in self.key.secrets})[::-1]

    @invariant()
    def promises_are_kept(self) -> None:
        for one, ends in self.promised.items():
            assert (secret_matched(self.key, one, self.now) is not None) == (self.now < ends)
        assert not any(secret_matched(self.key, one, self.now) for one in self.ended)

    @invariant()
    def a_phase_lasts_until_it_says(self) -> None:
        now = standing(self.key, self.now)
        if now.next_unix_ms is not None:
            assert now.next_unix_ms > self.now
            assert standing(self.key, now.next_unix_ms - 1).phase is now.phase
            assert standing(self.key, now.next_unix_ms).phase is not now.phase


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=60, stateful_step_count=30)
