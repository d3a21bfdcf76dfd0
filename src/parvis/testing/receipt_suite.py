"""What every `ReceiptStore` promises, as functions that take a store."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import hashlib
import os

import pytest

from parvis.core.clock import SystemClock
from parvis.core.errors import Conflict, NotFound
from parvis.core.money import Money
from parvis.flows.receipt_file import checked
from parvis.flows.receipts import Notary, receipt_of
from parvis.flows.signing import Signer
from parvis.flows.store import Store
from parvis.testing.store_suite import lent, settle_in, usage_record

RUN = "run"


class SignedWith:
    """The promises about a store, with a key to sign with."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self.store = store
        self.key = signer.public_key
        self.notary = Notary(store, signer, SystemClock(), os.urandom)

    async def book(self, *numbers: int) -> None:
        """These requests in one transaction, the last first."""
        await self.store.ingest(RUN, 0, [usage_record(number, "unlimited") for number in reversed(numbers)])

    async def begin(self) -> None:
        await settle_in(self.store)
        await lent(self.store, "unlimited", RUN, Money.euro(1), "grant")


async def nothing_booked_is_nothing_to_sign(house: SignedWith) -> None:
    assert await house.store.unsealed(10) is None
    assert await house.notary.seal() == 0
    with pytest.raises(NotFound):
        await receipt_of(house.store, "req_000001")


async def every_request_has_a_receipt_after_one_round(house: SignedWith) -> None:
    await house.begin()
    await house.book(1, 2, 3)
    await house.book(4)
    with pytest.raises(NotFound) as early:
        await receipt_of(house.store, "req_000003")
    assert (early.value.code, early.value.retry_after_s) == ("receipt_pending", 1)
    assert await house.notary.seal() == 4
    assert await house.notary.seal() == 0
    for number in range(1, 5):
        file = await receipt_of(house.store, f"req_{number:06d}")
        assert checked(file, house.key).row["request_id"] == f"req_{number:06d}"


async def batches_follow_one_another_and_hold_whole_bookings(house: SignedWith) -> None:
    await house.begin()
    await house.book(5, 6, 7)
    await house.book(1, 2)
    first = await house.store.unsealed(1)
    assert first is not None
    assert [one.started.request_id for one in first[1]] == ["req_000005", "req_000006", "req_000007"]
    await house.notary.seal()
    await house.book(3)
    assert await house.notary.seal() == 1
    sealed = [await house.store.leaf_place(f"req_{number:06d}") for number in (5, 7, 2, 3)]
    assert [(one.leaf, one.batch.size) for one in sealed if one and one.batch] == [(0, 5), (2, 5), (4, 5), (0, 1)]
    before = sealed[0] and sealed[0].batch and hashlib.sha256(sealed[0].batch.document).hexdigest()
    assert checked(await receipt_of(house.store, "req_000003"), house.key).batch["previous"] == before


async def nothing_is_signed_twice(house: SignedWith) -> None:
    await house.begin()
    await house.book(1, 2)
    await house.notary.seal()
    sealed = await house.store.leaf_place("req_000001")
    assert sealed is not None
    assert sealed.batch is not None
    with pytest.raises(Conflict):
        await house.store.add_batch(sealed.batch)


RECEIPT_PROMISES = (
    nothing_booked_is_nothing_to_sign,
    every_request_has_a_receipt_after_one_round,
    batches_follow_one_another_and_hold_whole_bookings,
    nothing_is_signed_twice,
)
