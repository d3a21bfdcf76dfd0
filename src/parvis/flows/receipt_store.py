"""What receipts need from the store: requests in the order in which they were booked, and the batches over them."""

from typing import Protocol

from parvis.domain.billing.batch import Batch, Bookings, LeafPlace
from parvis.domain.metering.records import UsageRecord


class ReceiptStore(Protocol):
    """Batches of receipts. The conformance suite is `parvis.testing.receipt_suite`."""

    async def unsealed(self, limit: int) -> tuple[Bookings, list[UsageRecord]] | None:
        """The next requests by booking and then by id: so many, and the rest of the last booking among them.

        None when all are in batches.
        """

    async def add_batch(self, batch: Batch) -> None:
        """Raises Conflict when a batch holds some of these bookings already."""

    async def last_batch(self) -> Batch | None:
        """The newest one: all bookings up to its last are signed."""

    async def leaf_place(self, request_id: str) -> LeafPlace | None:
        """Where a request stands, of whichever tenant; None of what was never booked."""
