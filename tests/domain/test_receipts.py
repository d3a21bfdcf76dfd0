"""Receipts: the tree, the file, and that no change of one goes unnoticed."""

import hashlib
import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.core.errors import BadRequest
from parvis.core.merkle import leaf_hash, path_of, root_by_path, root_of
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.billing.receipt import ReceiptRow
from parvis.domain.vault.signed_document import canonical_json, signed
from parvis.flows.receipt_file import BATCH_KIND, checked, leaf_of, receipt_file
from parvis.flows.receipts import salt_of

SIGNER = Ed25519Signer(b"seed" * 8)
KEY = SIGNER.public_key
PRICES = PriceList("2026-07", "*", 0, 90_000, 9_000, 400_000, 410_000)
TOKENS = TokenCount(10, 2, 30, 4)
COUNTS = st.integers(0, 10**9)


def row(request_id: str = "req_1", tokens: TokenCount = TOKENS, written_off: int = 0) -> ReceiptRow:
    due = cost(tokens, PRICES)
    return ReceiptRow(
        request_id=request_id,
        tenant_id="home",
        key_id="key",
        model_id="acme/7b",
        operation="chat",
        outcome="completed",
        started_unix_ms=1_790_000_000_000,
        first_byte_ms=20,
        total_ms=900,
        tokens=tokens,
        estimated=False,
        prices=PRICES,
        billed=due - Money(written_off),
        written_off=Money(written_off),
    )


def files(rows: list[ReceiptRow], seed: bytes = b"seed", signer: Ed25519Signer = SIGNER) -> list[bytes]:
    """The receipts of a batch."""
    salts = [salt_of(seed, index) for index in range(len(rows))]
    leaves = [leaf_of(*pair) for pair in zip(rows, salts, strict=True)]
    document = {"kind": BATCH_KIND, "form": 1, "size": len(rows), "root": root_of(leaves).hex()}
    batch = signed(document, signer.public_key, signer.sign)
    parts = zip(count(), rows, salts)
    return [receipt_file(one, salt, index, path_of(leaves, index), batch) for index, one, salt in parts]


def refused(file: bytes, key: bytes = KEY) -> str:
    """The part that is wrong."""
    with pytest.raises(BadRequest) as found:
        checked(file, key)
    assert found.value.code == "receipt_invalid"
    return found.value.param or ""


def changed(file: bytes, *path: str | int, to: object) -> bytes:
    """The same file with one value in it changed, spelt as the service would."""
    whole = json.loads(file)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return canonical_json(whole) + b"\n"


# The tree


def reference(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + reference(leaves[:split]) + reference(leaves[split:])).digest()


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=70), st.data())
def test_the_tree_is_that_of_the_rfc_and_every_leaf_leads_to_its_root(data: list[bytes], draw: st.DataObject) -> None:
    leaves = [leaf_hash(one) for one in data]
    assert root_of(leaves) == reference(leaves)
    index = draw.draw(st.integers(0, len(leaves) - 1))
    path = path_of(leaves, index)
    assert root_by_path(leaves[index], index, len(leaves), path) == root_of(leaves)
    assert root_by_path(leaves[index], index, len(leaves), [*path, b"x" * 32]) is None
    assert root_by_path(leaves[index], len(leaves), len(leaves), path) is None
    if path:
        assert root_by_path(leaves[index], index, len(leaves), path[:-1]) is None


def test_the_hashes_of_the_rfc_s_own_test_vectors() -> None:
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    leaves = [leaf_hash(bytes.fromhex(text)) for text in ("", "00", "10", "2021", "3031", "40414243")]
    assert root_of(leaves).hex() == "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"


def test_a_tree_without_leaves_is_none() -> None:
    with pytest.raises(ValueError, match="at least one"):
        root_of([])


# The file


@given(st.lists(st.builds(TokenCount, COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=20), st.data())
def test_every_receipt_of_a_batch_holds(tokens: list[TokenCount], draw: st.DataObject) -> None:
    rows = [
        row(f"req_{n}", one, draw.draw(st.integers(0, cost(one, PRICES).pico_euro))) for n, one in enumerate(tokens)
    ]
    for one, file in zip(rows, files(rows), strict=True):
        said = checked(file, KEY)
        assert (said.row["request_id"], said.batch["size"]) == (one.request_id, len(rows))
        assert int(said.row["billed_pico_euro"]) == one.billed.pico_euro


ONE_OF_SEVEN = files([row(f"req_{n}") for n in range(7)])[4]


@settings(max_examples=200)
@given(st.integers(0, len(ONE_OF_SEVEN) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(place: int, by: int) -> None:
    file = bytearray(ONE_OF_SEVEN)
    file[place] ^= by
    assert refused(bytes(file)) in ("file", "batch", "row", "path")


@given(st.integers(0, len(ONE_OF_SEVEN) - 1))
def test_any_cut_is_found(length: int) -> None:
    refused(ONE_OF_SEVEN[:length])
    refused(ONE_OF_SEVEN + b"\n" + ONE_OF_SEVEN[:length])


def test_what_is_wrong_is_named() -> None:
    six = json.loads(files([row(f"req_{n}") for n in range(6)])[4])
    assert refused(changed(ONE_OF_SEVEN, "receipt", "row", "tokens", "output", to=29)) == "row"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "row", "model", to="another")) == "row"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "row", to={})) == "row"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "index", to=3)) == "row"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "index", to=7)) == "path"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "path", to=[])) == "path"
    assert refused(changed(ONE_OF_SEVEN, "receipt", "path", 0, to="00" * 32)) == "row"
    assert refused(changed(ONE_OF_SEVEN, "batch", to=six["batch"])) in ("row", "path")
    assert refused(changed(ONE_OF_SEVEN, "batch", "document", "size", to=6)) == "batch"
    assert refused(ONE_OF_SEVEN, Ed25519Signer(b"other seed".ljust(32)).public_key) == "batch"
    assert refused(ONE_OF_SEVEN.replace(b",", b", ", 1)) == "file"
    assert refused(b"{}\n") == "file"
    assert refused(b'{"batch":{},"receipt":{}}\n') == "file"


def test_another_document_of_the_service_is_no_batch() -> None:
    report = signed({"kind": "parvis.access_report", "form": 1}, KEY, SIGNER.sign)
    assert refused(changed(ONE_OF_SEVEN, "batch", to=json.loads(report))) == "batch"


def test_a_service_that_bills_something_else_than_its_prices_is_found_out_though_it_signs() -> None:
    [file] = files([row(written_off=5)])
    assert checked(file, KEY).row["written_off_pico_euro"] == "5"
    wrong = row()
    [file] = files([ReceiptRow(**{**{name: getattr(wrong, name) for name in wrong.__slots__}, "billed": Money(1)})])
    assert refused(file) == "amount"
