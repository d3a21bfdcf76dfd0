"""The signed document of a statement: the invoice as it is printed, and the proof that it is what the ledger says.

{"document":{"form":1,"invoice":{...},"kind":"parvis.statement","proof":{...},...},"signature":{...}}
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from parvis.core.errors import BadRequest
from parvis.domain.billing.batch import Batch
from parvis.domain.billing.invoice import Invoice
from parvis.domain.billing.issued import Moved
from parvis.domain.billing.party import Buyer, Seller
from parvis.domain.vault.signed_document import signed
from parvis.flows.signing import Signer, installation_id

KIND = "parvis.statement"
FORM = 1
Json = dict[str, Any]
P = TypeVar("P", Seller, Buyer)


def statement_file(invoice: Invoice, proof: Json, signer: Signer) -> bytes:
    """The file of an invoice that is about to be issued."""
    document = {
        "kind": KIND,
        "form": FORM,
        "installation": installation_id(signer.public_key),
        "invoice": msgspec.to_builtins(invoice),
        "proof": proof,
    }
    return signed(document, signer.public_key, signer.sign)


def proof_of(moved: Sequence[Moved], batch: Batch, first_booking: int) -> Json:
    """What the ledger moved for each tenant, and the newest batch of receipts, whose file stands for all before it.

    Amounts are texts: they may be beyond what a reader of JSON keeps exact.
    """
    sums = {
        one.tenant_id: {
            "billed_pico_euro": str(one.billed.pico_euro),
            "written_off_pico_euro": str(one.written_off.pico_euro),
        }
        for one in moved
    }
    return {
        "ledger": sums,
        "first_booking": first_booking,
        "last_booking": batch.last,
        "receipts": {"root": batch.root.hex(), "sha256": hashlib.sha256(batch.document).hexdigest()},
    }


def invoice_of(file: bytes) -> Invoice:
    """What a stored file holds."""
    return msgspec.convert(json.loads(file)["document"]["invoice"], Invoice)


def write_party(party: Seller | Buyer) -> bytes:
    """A party as it is kept."""
    return msgspec.json.encode(party)


def read_party(facts: bytes, kind: type[P]) -> P:
    """A party as it was said or kept. Raises BadRequest, naming what is wrong."""
    try:
        return msgspec.json.decode(facts, type=kind)
    except msgspec.ValidationError as problem:
        raise BadRequest(f"This cannot stand on an invoice: {problem}.", code="party_invalid") from None
