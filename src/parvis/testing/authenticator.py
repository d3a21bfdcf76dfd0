"""An authenticator and its browser, in software: real keys, real attestation objects, real signatures.

It answers what a page would get from `navigator.credentials`, as `PublicKeyCredential.toJSON()` writes it. Source:
Web Authentication level 3, 6.1 (authenticator data), 6.5 (attestation), 5.8.1 (client data); RFC 9053 for the key.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

Json = dict[str, Any]
PRESENT, VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40
_COORDINATE_BYTES = 32


@dataclass
class Authenticator:
    """One device of one person. Its knobs are what an attacker, or an older device, would do."""

    origin: str = "http://localhost"
    site: str = "localhost"
    verifies: bool = True
    """Whether it asks its user for a finger or a PIN."""
    counts: bool = True
    sign_count: int = 0
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    owner: str = ""

    def create(self, public_key: Json) -> Json:
        """The answer to `navigator.credentials.create({publicKey})`, attested by nobody."""
        self.owner = public_key["user"]["id"]
        credential = b"\0" * 16 + len(self.credential_id).to_bytes(2) + self.credential_id + self._cose()
        attested = {"fmt": "none", "attStmt": {}, "authData": self._data(HAS_CREDENTIAL) + credential}
        response = {
            "clientDataJSON": self._client_data("webauthn.create", public_key["challenge"]),
            "attestationObject": b64(cbor(attested)),
        }
        return self._credential(response)

    def get(self, public_key: Json) -> Json:
        """The answer to `navigator.credentials.get({publicKey})`."""
        client_data = self._client_data("webauthn.get", public_key["challenge"])
        data = self._data()
        signed = data + hashlib.sha256(unb64(client_data)).digest()
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": b64(data),
            "signature": b64(self.key.sign(signed, ECDSA(SHA256()))),
            "userHandle": self.owner,
        }
        return self._credential(response)

    def _credential(self, response: Json) -> Json:
        name = b64(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _client_data(self, kind: str, challenge: str) -> str:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return b64(json.dumps(said).encode())

    def _data(self, flags: int = 0) -> bytes:
        self.sign_count += self.counts
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(self.site.encode()).digest() + bytes([flags]) + self.sign_count.to_bytes(4)

    def _cose(self) -> bytes:
        """EC2, ES256, P-256."""
        point = self.key.public_key().public_numbers()
        x, y = point.x.to_bytes(_COORDINATE_BYTES), point.y.to_bytes(_COORDINATE_BYTES)
        return cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value: int | str | bytes | dict[Any, Any]) -> bytes:
    """The little of CBOR (RFC 8949) that attestation objects need."""
    match value:
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case dict():
            return _head(5, len(value)) + b"".join(cbor(name) + cbor(part) for name, part in value.items())


def _head(major: int, number: int) -> bytes:
    if number < 24:  # noqa: PLR2004 - as in the table of RFC 8949, 3
        return bytes([major << 5 | number])
    return bytes([major << 5 | 24, number]) if number < 1 << 8 else bytes([major << 5 | 25]) + number.to_bytes(2)
