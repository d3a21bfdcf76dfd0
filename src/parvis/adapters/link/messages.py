"""What gateways and control say to each other: msgpack, each message preceded by its length (u32).

What control tells is numbered, from 1 on each connection: `Knowledge`, then the `Slice`s of a snapshot; from the first
of them on also `KeysChanged` and `TenantsChanged`, and `Knowledge` again when it is another. A gateway that misses a
number hangs up, and is told everything anew.
"""

import struct

import msgspec
from msgspec import Struct

from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import Replica
from parvis.flows.ports import KeyUse

MESSAGE_BYTES_MAX = 16 << 20
HEAD = struct.Struct("<I")


class Hello(Struct, tag=True, frozen=True):
    """First word of a gateway: which run of it this is."""

    incarnation: str


class LeaseWanted(Struct, tag=True, frozen=True):
    """A gateway asks for a share of a tenant's money. `ask` pairs the answer with it and makes it idempotent."""

    ask: str
    tenant_id: str
    pico_euro: int


class Counted(Struct, tag=True, frozen=True):
    """Counters since the last message, gauges of now: (name, labels, amount)."""

    counters: list[tuple[str, tuple[str, ...], int]]
    gauges: list[tuple[str, tuple[str, ...], int]]


class Used(Struct, tag=True, frozen=True):
    """The last uses of secrets since the last message."""

    uses: list[KeyUse]


class Knowledge(Struct, tag=True, frozen=True):
    """What is told as a whole, and whole again when something of it changes."""

    number: int
    pepper: bytes
    models: tuple[Model, ...]
    prices: tuple[PriceList, ...]
    replicas: tuple[Replica, ...]


class Slice(Struct, tag=True, frozen=True):
    """A part of all tenants and keys, packed, by their ids; `last` tells that now all have been told."""

    number: int
    tenants: dict[str, bytes]
    keys: dict[str, bytes]
    last: bool


class KeysChanged(Struct, tag=True, frozen=True):
    """Keys that are new or not what they were."""

    number: int
    keys: dict[str, bytes]


class TenantsChanged(Struct, tag=True, frozen=True):
    """Tenants that are new or not what they were."""

    number: int
    tenants: dict[str, bytes]


class LeaseGranted(Struct, tag=True, frozen=True):
    """The answer to `LeaseWanted`; zero means that nothing is left. `failed` asks to try again later."""

    ask: str
    pico_euro: int
    failed: bool = False


Told = Knowledge | Slice | KeysChanged | TenantsChanged
"""The messages that are numbered."""
Message = Hello | LeaseWanted | Counted | Used | Told | LeaseGranted

_encode = msgspec.msgpack.Encoder().encode
_decoder: "msgspec.msgpack.Decoder[Message]" = msgspec.msgpack.Decoder(Message)


def pack(message: Message) -> bytes:
    """The bytes of one message on the link."""
    payload = _encode(message)
    return HEAD.pack(len(payload)) + payload


def unpack(payload: bytes) -> Message:
    """The message of one payload. Raises msgspec.DecodeError."""
    return _decoder.decode(payload)
