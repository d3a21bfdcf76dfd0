"""Requests that are signed together, and where a request stands among them."""

from typing import NamedTuple


class Bookings(NamedTuple):
    """Whole bookings that follow the newest batch."""

    first: int
    last: int
    previous: bytes
    """The signed file of the batch before; empty before the first."""


class Batch(NamedTuple):
    """Never changed, never removed."""

    first: int
    """The numbers of the bookings in which its requests came."""
    last: int
    size: int
    root: bytes
    leaves: bytes
    """The hashes of the leaves, 32 bytes each, by booking and then by id of the request."""
    seed: bytes
    """What the salts of the leaves derive from."""
    document: bytes
    """The signed file that names the root."""
    at_unix_ms: int


class LeafPlace(NamedTuple):
    """Where a request stands."""

    booking: int
    """0 of what was booked by a release before there were receipts."""
    batch: Batch | None
    """None until it is signed."""
    leaf: int
    """Which leaf of the batch it is."""
