"""Keyed digests of what people show: each realm and each kind of credential under a key of its own."""

import hashlib
import hmac

from parvis.core.secret import Secret
from parvis.domain.identity.api_key import secret_digest
from parvis.domain.identity.person import Realm
from parvis.flows.keys import Mint


def keyed_digest(mint: Mint, realm: Realm, name: str, secret: Secret) -> bytes:
    """32 bytes. `name` binds it to its row; what it is derived from exists outside the database only."""
    key = hmac.digest(mint.pepper(), f"people/{realm}".encode(), hashlib.sha256)
    return secret_digest(key, name, secret)
