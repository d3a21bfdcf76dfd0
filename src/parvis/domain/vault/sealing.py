"""AES-256-GCM with associated data: a value that is moved to another row, column or tenant does not open.

    root key -> key-encryption key of a version -> one data key per tenant and purpose -> sealed values

Keys are derived (HKDF-SHA-256) for wrapping and random for data, so that destroying a tenant's wrapped data key
erases its content for good. Nonces are handed in: 96 random bits, never reused under one key.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from parvis.core.errors import Failure

KEY_BYTES = 32
NONCE_BYTES = 12


class SealBroken(Failure):
    """The value was altered, moved, or sealed under another key."""

    code = "seal_broken"


class Place(NamedTuple):
    """Where a sealed value lives; all of it is authenticated."""

    tenant_id: str
    table: str
    row: str
    column: str
    version: int

    def bytes(self) -> bytes:
        """Unambiguous: every part is preceded by its length."""
        parts = [part.encode() for part in (self.tenant_id, self.table, self.row, self.column, str(self.version))]
        return b"".join(len(part).to_bytes(4) + part for part in parts)


def derive_key(root: bytes, purpose: str, version: int) -> bytes:
    """One key for one purpose and version. 32 bytes."""
    if len(root) != KEY_BYTES:
        raise ValueError("the root key has 32 bytes")
    return HKDF(SHA256(), KEY_BYTES, None, f"parvis/{purpose}/v{version}".encode()).derive(root)


def seal(key: bytes, plain: bytes, place: Place, nonce: bytes) -> bytes:
    """nonce + ciphertext + tag."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 12 bytes")
    return nonce + AESGCM(key).encrypt(nonce, plain, place.bytes())


def open_sealed(key: bytes, sealed: bytes, place: Place) -> bytes:
    """The plain value. Raises SealBroken; never gives altered bytes."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.bytes())
    except (InvalidTag, ValueError):
        raise SealBroken("a sealed value does not open at this place under this key") from None


def wrap_data_key(kek: bytes, data_key: bytes, tenant_id: str, purpose: str, version: int, nonce: bytes) -> bytes:
    """Seal a tenant's data key under the key-encryption key of a version."""
    return seal(kek, data_key, Place(tenant_id, "data_keys", purpose, "key", version), nonce)


def unwrap_data_key(kek: bytes, wrapped: bytes, tenant_id: str, purpose: str, version: int) -> bytes:
    """Open a tenant's data key. Raises SealBroken."""
    return open_sealed(kek, wrapped, Place(tenant_id, "data_keys", purpose, "key", version))
