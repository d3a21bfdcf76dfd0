"""What gateways see of the replicas, brought together in control: for people, and for metrics."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from parvis.adapters.link.messages import SeatSeen
from parvis.domain.fleet.replica import Replica


@dataclass(frozen=True, slots=True)
class ReplicaSeen:
    """One replica, as all gateways together see it."""

    gateways: int
    """How many know it."""
    open: int
    """How many of them send it requests."""
    in_flight: int
    pace: float
    """How much of its share it takes, on average: less than 1 while it comes back."""
    first_byte_ms: int
    """On average, of those that know."""
    why: str
    """Of the first one that does not send it everything."""

    @property
    def state(self) -> str:
        """In a word: `open`, `closed` (nobody asks it), `partly` (some do), `returning`, or `unseen`."""
        if not self.gateways:
            return "unseen"
        if self.open < self.gateways:
            return "partly" if self.open else "closed"
        return "returning" if self.pace < 1 else "open"


UNSEEN = ReplicaSeen(0, 0, 0, 0.0, 0, "No gateway knows it.")


class FleetBook:
    """The last word of each gateway. One that has left knows nothing any more."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, SeatSeen]] = {}

    def said(self, gateway: str, seats: list[SeatSeen]) -> None:
        """A gateway tells of all its seats."""
        self._said[gateway] = {seat.replica_id: seat for seat in seats}

    def gone(self, gateway: str) -> None:
        """It has left."""
        self._said.pop(gateway, None)

    def of(self, replica_id: str) -> ReplicaSeen:
        """What is known of one replica."""
        seats = [said[replica_id] for said in self._said.values() if replica_id in said]
        if not seats:
            return UNSEEN
        first_bytes_ms = [seat.first_byte_ms for seat in seats if seat.first_byte_ms]
        return ReplicaSeen(
            gateways=len(seats),
            open=sum(seat.open for seat in seats),
            in_flight=sum(seat.in_flight for seat in seats),
            pace=fmean(seat.pace for seat in seats),
            first_byte_ms=round(fmean(first_bytes_ms)) if first_bytes_ms else 0,
            why=next((seat.why for seat in seats if seat.why), ""),
        )

    def told(self, replica: Replica) -> dict[str, Any]:
        """A replica and how it does, as `GET /v1/status` tells it."""
        seen = self.of(replica.replica_id)
        return {
            "id": replica.replica_id,
            "engine": replica.engine,
            "kind": replica.kind,
            "address": replica.address,
            "state": replica.state,
            "seen": seen.state,
            "why": replica.why or seen.why,
            "in_flight": seen.in_flight,
            "pace": round(seen.pace, 2),
            "first_byte_ms": seen.first_byte_ms,
        }

    def measures(self) -> dict[str, dict[str, float]]:
        """For metrics, of all replicas that any gateway knows."""
        known = sorted({replica_id for said in self._said.values() for replica_id in said})
        return {replica_id: _measures(self.of(replica_id)) for replica_id in known}


def _measures(seen: ReplicaSeen) -> dict[str, float]:
    return {"open": seen.open / seen.gateways, "first_byte_ms": seen.first_byte_ms}
