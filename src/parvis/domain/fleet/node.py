"""Machines that serve beside the one where control is, and the codes by which they join."""

import base64
import hashlib
from dataclasses import dataclass

FINGERPRINT_BYTES = 16
SECRET_BYTES = 16
CODE_LIFE_MS = 3_600_000
"""A code is used at once or not at all."""
CERTIFICATE_DAYS = 365
_PREFIX = "join-"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that has joined. It is known by the certificate that it was given."""

    node_id: str
    name: str
    serial: str
    """Of its certificate, in hexadecimal digits."""
    joined_unix_ms: int
    removed_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JoinCode:
    """What a machine must know to join: whom to believe, and by what it is believed."""

    fingerprint: bytes
    """The beginning of the SHA-256 of control's certificate."""
    secret: bytes

    def text(self) -> str:
        """`join-` and 52 characters that people can read aloud."""
        return _PREFIX + base64.b32encode(self.fingerprint + self.secret).decode().rstrip("=").lower()


def read_join_code(text: str) -> JoinCode | None:
    """The other way; None for a text that is no code."""
    letters = text.strip().removeprefix(_PREFIX).upper()
    try:
        raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:  # binascii.Error is one
        return None
    if not text.strip().startswith(_PREFIX) or len(raw) != FINGERPRINT_BYTES + SECRET_BYTES:
        return None
    return JoinCode(raw[:FINGERPRINT_BYTES], raw[FINGERPRINT_BYTES:])


def code_digest(secret: bytes) -> str:
    """As which a code is kept."""
    return hashlib.sha256(secret).hexdigest()
