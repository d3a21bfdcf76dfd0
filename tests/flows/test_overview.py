"""The fleet as people look at it: sums that add up, and since when each replica is in its state."""

from parvis.core.money import Money
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.metering.lately import Done
from parvis.flows.overview import ReplicaNow, Sight, Sightings, pools_now, replica_now, talkers_now

READY, CORDONED = ReplicaState.READY, ReplicaState.CORDONED


def seen(name: str, state: ReplicaState = READY, sight: str = "open", slots: int = 4, running: int = 2) -> ReplicaNow:
    replica = Replica(name, "pool", EngineKind.VLLM, "http://127.0.0.1:1", state, slots=slots, why="by ops")
    why = "3 of 5 requests failed" if sight == "closed" else ""
    return replica_now(replica, Sight(sight, why, running, 12), Done(1, 60), 30_000, lambda *_: 5)


def test_what_the_operator_says_goes_before_what_gateways_see() -> None:
    assert (seen("a").state, seen("a").why, seen("a").tokens_per_s) == ("open", "by ops", 2.0)
    assert seen("a", CORDONED, "closed").state == "cordoned"
    assert (seen("a", sight="closed").state, seen("a", sight="closed").why) == ("closed", "3 of 5 requests failed")


def test_pools_add_up() -> None:
    [pool, other] = pools_now(
        [("p", seen("b", sight="closed")), ("p", seen("a")), ("q", seen("c", slots=0))],
        [{"p": 3, "q": 1}, {"p": 4}],
    )
    assert (pool.open, pool.in_flight, pool.slots, pool.waiting, pool.tokens_per_s) == (1, 4, 8, 7, 4.0)
    assert [one.replica_id for one in pool.replicas] == ["a", "b"]
    assert (other.slots, other.waiting) == (0, 1)


def test_who_talks_most_comes_first() -> None:
    done = {f"t{n:02}": Done(n, 10 * n, Money(n)) for n in range(30)}
    talkers = talkers_now(done, 60_000)
    assert [one.tenant_id for one in talkers] == [f"t{n:02}" for n in range(29, 9, -1)]
    assert (talkers[0].tokens_per_s, talkers[0].per_hour) == (290 / 60, Money(29 * 60))


def test_a_state_is_remembered_from_when_it_was_first_seen() -> None:
    sightings = Sightings()
    assert [sightings.since("a", state, at) for at, state in enumerate("xxyyx", 1)] == [1, 1, 3, 3, 5]
    sightings.forget([])
    assert sightings.since("a", "x", 9) == 9
