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
from parvis.domain.fleet.explained import Explained
from parvis.domain.fleet.replica import Replica
from parvis.domain.quota.slices import Slice as RateSlice
from parvis.domain.quota.slices import Unused, Want
from parvis.flows.ports import KeyUse

MESSAGE_BYTES_MAX = 16 << 20
HEAD = struct.Struct("<I")


class Hello(Struct, tag=True, frozen=True):
    """First word of a gateway: which run of it this is."""

    incarnation: str
    holds: dict[str, int] | None = None
    """What it uses of replicas that have slots, from a link before; None for a release that knows no shares."""


class LeaseWanted(Struct, tag=True, frozen=True):
    """A gateway asks for a share of an account. `ask` pairs the answer with it and makes it idempotent."""

    ask: str
    account: str
    need_pico_euro: int
    wanted_pico_euro: int


class LeaseReturned(Struct, tag=True, frozen=True):
    """A gateway gives back what nothing is held against. `ask` makes it idempotent."""

    ask: str
    account: str
    pico_euro: int


class LeaseRecalled(Struct, tag=True, frozen=True):
    """Control asks all gateways for what they do not need of an account: others want it."""

    account: str


class RatesWanted(Struct, tag=True, frozen=True):
    """A gateway gives back what it did not use of rates and places, and asks for slices of others, in this order.

    Its numbers grow; the same number again is the same trade.
    """

    number: int
    unused: list[Unused]
    wants: list[Want]


class RatesGranted(Struct, tag=True, frozen=True):
    """The answer: a slice for each want. `failed` means that the owner does not answer."""

    number: int
    slices: list[RateSlice]
    gateways: int = 1
    """How many share the limits now."""
    failed: bool = False


class ClaimWanted(Struct, tag=True, frozen=True):
    """A gateway is about to serve a request that must happen once."""

    ask: str
    tenant_id: str
    idempotency_key: str
    fingerprint: str


class Claimed(Struct, tag=True, frozen=True):
    """What is to be done: `run`, `replay` (with the answer that was kept), or refuse with this code.

    `wait` may come before it, every two seconds: the first request under the key still runs. `failed`: nobody knows.
    """

    ask: str
    verdict: str
    kept: bytes = b""


class ClaimEnded(Struct, tag=True, frozen=True):
    """How it ended. Without an answer the claim is free again, unless that was `too_large`; `ask` is the claim's."""

    ask: str
    answer: bytes | None
    too_large: bool = False


class ClaimKept(Struct, tag=True, frozen=True):
    """What was answered is durable. Only then does the final marker leave."""

    ask: str
    failed: bool = False


class Counted(Struct, tag=True, frozen=True):
    """Counters since the last message, gauges of now: (name, labels, amount)."""

    counters: list[tuple[str, tuple[str, ...], int]]
    gauges: list[tuple[str, tuple[str, ...], int]]


class Loads(Struct, tag=True, frozen=True):
    """What engines run and have waiting, by replica id, of those that say it and for whom it is another than before."""

    loads: dict[str, tuple[int, int]]


class Alive(Struct, tag=True, frozen=True):
    """Control's answer to `Counted`: it hears so many gateways; 0: it is of a release that does not say."""

    gateways: int = 0


class Used(Struct, tag=True, frozen=True):
    """The last uses of secrets since the last message."""

    uses: list[KeyUse]


class SeatSeen(Struct, frozen=True, array_like=True):
    """One replica, as one gateway sees it."""

    replica_id: str
    open: bool
    probing: bool
    pace: float
    why: str
    in_flight: int
    first_byte_ms: float


class FleetSeen(Struct, tag=True, frozen=True):
    """All replicas that a gateway knows, as it sees them now."""

    seats: list[SeatSeen]


class ExplainWanted(Struct, tag=True, frozen=True):
    """Control asks how a request was routed; or, without its id, how one like this would be now."""

    ask: str
    request_id: str
    pool: str = ""
    tenant_id: str = ""
    tokens: int = 1
    texts: tuple[str, ...] = ()


class ExplainGiven(Struct, tag=True, frozen=True):
    """The answer; nothing of a request that this gateway does not remember."""

    ask: str
    explained: Explained | None


class PoolBacklog(Struct, frozen=True, array_like=True):
    """What one gateway has to do in one pool."""

    pool: str
    in_flight: int
    waiting: int
    tokens: int
    """Of those that wait, at most."""
    tenants: int
    """How many tenants have something waiting."""


class Backlog(Struct, tag=True, frozen=True):
    """How a gateway stands each second, and at once when it has taken in a share. Not before it was told one."""

    number: int
    """Of the last `SlotShares` that holds here: confirmed by this."""
    pools: list[PoolBacklog]
    in_flight: dict[str, int]
    """Requests on each replica that has slots."""


class SlotShares(Struct, tag=True, frozen=True):
    """How many requests a gateway may have on each replica side by side; those that are not named are not its."""

    number: int
    """From 1 on each connection."""
    slots: dict[str, int]


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
    limits: dict[str, bytes] = {}


class KeysChanged(Struct, tag=True, frozen=True):
    """Keys that are new or not what they were."""

    number: int
    keys: dict[str, bytes]


class TenantsChanged(Struct, tag=True, frozen=True):
    """Tenants that are new or not what they were."""

    number: int
    tenants: dict[str, bytes]


class LimitsChanged(Struct, tag=True, frozen=True):
    """Limits that are new or not what they were, packed, by their subjects; empty where none are left."""

    number: int
    limits: dict[str, bytes]


class LeaseGranted(Struct, tag=True, frozen=True):
    """The answer to `LeaseWanted`; zero means that the need is not covered. `failed` asks to try again later."""

    ask: str
    pico_euro: int
    left_pico_euro: int = 0
    failed: bool = False


class JoinWanted(Struct, tag=True, frozen=True):
    """A machine that has no certificate yet asks to be let in: a code's secret, its name, its request (PEM)."""

    secret: bytes
    name: str
    request: bytes


class Joined(Struct, tag=True, frozen=True):
    """The answer: a certificate and the authority that signed it (both PEM), or why not."""

    node_id: str = ""
    certificate: bytes = b""
    authority: bytes = b""
    problem: str = ""


class Shipped(Struct, tag=True, frozen=True):
    """Frames of the journal of one run on another machine, in order. `first` begins anew with the oldest that is kept.

    `dead`: this is the end of it, its gateway has ended.
    """

    incarnation: str
    frames: bytes
    first: bool = False
    dead: bool = False


class Taken(Struct, tag=True, frozen=True):
    """What comes up to this sequence is booked, and nothing of it is open; or the whole run, and its folder may go."""

    incarnation: str
    sequence: int
    removed: bool = False


Told = Knowledge | Slice | KeysChanged | TenantsChanged | LimitsChanged
"""The messages that are numbered."""
Lending = LeaseWanted | LeaseGranted | LeaseReturned | LeaseRecalled
Rating = RatesWanted | RatesGranted
Claiming = ClaimWanted | Claimed | ClaimEnded | ClaimKept
Watching = Loads | FleetSeen | Backlog | SlotShares
Shipping = JoinWanted | Joined | Shipped | Taken
Explaining = ExplainWanted | ExplainGiven
Message = Hello | Explaining | Counted | Alive | Used | Watching | Told | Lending | Rating | Claiming | Shipping

_encode = msgspec.msgpack.Encoder().encode
_decoder: "msgspec.msgpack.Decoder[Message]" = msgspec.msgpack.Decoder(Message)


def pack(message: Message) -> bytes:
    """The bytes of one message on the link."""
    payload = _encode(message)
    return HEAD.pack(len(payload)) + payload


def unpack(payload: bytes) -> Message:
    """The message of one payload. Raises msgspec.DecodeError."""
    return _decoder.decode(payload)
