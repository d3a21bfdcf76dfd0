"""What several gateways see of a replica comes to one word, and to nothing when they have gone."""

import pytest

from parvis.adapters.link.messages import SeatSeen
from parvis.adapters.telemetry.exposition import Exposition
from parvis.app.fleet_seen import FleetBook
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState

OPEN = SeatSeen("e-0", open=True, probing=False, pace=1.0, why="", in_flight=2, first_byte_ms=40.0)
CLOSED = SeatSeen(
    "e-0", open=False, probing=False, pace=0.1, why="Nothing listens there.", in_flight=1, first_byte_ms=0
)
RETURNING = SeatSeen(
    "e-0", open=True, probing=False, pace=0.4, why="It comes back slowly.", in_flight=0, first_byte_ms=60
)


def book_of(*seats: SeatSeen) -> FleetBook:
    book = FleetBook()
    for number, seat in enumerate(seats):
        book.said(f"gw-{number}", [seat])
    return book


@pytest.mark.parametrize(
    ("seats", "state", "why"),
    [
        ((), "unseen", "No gateway knows it."),
        ((OPEN, OPEN), "open", ""),
        ((OPEN, CLOSED), "partly", "Nothing listens there."),
        ((CLOSED, CLOSED), "closed", "Nothing listens there."),
        ((OPEN, RETURNING), "returning", "It comes back slowly."),
    ],
)
def test_a_word_for_what_gateways_see(seats: tuple[SeatSeen, ...], state: str, why: str) -> None:
    seen = book_of(*seats).of("e-0")
    assert (seen.state, seen.why) == (state, why)


def test_numbers_come_together_and_go_with_their_gateway() -> None:
    book = book_of(OPEN, RETURNING, CLOSED)
    seen = book.of("e-0")
    assert (seen.gateways, seen.open, seen.in_flight, seen.first_byte_ms) == (3, 2, 3, 50)
    told = book.told(Replica("e-0", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY))
    assert (told["seen"], told["in_flight"], told["pace"]) == ("partly", 3, 0.5)
    for number in range(3):
        book.gone(f"gw-{number}")
    assert book.measures() == {}


def test_metrics_have_those_that_are_there() -> None:
    metrics, book = Exposition(), book_of(OPEN, CLOSED)
    metrics.seen(book.measures())
    assert 'parvis_replica_open{replica="e-0"} 0.5' in metrics.text()
    assert 'parvis_replica_first_byte_ms{replica="e-0"} 40.0' in metrics.text()
    metrics.add("gw-0", [("parvis_ejections_total", ("e-0",), 2), ("parvis_retries_total", ("made",), 3)], [])
    assert 'parvis_ejections_total{replica="e-0"} 2.0' in metrics.text()
    metrics.seen({})
    assert "parvis_replica_open{" not in metrics.text()
