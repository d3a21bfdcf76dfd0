"""A signed document has one spelling, and any other byte in it is found."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.domain.vault.signed_document import canonical_json, read_public_key, signed, verified

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)
FILE = signed({"kind": "test", "access": [{"who": "é", "since": 1}]}, PUBLIC, KEY.sign)


@given(DOCUMENTS)
def test_what_was_signed_is_believed(document: dict[str, object]) -> None:
    assert verified(signed(document, PUBLIC, KEY.sign), PUBLIC) == document


@given(DOCUMENTS)
def test_there_is_one_spelling(document: dict[str, object]) -> None:
    spelt = canonical_json(document)
    assert canonical_json(json.loads(spelt)) == spelt
    assert canonical_json(dict(reversed(document.items()))) == spelt


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(place: int, change: int) -> None:
    altered = FILE[:place] + bytes([FILE[place] ^ change]) + FILE[place + 1 :]
    with pytest.raises(BadRequest) as refused:
        verified(altered, PUBLIC)
    assert refused.value.code == "signature_invalid"


@given(st.integers(0, len(FILE) - 1), st.binary(min_size=1, max_size=3))
def test_any_byte_more_or_less_is_found(place: int, more: bytes) -> None:
    for altered in (FILE[:place] + more + FILE[place:], FILE[:place] + FILE[place + 1 :], FILE[:place]):
        if altered != FILE:
            with pytest.raises(BadRequest):
                verified(altered, PUBLIC)


def test_every_letter_of_the_signature_counts() -> None:
    """Hexadecimal digits could be written large: that is another file."""
    at = FILE.index(b'"value":"') + 9
    large = FILE[:at] + FILE[at : at + 128].upper() + FILE[at + 128 :]
    assert large != FILE
    with pytest.raises(BadRequest):
        verified(large, PUBLIC)


def test_another_key_is_another_signature() -> None:
    with pytest.raises(BadRequest):
        verified(FILE, OTHER)
    forged = signed({"kind": "test"}, PUBLIC, Ed25519PrivateKey.from_private_bytes(bytes(32)).sign)
    with pytest.raises(BadRequest):
        verified(forged, PUBLIC)


@pytest.mark.parametrize("file", [b"", b"[]\n", b"{}\n", b'{"document":1,"signature":{}}\n', b"\xff", b"[" * 100_000])
def test_something_else_is_no_signed_document(file: bytes) -> None:
    with pytest.raises(BadRequest):
        verified(file, PUBLIC)


@pytest.mark.parametrize("value", [{"a": 1.5}, {"a": [float("nan")]}, {"a": {"b": (1.0,)}}])
def test_numbers_are_whole(value: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_public_key_is_64_digits() -> None:
    assert read_public_key(f" {PUBLIC.hex()}\n") == PUBLIC
    for text in ("", "00", "zz" * 32, PUBLIC.hex() + "00"):
        with pytest.raises(BadRequest):
            read_public_key(text)
