"""What people see of the fleet at a glance."""

from dataclasses import replace

from parvis.app.fleet_seen import FleetBook
from parvis.app.fleet_view import FleetView
from parvis.core.clock import SystemClock
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState

LOST = Replica("e-0", "e", EngineKind.LLAMA_CPP, "", ReplicaState.STARTING, why="The weights are too large.")


def test_the_own_reason_of_a_replica_goes_first() -> None:
    for replica, why in ((LOST, LOST.why), (replace(LOST, why=""), "No gateway knows it.")):
        book = FleetBook()
        view = FleetView(SystemClock(), book, lambda replica=replica: (replica,))  # type: ignore[misc]  # bound now
        [pool] = view.show([]).pools
        assert [one.why for one in pool.replicas] == [why]
        assert book.told(replica)["why"] == why
