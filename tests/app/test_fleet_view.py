"""What people see of the fleet at a glance."""

from dataclasses import replace

from parvis.app.fleet_seen import FleetBook
from parvis.app.fleet_view import FleetView
from parvis.core.clock import SystemClock
from parvis.core.tokens import TokenCount
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord

LOST = Replica("e-0", "e", EngineKind.LLAMA_CPP, "", ReplicaState.STARTING, why="The weights are too large.")


def test_the_own_reason_of_a_replica_goes_first() -> None:
    for replica, why in ((LOST, LOST.why), (replace(LOST, why=""), "No gateway knows it.")):
        book = FleetBook()
        view = FleetView(SystemClock(), book, lambda replica=replica: (replica,))  # type: ignore[misc]  # bound now
        [pool] = view.show([]).pools
        assert [one.why for one in pool.replicas] == [why]
        assert book.told(replica)["why"] == why


def test_what_a_replica_did_before_it_went_counts_for_its_pool() -> None:
    clock = SystemClock()
    here = [LOST, replace(LOST, replica_id="e-1")]
    view = FleetView(clock, FleetBook(), lambda: here)
    view.looked()
    started = Started("q", "o", "t", "k", "m", Operation.CHAT, "e-1", "v", 0, False, clock.unix_ms())  # noqa: FBT003 - in the order of its fields
    view.booked([UsageRecord(started, Settled("q", Outcome.COMPLETED, TokenCount(9, 0, 50, 0)))])
    for _ in range(2):
        fleet = view.show([])
        assert fleet.tokens_per_s > 0
        assert [pool.tokens_per_s for pool in fleet.pools] == [fleet.tokens_per_s]
        del here[1:]
        view.looked()
