"""What routing decided lately, kept small: told in full only when somebody asks."""

from array import array
from collections import deque

from parvis.domain.fleet.explained import Explained, explain
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.routing import Choice, Weights

DECISIONS_MAX = 4_096
MARKS_MAX = 4 << 20
"""Of all decisions together, four bytes each: of pools with more than 256 replicas fewer are kept."""


class Decisions:
    """The last ones of a gateway, by the id of their request."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, str, tuple[Replica, ...], int, Choice, Weights]] = deque()
        self._marks = 0

    def note(
        self, request_id: str, pool: str, replicas: tuple[Replica, ...], turn: int, choice: Choice, weights: Weights
    ) -> None:
        """Keep one. Its marks are of the replicas from the one at `turn` on, and then from the first."""
        if choice.marks:
            choice.marks = array("f", choice.marks)
            self._marks += len(choice.marks)
        self._kept.append((request_id, pool, replicas, turn, choice, weights))
        while len(self._kept) > DECISIONS_MAX or self._marks > MARKS_MAX:
            self._marks -= len(self._kept.popleft()[4].marks)

    def find(self, request_id: str) -> Explained | None:
        """The last one of a request, as it was; None where it is not known any more."""
        for noted, pool, replicas, turn, choice, weights in reversed(self._kept):
            if noted == request_id:
                return explain(noted, pool, choice, replicas[turn:] + replicas[:turn], weights)
        return None
