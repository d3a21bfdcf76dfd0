"""The service signs what it says of itself, with one key that derives from the root key."""

import hashlib
from typing import Protocol

from parvis.domain.vault.sealing import derive_key

SIGNING_PURPOSE = "service-signing"
SIGNING_VERSION = 1


class Signer(Protocol):
    """Ed25519. What was signed can be checked by anybody who has the public key."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""


def signing_seed(root: bytes) -> bytes:
    """The 32 bytes that the signing key of this installation is made of."""
    return derive_key(root, SIGNING_PURPOSE, SIGNING_VERSION)


def installation_id(public_key: bytes) -> str:
    """How an installation is called in what it signs: it follows from its root key, and from nothing else."""
    return f"parvis-{hashlib.sha256(public_key).hexdigest()[:16]}"
