"""Machines that serve beside control's: they join by a code, prove themselves by a certificate, and are removed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, NotPermitted
from parvis.core.ids import Randomness, new_id
from parvis.domain.fleet.node import (
    CODE_LIFE_MS,
    FINGERPRINT_BYTES,
    SECRET_BYTES,
    JoinCode,
    Node,
    code_digest,
)
from parvis.flows.node_store import NodeStore

NAME_CHARS_MAX = 64


class Certificate(NamedTuple):
    """What a machine is given to prove itself with."""

    serial: str
    pem: bytes


class Authority(Protocol):
    """Who signs the certificates of machines."""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate that control shows."""

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own."""

    def sign(self, request: bytes, name: str, now: datetime) -> Certificate:
        """For the key of a request. Raises Failure when it is none."""


class Joined(NamedTuple):
    """What a machine keeps."""

    node: Node
    certificate: bytes
    authority: bytes


async def new_join_code(store: NodeStore, authority: Authority, clock: Clock, randomness: Randomness) -> JoinCode:
    """A code for one machine, for an hour. It is shown once."""
    code = JoinCode(authority.fingerprint[:FINGERPRINT_BYTES], randomness(SECRET_BYTES))
    await store.add_join_code(code_digest(code.secret), clock.unix_ms() + CODE_LIFE_MS)
    return code


class Asking(NamedTuple):
    """What a machine says of itself: the secret of a code, its name, its request for a certificate (PEM)."""

    secret: bytes
    name: str
    request: bytes


async def join(store: NodeStore, authority: Authority, clock: Clock, randomness: Randomness, asking: Asking) -> Joined:
    """Let a machine in. Raises NotPermitted for a code that does not open, BadRequest for a strange request."""
    if not 1 <= len(asking.name) <= NAME_CHARS_MAX or not asking.name.isprintable():
        raise BadRequest(f"A machine's name has 1 to {NAME_CHARS_MAX} visible characters.", param="name")
    if len(asking.secret) != SECRET_BYTES:
        raise NotPermitted("This is no code.")
    now = clock.unix_ms()
    node_id = new_id("node", now, randomness)
    certificate = authority.sign(asking.request, node_id, datetime.fromtimestamp(now // 1000, UTC))
    node = Node(node_id, asking.name, certificate.serial, now)
    await store.redeem_join_code(code_digest(asking.secret), node)
    return Joined(node, certificate.pem, authority.certificate_pem)


def believed(nodes: list[Node]) -> Callable[[str], bool]:
    """Whether the certificate of a serial number is that of a machine which has joined and was not removed."""
    serials = frozenset(node.serial for node in nodes if node.removed_unix_ms is None)
    return serials.__contains__


@dataclass(frozen=True, slots=True)
class Joining:
    """What the desk of the operator needs to let machines in, and out."""

    authority: Authority
    changed: Callable[[], Awaitable[None]]
    """Look again at who is believed."""
