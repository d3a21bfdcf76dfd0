"""Signatures of providers: their keys, and tokens that one of them has signed with an algorithm that we take."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import decode

from parvis.core.errors import NotAuthenticated

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Never `none`, and never one with a shared secret: what verifies could sign."""
RSA_BITS_MIN = 2048
KEYS_MAX = 100
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_TYPES: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


class UnknownKey(Exception):
    """The token names a key that the set has not: the provider may have made another since."""


def read_keys(body: bytes) -> KeySet:
    """The keys of a set that can verify what we take; others are passed over. Raises ValueError when it is none."""
    document = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of keys")  # noqa: TRY004 - a fault of the document, not of the program
    keys = [_read_key(item) for item in listed[:KEYS_MAX] if isinstance(item, dict)]
    return KeySet([key for key in keys if key is not None])


def read_token(token: str, keys: KeySet) -> Mapping[str, Any]:
    """The claims of a signed token. Raises NotAuthenticated for a signature that is none, UnknownKey."""
    try:
        with _without_warnings():
            found = decode(token, keys, registry=_REGISTRY)
    except InvalidKeyIdError:
        raise UnknownKey from None
    except (JoseError, ValueError, TypeError) as problem:
        why = problem.error.replace("_", " ") if isinstance(problem, JoseError) else "not a token"
        raise NotAuthenticated(
            f"Your identity provider sent a token that cannot be believed ({why}). It must be signed with one of "
            f"{', '.join(ALGORITHMS)}.",
            code="openid_token_invalid",
        ) from None
    if str(found.header.get("typ", "JWT")).upper() != "JWT":
        raise NotAuthenticated("Your identity provider sent a token that is no ID token.", code="openid_token_invalid")
    return found.claims


@contextmanager
def _without_warnings() -> Iterator[None]:
    """The library warns of weak keys, which we refuse, and of EdDSA, which only RFC 9864 calls otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        yield


def _read_key(item: Mapping[str, Any]) -> Key | None:
    """None for a key of another kind, for another use, or too weak."""
    kind = item.get("kty")
    if not isinstance(kind, str) or kind not in _TYPES:
        return None
    if item.get("use", "sig") != "sig" or item.get("crv") != _CURVES.get(kind):
        return None
    try:
        with _without_warnings():
            key = _TYPES[kind].import_key(dict(item))
        public = key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    weak = isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS_MIN
    return None if weak else key
