"""Answers that had begun and do not go on, and requests that wait at a replica that is gone.

Looked for once in a while over all connections: nothing is done for an event, and no timer runs for a stream.
"""

from parvis.adapters.engines.upstream import Receiver, Stalled, Upstreams
from parvis.core.errors import EngineUnavailable

LATE_S = 5.0
"""After so long without a sweep it was this process that stood still, and what came meanwhile may not be read yet."""


class Stalls:
    """Looks at what every answer has brought, and remembers since when it is the same."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._marks: dict[Receiver, tuple[int, float]] = {}
        self._swept_s = 0.0

    def sweep(self, now_s: float, stall_s_max: float) -> set[str]:
        """End every answer that brought nothing for so long, and give the ids of the replicas whose answers went on.

        One that waits because its client is slow does not count. To be called about once a second.
        """
        if now_s - self._swept_s > LATE_S:
            self._marks = {}
        self._swept_s = now_s
        marks: dict[Receiver, tuple[int, float]] = {}
        moved: set[str] = set()
        for pool in self._upstreams.pools:
            for connection in list(pool.connections):
                receiver = connection.receiver
                if receiver is None or (came := receiver.came) < 0:
                    continue
                before, since_s = self._marks.get(receiver, (came, now_s))
                if came != before:
                    moved.add(pool.replica.replica_id)
                if came != before or connection.paused:
                    marks[receiver] = came, now_s
                elif now_s - since_s < stall_s_max:
                    marks[receiver] = came, since_s
                else:
                    connection.give_up(_stalled(stall_s_max))
        self._marks = marks
        return moved

    def desert(self, replica_id: str) -> int:
        """Fail what waits for a first byte there, so that it goes elsewhere; gives how many those were."""
        waiting = [
            connection
            for pool in self._upstreams.pools
            if pool.replica.replica_id == replica_id
            for connection in pool.connections
            if connection.receiver is not None and connection.receiver.came < 0
        ]
        for connection in waiting:
            connection.give_up(EngineUnavailable("The engine does not answer. Try again shortly.", retry_after_s=2))
        return len(waiting)


def _stalled(stall_s_max: float) -> Stalled:
    return Stalled(f"The engine sent nothing more for {stall_s_max:.0f} seconds, so the answer ends here. Try again.")
