"""The file of a receipt, and how anybody checks it: with the file, the service's public key, and nothing else.

    {"batch":{"document":{...},"signature":{...}},"receipt":{"index":3,"path":[...],"row":{...},"salt":"..."}}

The signed document of the batch names the root of a Merkle tree. The row with its salt is a leaf of it, and the path
leads from the leaf to the root (RFC 6962). The file is canonical JSON and a newline, as all that the service signs.
"""

import json
from typing import Any, NamedTuple

from parvis.core.errors import BadRequest
from parvis.core.merkle import leaf_hash, root_by_path
from parvis.core.money import Money
from parvis.domain.billing.receipt import SALT_BYTES, Facts, ReceiptRow, amounts_due, facts_of, salted
from parvis.domain.vault.signed_document import canonical_json, verified

BATCH_KIND = "parvis.receipt_batch"
FORM = 1
_RECEIPT = {"index", "path", "row", "salt"}
Json = dict[str, Any]


class CheckedReceipt(NamedTuple):
    """What a receipt that holds says."""

    row: Facts
    batch: Json
    """The signed document."""


def leaf_of(row: ReceiptRow, salt: bytes) -> bytes:
    """The hash of a row's leaf."""
    return leaf_hash(salted(salt, canonical_json(facts_of(row))))


def receipt_file(row: ReceiptRow, salt: bytes, index: int, path: list[bytes], batch: bytes) -> bytes:
    """One file of a row, where it stands in its batch, and the batch's signed file."""
    receipt = {"row": facts_of(row), "salt": salt.hex(), "index": index, "path": [step.hex() for step in path]}
    return canonical_json({"receipt": receipt, "batch": json.loads(batch)}) + b"\n"


def checked(file: bytes, public_key: bytes) -> CheckedReceipt:
    """What a receipt says, when all of it holds. Raises BadRequest, and says which part does not.

    `param` names the part: `file`, `batch`, `row`, `path` or `amount`.
    """
    receipt, batch_file = _parts(file)
    batch = _signed_batch(batch_file, public_key)
    row = receipt["row"]
    found = root_by_path(
        leaf_hash(salted(_hex(receipt["salt"], "row"), canonical_json(row))),
        receipt["index"],
        batch["size"],
        [_hex(step, "path") for step in receipt["path"]],
    )
    if found is None:
        raise _broken("path", f"its path is none of leaf {receipt['index']} among {batch['size']}")
    if found.hex() != batch["root"]:
        raise _broken(*_why_not(row))
    due, booked = _amounts(row)
    if due != booked:
        raise _broken("amount", _disagreement(due, booked))
    return CheckedReceipt(row, batch)


def _parts(file: bytes) -> tuple[Json, bytes]:
    """The receipt and the batch's signed file, of a file that is spelt as the service spells it."""
    try:
        whole = json.loads(file)
        same = isinstance(whole, dict) and canonical_json(whole) + b"\n" == file
    except (ValueError, TypeError, RecursionError):
        same = False
    if not same:
        raise _broken("file", "it is not spelt as the service spells it, so something in it was changed")
    receipt, batch = whole.get("receipt"), whole.get("batch")
    if set(whole) != {"receipt", "batch"} or not isinstance(receipt, dict) or not isinstance(batch, dict):
        raise _broken("file", "it is no receipt")
    whole_numbers = type(receipt.get("index")) is int
    lists = isinstance(receipt.get("path"), list) and isinstance(receipt.get("row"), dict)
    if set(receipt) != _RECEIPT or not whole_numbers or not lists:
        raise _broken("file", "it lacks a part of a receipt")
    return receipt, canonical_json(batch) + b"\n"


def _signed_batch(file: bytes, public_key: bytes) -> Json:
    try:
        batch = verified(file, public_key)
    except BadRequest as problem:
        raise _broken("batch", f"the root of its batch cannot be believed ({problem})") from None
    if batch.get("kind") != BATCH_KIND or batch.get("form") != FORM:
        raise _broken("batch", "what was signed is no batch of receipts that this release can read")
    return batch


def _why_not(row: Facts) -> tuple[str, str]:
    """A row that contradicts itself was changed; of one that does not, only the signed root is certain."""
    try:
        due, booked = amounts_due(row)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "row", "its row is none that the service writes"
    if due != booked:
        return "row", f"its row was changed: {_disagreement(due, booked)}"
    return "row", "its row, its salt or its path was changed, or it belongs to another batch: they lead to another root"


def _amounts(row: Facts) -> tuple[Money, Money]:
    try:
        return amounts_due(row)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _broken("row", "its row is none that this release can read") from None


def _disagreement(due: Money, booked: Money) -> str:
    return f"its tokens cost {due} at its prices, and it says {booked}"


def _hex(text: object, part: str) -> bytes:
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if raw.hex() != text or len(raw) not in (SALT_BYTES, 2 * SALT_BYTES):
        raise _broken(part, f"its {'salt' if part == 'row' else 'path'} is not written in hexadecimal digits")
    return raw


def _broken(part: str, why: str) -> BadRequest:
    return BadRequest(f"This receipt does not hold: {why}.", code="receipt_invalid", param=part)
