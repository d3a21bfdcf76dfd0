"""Who waits, and whose turn it is: the laws hold for any history, and for none once a bug is planted."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.fair_queue import FLOOR, Bounds, FairQueue, Full, Ticket
from parvis.testing.queue_laws import (
    QUEUE_BUGS,
    TAKE,
    TOKENS_EACH_MAX,
    Act,
    Join,
    Leave,
    Pass,
    broken_laws,
    drawn_history,
)

WIDE = Bounds(waiting_max=1_000, per_tenant_max=500, tokens_max=10**9)
_joins = st.builds(
    Join, st.sampled_from(["noisy", "other", "quiet"]), st.integers(1, TOKENS_EACH_MAX), st.sampled_from([0, 1, 5])
)
_acts: st.SearchStrategy[Act] = st.one_of(
    _joins, _joins, st.just(TAKE), st.builds(Leave, st.integers(0, 30)), st.builds(Pass, st.integers(0, 20))
)


def joined(queue: FairQueue, tenant_id: str, tokens: int = 1, priority: int = 0, now_s: float = 0.0) -> Ticket:
    answer = queue.join(Ask("pool", tenant_id, tokens, priority=priority), now_s)
    assert not isinstance(answer, Full), answer
    return answer[0]


def served(queue: FairQueue, turns: int = 1_000) -> list[str]:
    """The tenants of the next turns, in order."""
    order = []
    while turns and (ticket := queue.turn()) is not None:
        queue.take(ticket)
        order.append(ticket.ask.tenant_id)
        turns -= 1
    return order


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 50)), max_size=40), st.integers(0, 20))
def test_what_is_ahead_is_what_is_served_before(asked: list[tuple[str, int]], turns: int) -> None:
    """But for the last request of each tenant, which may be of another size than its first."""
    queue = FairQueue(WIDE)
    for tenant_id, tokens in asked:
        joined(queue, tenant_id, tokens)
    served(queue, turns)
    estimate = queue.ahead(Ask("pool", "a", 7))
    mine, before = joined(queue, "a", 7), 0
    while (ticket := queue.turn()) is not mine:
        assert ticket is not None
        queue.take(ticket)
        before += ticket.cost
    assert abs(estimate - before) <= 3 * 50


def test_what_is_ahead_of_a_tenant_is_not_what_others_have_waiting() -> None:
    queue = FairQueue(WIDE)
    for _ in range(100):
        joined(queue, "noisy", 10)
    joined(queue, "above", 40, priority=5)
    assert queue.ahead(Ask("pool", "noisy", 10)) == 1040
    assert queue.ahead(Ask("pool", "quiet", 10)) == 50
    assert queue.ahead(Ask("pool", "above", 10, priority=5)) == 40 + 40 // FLOOR
    assert queue.ahead(Ask("pool", "first", 10, priority=9)) == 0


@given(st.lists(_acts, max_size=120))
def test_the_laws_hold(acts: list[Act]) -> None:
    assert broken_laws(acts) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_laws_hold_in_long_histories(seed: int) -> None:
    assert broken_laws(drawn_history(Random(seed), 1_500)) == []


@pytest.mark.parametrize("bug", sorted(QUEUE_BUGS))
def test_a_planted_bug_breaks_a_law(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    QUEUE_BUGS[bug](monkeypatch)
    assert any(broken_laws(drawn_history(Random(seed), 1_500)) for seed in range(5))


@settings(max_examples=50)
@given(st.lists(_joins, max_size=20), _joins, st.lists(_joins, max_size=10), st.integers(0, 10))
def test_who_leaves_leaves_no_trace(before: list[Join], left: Join, after: list[Join], turns: int) -> None:
    orders = []
    for with_one_that_leaves in (False, True):
        queue = FairQueue(WIDE)
        for one in before:
            joined(queue, *one)
        served(queue, turns)
        if with_one_that_leaves:
            queue.leave(joined(queue, *left))
        for one in after:
            joined(queue, *one)
        orders.append(served(queue))
    assert orders[0] == orders[1]


def test_tokens_are_shared_and_not_turns() -> None:
    queue = FairQueue(WIDE)
    for _ in range(20):
        joined(queue, "long", 1_000)
        joined(queue, "short", 100)
    assert served(queue, 11).count("short") == 10


def test_who_was_away_is_next_and_no_more() -> None:
    queue = FairQueue(WIDE)
    for _ in range(100):
        joined(queue, "noisy", 100)
    served(queue, 50)
    for _ in range(3):
        joined(queue, "quiet", 100)
    assert served(queue, 6).count("quiet") == 3


def test_a_higher_priority_goes_first_and_the_lower_gets_its_floor() -> None:
    queue = FairQueue(WIDE)
    for _ in range(90):
        joined(queue, "standard", 100)
        joined(queue, "monthly", 100, priority=1)
    order = served(queue, 90)
    assert order[:FLOOR] == ["monthly"] * FLOOR
    assert order.count("standard") == 90 // (FLOOR + 1)


def test_the_room_is_shared_too() -> None:
    queue = FairQueue(Bounds(waiting_max=10, per_tenant_max=8, tokens_max=10**6))
    for _ in range(8):
        joined(queue, "noisy")
    assert queue.join(Ask("pool", "noisy"), 0.0) is Full.SHARE
    for tenant_id in ("quiet", "other"):
        joined(queue, tenant_id)
    late = queue.join(Ask("pool", "late"), 0.0)
    assert not isinstance(late, Full)
    assert [(one.ask.tenant_id, one.number) for one in late[1]] == [("noisy", 8)]


def test_tokens_fill_the_room_as_places_do() -> None:
    queue = FairQueue(Bounds(waiting_max=10, per_tenant_max=5, tokens_max=1_000))
    for _ in range(2):
        joined(queue, "noisy", 250)
    assert queue.join(Ask("pool", "noisy", 1), 0.0) is Full.SHARE
    joined(queue, "other", 500)
    displaced = queue.join(Ask("pool", "quiet", 100), 0.0)
    assert not isinstance(displaced, Full)
    assert [one.cost for one in displaced[1]] == [250]
    assert queue.join(Ask("pool", "late", 900), 0.0) is Full.ROOM


def test_a_request_that_is_larger_than_the_room_waits_alone() -> None:
    queue = FairQueue(Bounds(tokens_max=100))
    huge = joined(queue, "long", 5_000)
    assert queue.join(Ask("pool", "long", 1), 0.0) is Full.SHARE
    assert queue.turn() is huge


def test_who_is_passed_over_keeps_its_turn() -> None:
    queue = FairQueue(WIDE)
    first, second = joined(queue, "a"), joined(queue, "b")
    assert queue.turn({first}) is second
    queue.take(second)
    assert queue.turn({first}) is None
    assert queue.turn() is first


def test_late_ones_are_sent_away_in_their_order() -> None:
    queue = FairQueue(Bounds(wait_s_max=30.0))
    first, second = joined(queue, "a", now_s=1.0), joined(queue, "b", now_s=2.0)
    assert queue.due_s == 31.0
    assert queue.overdue(30.9) == []
    assert queue.overdue(31.0) == [first]
    assert queue.overdue(40.0) == [second]
    assert queue.due_s is None


def test_who_cannot_go_for_a_while_saves_up_no_turns() -> None:
    queue = FairQueue(Bounds())
    held = joined(queue, "quiet", 100)
    for _ in range(5):
        other = joined(queue, "noisy", 100)
        assert queue.turn({held}) is other
        queue.take(other)
    tenants = []
    for tenant_id in ("quiet", "noisy") * 3:
        joined(queue, tenant_id, 100)
    queue.leave(held)
    while (ticket := queue.turn()) is not None:
        queue.take(ticket)
        tenants.append(ticket.ask.tenant_id)
    assert tenants.index("noisy") <= 2
