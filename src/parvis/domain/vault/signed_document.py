"""A JSON document with a signature (Ed25519, RFC 8032) that anybody can check offline with the public key.

    {"document":{...},"signature":{"algorithm":"Ed25519","public_key":"64 hex","value":"128 hex"}}

The file is canonical JSON and a newline: keys sorted, no spaces, UTF-8 without escapes that are not needed, whole
numbers only. So a file has one spelling, and any other byte in it is found.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from parvis.core.errors import BadRequest

ALGORITHM = "Ed25519"
PUBLIC_KEY_BYTES = 32
Json = dict[str, Any]


def canonical_json(value: Mapping[str, Any]) -> bytes:
    r"""The one spelling of a value. Raises TypeError for what is no text, whole number, truth value, list or object.

    >>> canonical_json({"b": [1, "é"], "a": None})
    b'{"a":null,"b":[1,"\xc3\xa9"]}'
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def signed(document: Json, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The file of a document."""
    value = sign(canonical_json(document))
    signature = {"algorithm": ALGORITHM, "public_key": public_key.hex(), "value": value.hex()}
    return canonical_json({"document": document, "signature": signature}) + b"\n"


def verified(file: bytes, public_key: bytes) -> Json:
    """The document of a file that was signed with this key and not changed since. Raises BadRequest."""
    whole = _parsed(file)
    document, signature = whole.get("document"), whole.get("signature")
    if not isinstance(document, dict) or not isinstance(signature, dict) or set(whole) != {"document", "signature"}:
        raise _broken("it is no signed document")
    expected = {"algorithm": ALGORITHM, "public_key": public_key.hex()}
    value = str(signature.pop("value", ""))
    if signature != expected:
        raise _broken("it names another key than the one that was given")
    try:
        raw = bytes.fromhex(value)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, canonical_json(document))
    except (InvalidSignature, ValueError):
        raise _broken("the signature is not one of this document") from None
    if raw.hex() != value:
        raise _broken("the signature is spelt in another way")
    return document


def read_public_key(text: str) -> bytes:
    """64 hex digits as 32 bytes. Raises BadRequest."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise BadRequest("A public key is 64 hexadecimal digits, as `parvis access key` prints it.", param="key")
    return key


def _parsed(file: bytes) -> Json:
    """Whatever could be spelt in another way is refused: then no byte of the file is outside of the signature."""
    try:
        whole = json.loads(file)
        same = isinstance(whole, dict) and canonical_json(whole) + b"\n" == file
    except (ValueError, TypeError, RecursionError):
        same = False
    if not same:
        raise _broken("it is not spelt as it was when it was signed")
    parsed: Json = whole
    return parsed


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("a signed document holds whole numbers only")
    if isinstance(value, Mapping):
        for part in value.values():
            _refuse_floats(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _refuse_floats(part)


def _broken(why: str) -> BadRequest:
    return BadRequest(f"This file was not signed like this: {why}.", code="signature_invalid")
