"""What the serving story needs from the world, as intents. Adapters and the api implement these; nobody subclasses."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec import Struct

from parvis.core.clock import Clock
from parvis.core.money import Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.profile import EngineProfile
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Operation, Outcome, Record, Settled, Started
from parvis.flows.prepared import PreparedKey


class Body(Protocol):
    """The validated request body, in the shape of its protocol. Stories look at its texts only; engines at all."""

    def texts(self) -> Iterable[str]:
        """Every text of the caller's that the model will read."""


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """What policy reads of a request, and the body that an engine will be given."""

    request_id: str
    operation: Operation
    credential: str | None
    address: str = ""
    """Of the peer of the connection; empty when nobody knows it."""
    model: str
    body: Body
    stream: bool = False
    include_usage: bool = False
    """The caller asked for the usage event of a stream."""
    choices: int = 1
    output_tokens_max: int | None = None
    input_bytes: int
    """UTF-8 bytes of every text that the engine will see, injected ones included."""
    extras: tuple[str, ...] = ()
    """Parameters beyond OpenAI's that the caller sent."""
    capabilities: tuple[str, ...] = ()
    """What the model must be able to do, beyond what the operation says."""
    prompts: int = 1
    """Independent inputs in one request (embeddings, lists of prompts)."""


class Flow(Protocol):
    """The running answer, as its receiver may steer it."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        """The receiver is gone, or we end first: stop the engine now. The story still ends and settles."""


class Sink(Protocol):
    """Where an answer goes. Called from the loop's thread; never blocks, never raises."""

    def attach(self, flow: Flow) -> None:
        """An engine has been asked; from now on the receiver steers it. Cancels at once if the receiver has left."""

    def events(self, data: bytes) -> None:
        """Whole SSE events, ready for the client, in order."""

    def flushed(self) -> bool:
        """Whether all that was given has reached the kernel."""

    async def drained(self) -> None:
        """Return when `flushed()` is true or the client has left."""

    @property
    def left(self) -> bool:
        """Whether the client has gone."""


class Delivery(Struct):
    """How far an answer has come. The engine adapter keeps it true; the journal reads it."""

    tokens: TokenCount = NO_TOKENS
    """Tokens of whole events handed to the sink (of a whole answer: of the answer)."""
    estimated: bool = False
    outcome: Outcome = Outcome.COMPLETED
    body: bytes = b""
    """The whole answer; of a stream, the event that the caller gets after it is settled (usage), or nothing."""
    error: str = ""
    """The public sentence of a failure midway."""


class Answer(Protocol):
    """An engine has taken the request; its first byte is there."""

    @property
    def delivery(self) -> Delivery:
        """How far it has come, now."""

    async def done(self) -> Delivery:
        """Wait for the end. Never raises: what went wrong stands in the outcome."""


class Job(Struct, frozen=True):
    """One request, one replica."""

    request: InferenceRequest
    model: Model
    replica: Replica
    output_tokens_max: int
    profile: EngineProfile


class Engine(Protocol):
    """A kind of inference server. Conformance suite: `parvis.testing.engine_suite`."""

    async def start(self, job: Job, sink: Sink) -> Answer:
        """Send the request and wait for the first byte of a good answer.

        Raises EngineUnavailable when nothing was computed (another replica may be tried), BadRequest when the engine
        finds the request wrong (with the field's code), EngineBroke otherwise.
        """


class Directory(Protocol):
    """Who may do what, as of now. Answers from memory."""

    @property
    def tells_forbidden(self) -> bool:
        """Whether a caller may learn that a model exists which the key may not use."""

    def admit(self, credential: str | None, address: str) -> PreparedKey:
        """What a presented credential opens, to a caller at this address, and note its use.

        Raises NotAuthenticated, with the same sentence whatever is wrong; Unavailable when what we know is too old.
        """

    def model(self, name: str) -> Model | None:
        """The served model behind an id or an alias."""

    def models(self, key: ApiKey) -> list[Model]:
        """What `/v1/models` shows to this key, sorted by id."""

    def prices(self, model: Model) -> PriceList:
        """The price list in force. Raises Unavailable when there is none."""


class Purse(Protocol):
    """Money leased from control. Holding is a matter of memory unless the lease is nearly used up."""

    async def hold(self, tenant_id: str, amount: Money) -> None:
        """Reserve a worst case. Raises QuotaExhausted when control has no more, Unavailable when it does not answer."""

    def settle(self, tenant_id: str, held: Money, billed: Money) -> None:
        """End a hold; zero billed voids it."""


class Fleet(Protocol):
    """Which replicas run. A started request holds a guard on its replica's load."""

    def pick(self, engine: str, tried: frozenset[str]) -> Replica:
        """Filter, score, pick; counts the request as in flight. Raises EngineUnavailable when none is eligible."""

    def release(self, replica: Replica) -> None:
        """The request left this replica."""


class Journal(Protocol):
    """The usage journal of this gateway. Never blocks the loop."""

    def start(self, record: Started, progress: Callable[[], Record | None] | None) -> None:
        """Write to the page cache before the request leaves, then mark `progress` at most every 200 ms.

        Raises Unavailable when the journal cannot be written or its backlog is full.
        """

    def settle(self, record: Settled) -> Awaitable[None]:
        """Done when the record is durable. Raises Unavailable, now or then, when it cannot be made so."""

    def close(self, request_id: str, *, delivered: bool) -> None:
        """A whole answer that was settled has been handed to the kernel, or its client had gone."""


class LeaseSource(Protocol):
    """Control, as the purse sees it."""

    async def lease(self, tenant_id: str, amount: Money) -> Money:
        """Ask for a share. What comes back was debited durably; zero means that nothing is left.

        Raises Unavailable when control does not answer in time.
        """


class Meters(Protocol):
    """What this process counts for the operator."""

    def answered(self, operation: Operation, outcome: Outcome, tokens: TokenCount) -> None:
        """A request that an engine was asked for has ended."""

    def refused(self, code: str) -> None:
        """A request ended before an engine was asked, for this reason."""


class KeyUse(NamedTuple):
    """When a secret of a key was last used. The secret is named by the instant at which it was made."""

    key_id: str
    made_unix_ms: int
    last_unix_ms: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What gateways must learn that happened after some version of the directory. Again is no harm."""

    version: int
    keys: tuple[ApiKey, ...]
    tenants: tuple[Tenant, ...]
    """Each with the standing that counts: its own, or that of its organisation."""


class KeyBook(Protocol):
    """All keys that a gateway knows, revoked ones included, read when they are asked for."""

    def __contains__(self, key_id: str) -> bool: ...

    def find(self, key_id: str, digest: bytes) -> tuple[ApiKey, bool]:
        """The key, and whether one of its secrets, still living or not, has this digest.

        If none has, or there is no such key, it is a stand-in, which opens nothing and takes as long to find: every
        digest is compared in constant time.
        """


class TenantBook(Protocol):
    """All tenants, each with the standing that counts: its own, or that of its organisation."""

    def get(self, tenant_id: str, /) -> Tenant | None:
        """None when there is none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What control tells a gateway: everything that it needs to serve without asking again."""

    number: int
    pepper: bytes
    keys: KeyBook
    tenants: TenantBook
    models: tuple[Model, ...]
    prices: tuple[PriceList, ...]
    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class House:
    """All that the serving story stands on."""

    directory: Directory
    purse: Purse
    fleet: Fleet
    journal: Journal
    engine: Engine
    clock: Clock
