"""Receipts that tenants check themselves: requests are signed together, some hundreds at a time, after their booking.

One signature covers a batch, so that nothing is signed on the way of a request. Batches follow one another without a
gap in the order of the bookings: a request that was booked is signed, whatever died in between. Each batch names the
SHA-256 of the file of the one before, so that the newest one stands for all of them.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from parvis.core.clock import Clock
from parvis.core.errors import NotFound, ServerBug
from parvis.core.ids import Randomness
from parvis.core.merkle import HASH_BYTES, path_of, root_of
from parvis.core.money import Money
from parvis.domain.billing.batch import Batch, Bookings
from parvis.domain.billing.price import PriceList
from parvis.domain.billing.receipt import SALT_BYTES, ReceiptRow
from parvis.domain.metering.records import UsageRecord
from parvis.domain.vault.signed_document import signed
from parvis.flows.receipt_file import BATCH_KIND, FORM, leaf_of, receipt_file
from parvis.flows.signing import Signer, installation_id
from parvis.flows.store import Store

BATCH_MAX = 512
SEED_BYTES = 32
PENDING_S = 1
Prices = dict[tuple[str, str], PriceList]


@dataclass(slots=True)
class Notary:
    """Signs what was booked. One at a time: two would only be in each other's way, and neither would do harm."""

    store: Store
    signer: Signer
    clock: Clock
    randomness: Randomness

    async def seal(self) -> int:
        """Sign the next batch; return how many requests are in it."""
        unsealed = await self.store.unsealed(BATCH_MAX)
        if unsealed is None:
            return 0
        bookings, requests = unsealed
        prices = by_version(await self.store.prices())
        # In a thread: the loop that waits has callers, and 512 requests take 20 ms to hash.
        batch = await asyncio.to_thread(self._batch, bookings, [row_of(record, prices) for record in requests])
        await self.store.add_batch(batch)
        return len(requests)

    def _batch(self, bookings: Bookings, rows: list[ReceiptRow]) -> Batch:
        seed, now = self.randomness(SEED_BYTES), self.clock.unix_ms()
        leaves = [leaf_of(row, salt_of(seed, index)) for index, row in enumerate(rows)]
        root, public_key = root_of(leaves), self.signer.public_key
        document = {
            "kind": BATCH_KIND,
            "form": FORM,
            "installation": installation_id(public_key),
            "first": bookings.first,
            "last": bookings.last,
            "size": len(rows),
            "root": root.hex(),
            "previous": hashlib.sha256(bookings.previous).hexdigest() if bookings.previous else "",
            "made_unix_ms": now,
        }
        file = signed(document, public_key, self.signer.sign)
        return Batch(bookings.first, bookings.last, len(rows), root, b"".join(leaves), seed, file, now)


async def receipt_of(store: Store, request_id: str) -> bytes:
    """The receipt of a request. Raises NotFound; in the second before it is signed, with the time to wait."""
    request, found = await store.request(request_id), await store.leaf_place(request_id)
    if request is None or found is None:
        raise NotFound(f"There is no request '{request_id}'.", param="request_id")
    if not found.booking:
        raise NotFound("This request was booked by a release that signed no receipts.", code="receipt_never_made")
    if found.batch is None:
        raise NotFound(
            "This request is booked and not signed yet. Ask again in a second.",
            code="receipt_pending",
            retry_after_s=PENDING_S,
        )
    batch, index = found.batch, found.leaf
    leaves = [batch.leaves[at : at + HASH_BYTES] for at in range(0, len(batch.leaves), HASH_BYTES)]
    row = row_of(request, by_version(await store.prices()))
    return receipt_file(row, salt_of(batch.seed, index), index, path_of(leaves, index), batch.document)


def by_version(lists: list[PriceList]) -> Prices:
    """Price lists by version and model."""
    return {(prices.version, prices.model_id): prices for prices in lists}


def prices_of(prices: Prices, version: str, model_id: str) -> PriceList:
    """The list that a request was priced by. Raises ServerBug: no price list is ever removed."""
    found = prices.get((version, model_id)) or prices.get((version, "*"))
    if found is None:
        raise ServerBug(f"There is no price list '{version}' for the model '{model_id}'.")
    return found


def row_of(record: UsageRecord, prices: Prices) -> ReceiptRow:
    """A request as its receipt shows it."""
    started, settled = record.started, record.settled
    return ReceiptRow(
        request_id=started.request_id,
        tenant_id=started.tenant_id,
        key_id=started.key_id,
        model_id=started.model_id,
        operation=started.operation,
        outcome=settled.outcome,
        started_unix_ms=started.started_unix_ms,
        first_byte_ms=settled.first_byte_ms,
        total_ms=settled.total_ms,
        tokens=settled.tokens,
        estimated=settled.estimated,
        prices=prices_of(prices, started.price_version, started.model_id),
        billed=Money(settled.billed_pico_euro),
        written_off=Money(settled.written_off_pico_euro),
        quantities=settled.quantities,
    )


def salt_of(seed: bytes, index: int) -> bytes:
    """The salt of one leaf: from it nobody learns another one."""
    return hmac.digest(seed, index.to_bytes(8), hashlib.sha256)[:SALT_BYTES]
