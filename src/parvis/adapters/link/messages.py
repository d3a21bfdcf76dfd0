"""What gateways and control say to each other: msgpack, each message preceded by its length (u32)."""

import struct

import msgspec
from msgspec import Struct

from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey

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


class Knowledge(Struct, tag=True, frozen=True):
    """Control tells all that a gateway must know. `number` grows by one with each change."""

    number: int
    pepper: bytes
    models: tuple[Model, ...]
    prices: tuple[PriceList, ...]
    replicas: tuple[Replica, ...]


class Keys(Struct, tag=True, frozen=True):
    """A slice of the keys; `last` ends a snapshot. `number` is the snapshot's."""

    number: int
    keys: tuple[ApiKey, ...]
    last: bool


class LeaseGranted(Struct, tag=True, frozen=True):
    """The answer to `LeaseWanted`; zero means that nothing is left. `failed` asks to try again later."""

    ask: str
    pico_euro: int
    failed: bool = False


Message = Hello | LeaseWanted | Counted | Knowledge | Keys | LeaseGranted

_encode = msgspec.msgpack.Encoder().encode
_decoder: "msgspec.msgpack.Decoder[Message]" = msgspec.msgpack.Decoder(Message)


def pack(message: Message) -> bytes:
    """The bytes of one message on the link."""
    payload = _encode(message)
    return HEAD.pack(len(payload)) + payload


def unpack(payload: bytes) -> Message:
    """The message of one payload. Raises msgspec.DecodeError."""
    return _decoder.decode(payload)
