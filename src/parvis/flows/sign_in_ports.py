"""What the stories of sign-in need from the world. Adapters implement it; nobody subclasses."""

from collections.abc import Sequence
from typing import Any, Protocol

from parvis.core.secret import Secret
from parvis.domain.identity.person import Person
from parvis.domain.identity.second_factor import Assertion, Passkey

Json = dict[str, Any]


class Passwords(Protocol):
    """Slow hashes, off the loop and a few at a time. Raises Unavailable when too many wait for their turn."""

    async def hash(self, password: Secret) -> str:
        """A text that says how it was made."""

    async def verify(self, hashed: str, password: Secret) -> bool:
        """Whether it is the one. An empty hash is nobody's: it takes as long as any other, and is never right."""

    def stale(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""


class Passkeys(Protocol):
    """WebAuthn, for the one site that this service is."""

    def registration(self, person: Person, known: Sequence[Passkey], challenge: bytes) -> Json:
        """What a browser's `navigator.credentials.create` takes as `publicKey`."""

    def registered(self, response: Json, challenge: bytes, name: str, now_unix_ms: int) -> Passkey:
        """The credential that a browser made. Raises BadRequest for an answer to anything else."""

    def request(self, known: Sequence[Passkey], challenge: bytes) -> Json:
        """What `navigator.credentials.get` takes as `publicKey`; with none known: whatever the person has."""

    def credential_id(self, response: Json) -> str:
        """Whose answer it claims to be. Raises NotAuthenticated for what is none."""

    def asserted(self, response: Json, challenge: bytes, passkey: Passkey) -> Assertion:
        """The signature is right. Raises NotAuthenticated when it is not."""
