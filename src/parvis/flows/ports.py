"""What the serving story needs from the world, as intents. Adapters and the api implement these; nobody subclasses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec import Struct

from parvis.core.clock import Clock
from parvis.core.errors import EngineUnavailable
from parvis.core.money import ZERO, Money
from parvis.core.quantities import Quantities
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.difficulty import Scorer, difficulty
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.profile import EngineProfile
from parvis.domain.fleet.replica import Replica
from parvis.domain.fleet.seat import Placement
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Operation, Outcome, Record, Settled, Started
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import Amounts, Limits
from parvis.flows.hold import Hold, Passage
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest


class EngineHungUp(EngineUnavailable):
    """An engine ended the connection before anything of an answer came: it died, or this request is what breaks it."""


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

    def chosen(self, model_id: str, why: str) -> None:
        """An `auto` entry was asked for, and this model serves. Said before `admitted`."""

    def flushed(self) -> bool:
        """Whether all that was given has reached the kernel."""

    async def drained(self) -> None:
        """Return when `flushed()` is true or the client has left."""

    def admitted(self, hold: Hold) -> None:
        """The request is inside all limits; said before anything else, so that the head of an answer can tell."""

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
    billed: Money = ZERO
    """What the tenant pays for it, once it has ended."""
    clipped: str = ""
    """As in its `Hold`."""
    quarantined: str = ""
    """What the engine claimed to have counted, where that cannot be; the tokens are then our own count."""
    quantities: Quantities | None = None
    """What has been delivered beside tokens, if that is anything; kept true like them."""
    content_type: bytes = b""
    """Of a whole answer that is no JSON."""


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
    """Of one choice of one prompt: what the engine is told. Money is held for so many of each, so a stream that brings
    more is ended there, as if it had reached its length."""
    profile: EngineProfile
    cache_salt: str = ""
    """What keeps its tenant's prompts apart in the engine's prefix cache, where the engine knows a salt."""
    cache: bool = True
    """Whether it may find there what was computed before."""


class Engine(Protocol):
    """A kind of inference server. Conformance suite: `parvis.testing.engine_suite`."""

    async def start(self, job: Job, sink: Sink) -> Answer:
        """Send the request and wait for the first byte of a good answer.

        Raises EngineUnavailable when nothing was computed (another replica may be tried), BadRequest when the engine
        finds the request wrong (with the field's code), EngineBroke otherwise.
        """


class Sound(NamedTuple):
    """A file of sound."""

    content: memoryview
    ending: str
    """Of its name, where that tells a format."""


class SoundMeter(Protocol):
    """Engines that can tell how long a sound is without hearing it."""

    async def measure(self, replica: Replica, request_id: str, sound: Sound) -> int | None:
        """Milliseconds; None where this kind of engine does not say. Raises BadRequest, EngineUnavailable."""


class PromptCounter(Protocol):
    """The tokenizers of the engines. Asked only where the bound of a prompt makes a difference."""

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:
        """At most so many tokens will the model see of all its prompts, templates and injected texts included.

        None where no engine says it in time. Never raises Failure.
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
    """Money leased from control. Holding is a matter of memory unless a lease is nearly used up.

    A request holds against the account of its tenant and, where they exist, against budgets (`domain.quota.budget`).
    """

    def hold_now(self, accounts: tuple[str, ...], amount: Money) -> bool:
        """Reserve a worst case in all of these accounts, if what is at hand covers it; else in none."""

    async def hold(self, accounts: tuple[str, ...], amount: Money) -> "Shortage | None":
        """Reserve a worst case in all of these accounts, or in none: then what falls short, and how much there is.

        May ask control. While it waits nothing is held. Raises Unavailable when control does not answer.
        """

    def settle(self, accounts: tuple[str, ...], held: Money, billed: Money) -> None:
        """End a hold; zero billed voids it."""


class Shortage(NamedTuple):
    """An account that does not cover what was to be held."""

    account: str
    free: Money
    """What could be held against it now by this gateway: what it has, and what control still has for anybody."""
    held: Money = ZERO
    """What this gateway holds of it for requests that run: some of that will be free again."""


class Throttle(Protocol):
    """Rates and requests at a time, leased in slices from their owner. Asks nobody unless a slice is nearly used up."""

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        """Take the most that a request can be from every rate of these subjects, or from none.

        Raises LimitReached, which says which limit, its state, and when it frees; Unavailable when nobody answers.
        """

    def leave(self, passage: Passage, used: Amounts) -> None:
        """The request has ended: give back what it did not use, and its place. Safe to call once."""


class Quota(Protocol):
    """All that a caller may still use, in one place."""

    async def hold(
        self,
        prepared: PreparedKey,
        prices: PriceList,
        worst: WorstCase,
        request: InferenceRequest | None = None,
        model: Model | None = None,
    ) -> Hold:
        """Reserve the most that a request can be, everywhere or nowhere. Cancelled, it has reserved nothing.

        Near exhaustion the prompt of `request` is counted exactly, where its engine can. Raises LimitReached,
        QuotaExhausted (each naming the limit, its state and what to do), Unavailable.
        """

    def settle(self, hold: Hold, billed: Money, tokens: TokenCount) -> None:
        """The request has ended: what it did not use is free again. Nothing billed and no tokens voids it."""


class LimitBook(Protocol):
    """The limits in force of subjects, read when they are asked for."""

    def get(self, subject: str, /) -> Limits | None:
        """None where none was ever set."""


class Fleet(Protocol):
    """Which replicas run, and who goes where. A placed request holds a guard on its replica's load until released."""

    hedge_after_s: float
    """For how long a stream waits for its first byte before another replica is asked too; 0: for ever."""

    def place_now(self, ask: Ask) -> Placement | None:
        """Filter, score, pick; counts the request as in flight. None: all that could take it are busy: `place` waits.

        Raises EngineUnavailable when none is eligible.
        """

    async def place(self, ask: Ask, sink: Sink | None = None) -> Placement:
        """The same, after waiting for its turn. Raises EngineUnavailable, Unavailable, LimitReached: why it got none.

        With a sink, it ends when the receiver leaves (EngineUnavailable).
        """

    def first_byte(self, placement: Placement) -> None:
        """The replica has begun to answer."""

    def release(self, placement: Placement, ending: Ending = Ending.GOOD) -> None:
        """The request left this replica, and how. Once for each placement."""

    def serves(self, pool: str) -> bool:
        """Whether somebody of this pool takes new requests, as far as we know; they may be busy, or asleep."""

    def may_retry(self, ask: Ask) -> bool:
        """After one of `ask.GAVE_NOTHING`: whether another replica may be asked. Spends of the budget for retries."""


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

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        """Ask for a share of an account: at least `need`, which waits, and up to `wanted`.

        What comes back was debited durably; zero means that `need` is more than what is left. Raises Unavailable when
        control does not answer in time.
        """

    def give_back(self, account: str, amount: Money) -> None:
        """Part of a lease that nothing is held against. If this is lost, it comes back when the run has ended."""


class Taken(NamedTuple):
    """A key under which a request is served once, as control answered."""

    ask: str
    """Names this attempt. Empty when there is an answer already."""
    answer: bytes | None = None
    """What another request under the key was answered; None: this one is to run, and `keep` or `free` ends it."""


class ClaimSource(Protocol):
    """Control, as a request with an `Idempotency-Key` sees it."""

    async def take(self, tenant_id: str, idempotency_key: str, fingerprint: str, sink: Sink) -> Taken:
        """Claim the key, durably, or wait for the answer of the request that has it. Ends when the receiver leaves.

        Raises Conflict when the key was used for another request, or when its answer is not kept; Unavailable when
        control does not answer in time.
        """

    async def keep(self, taken: Taken, answer: bytes | None) -> None:
        """The request has ended with this answer, or (None) with one that is too large to be kept.

        Durable on return, unless that takes over five seconds: then the answer is not kept, and control is told so
        until it knows.
        """

    def free(self, taken: Taken) -> None:
        """The request has failed: the next one under the key runs. Told until control knows."""


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
    limits: tuple[tuple[str, Limits], ...] = ()
    """Subjects, and the limits that are in force on them: of a contract, those of its tier with what was agreed."""


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

    def __len__(self) -> int: ...

    def get(self, tenant_id: str, /) -> Tenant | None:
        """None when there is none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What control tells a gateway: everything that it needs to serve without asking again."""

    number: int
    pepper: bytes
    keys: KeyBook
    tenants: TenantBook
    limits: LimitBook
    models: tuple[Model, ...]
    prices: tuple[PriceList, ...]
    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class House:
    """All that the serving story stands on."""

    directory: Directory
    quota: Quota
    fleet: Fleet
    journal: Journal
    engine: Engine
    clock: Clock
    scorer: Scorer = difficulty
    """How hard a task is, for `auto` entries."""
    meter: SoundMeter | None = None
