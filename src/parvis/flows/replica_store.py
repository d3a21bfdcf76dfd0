"""What the comparison with the engines' counters needs from the store."""

from typing import Protocol

from parvis.domain.metering.comparison import Booked


class ReplicaStore(Protocol):
    """Usage by who computed it."""

    async def booked_on(self, replica_id: str, since_unix_ms: int) -> Booked:
        """What the ledger has of requests that this replica answered last and that started at or after this instant."""
