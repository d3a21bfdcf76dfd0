"""The receipt of a request, as a type. The file itself passes as it was made, to its last byte."""

from typing import Literal

from msgspec import UNSET, UnsetType

from parvis.api.web.answers import Quantities, Shape
from parvis.domain.metering.records import Operation, Outcome


class Signature(Shape):
    """Of the canonical JSON of the document; in hexadecimal digits."""

    algorithm: Literal["Ed25519"]
    public_key: str
    value: str


class BatchDocument(Shape):
    """What is signed: the root over some hundreds of requests, in the order of their booking."""

    kind: Literal["parvis.receipt_batch"]
    form: int
    installation: str
    first: int
    last: int
    size: int
    root: str
    previous: str
    made_unix_ms: int


class SignedBatch(Shape):
    """The root, and whose it is."""

    document: BatchDocument
    signature: Signature


class FourCounts(Shape):
    """One number for each class of tokens."""

    input: int
    cached: int
    output: int
    reasoning: int


class UnitPrices(Shape):
    """Whole pico-euro a unit, as texts; `0` of what is not sold."""

    audio_pico_euro_per_minute: str
    rerank_pico_euro_per_document: str
    image_pico_euro_each: str


class ReceiptRow(Shape):
    """One request as it was booked. Prices are micro-euro for a million tokens, which is pico-euro for one.

    `quantities` and their prices are there where something was used beside tokens.
    """

    request_id: str
    tenant_id: str
    key_id: str
    model: str
    operation: Operation
    outcome: Outcome
    started_unix_ms: int
    first_byte_ms: int
    total_ms: int
    tokens: FourCounts
    estimated: bool
    price_version: str
    microeuro_per_mtoken: FourCounts
    billed_pico_euro: str
    written_off_pico_euro: str
    quantities: Quantities | UnsetType = UNSET
    pico_euro_per_unit: UnitPrices | UnsetType = UNSET


class ReceiptProof(Shape):
    """The row with its salt is a leaf; the path leads from it to the root."""

    row: ReceiptRow
    salt: str
    index: int
    path: list[str]


class Receipt(Shape):
    """A receipt that anybody can check offline."""

    receipt: ReceiptProof
    batch: SignedBatch
