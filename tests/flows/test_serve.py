"""The main story and money: whatever happens between a hold and its end, nothing stays held, and no place taken."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from parvis.core.clock import SystemClock
from parvis.core.errors import BadRequest, EngineBroke, EngineUnavailable, Failure
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Operation, Record, Settled, Started
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import Amounts
from parvis.flows.fleet import LocalFleet
from parvis.flows.hold import Hold, Passage
from parvis.flows.ports import Answer, Delivery, EngineHungUp, Flow, House, Job, Sink
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity
from parvis.flows.serve import serve

KEY = ApiKey("k", "o", "t", "mine", (KeySecret(b"", 1),))
PRICES = PriceList("p1", "*", 0, 1, 1, 10, 10)
MODEL = Model(id="m", engine="e", engine_model="m", context_tokens=100, capabilities=(Capability.CHAT,))
MOST = Money(30 + 20 * 10)


class Words:
    def texts(self) -> list[str]:
        return []


REQUEST = InferenceRequest(
    request_id="req_1",
    operation=Operation.CHAT,
    credential="sk",
    model="m",
    body=Words(),
    output_tokens_max=20,
    input_bytes=30 - MODEL.template_tokens,
)


class Client:
    """A sink that takes everything."""

    left = False
    hold: Hold | None = None

    def attach(self, flow: Flow) -> None: ...

    def events(self, data: bytes) -> None: ...

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None: ...

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None:
        self.hold = hold


class Doorkeeper:
    """A directory of one key and one model."""

    tells_forbidden = False

    def admit(self, credential: str | None, address: str) -> PreparedKey:  # noqa: ARG002 - a port
        return prepare(KEY, KEY.secrets[0], Tenant("t", "o", "T", credit_unlimited=False), frozenset({"m"}))

    def model(self, name: str) -> Model | None:  # noqa: ARG002 - a port
        return MODEL

    def models(self, key: ApiKey) -> list[Model]:
        raise NotImplementedError

    def prices(self, model: Model) -> PriceList:  # noqa: ARG002 - a port
        return PRICES


class Control:
    """It has money; nothing else of it is asked for."""

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:  # noqa: ARG002 - a port
        return LeaseAnswer(wanted, Money(0))

    def give_back(self, account: str, amount: Money) -> None: ...

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        raise NotImplementedError

    def leave(self, passage: Passage, used: Amounts) -> None:
        raise NotImplementedError

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:
        raise NotImplementedError


class Notebook:
    """A journal whose last lines are written when the test says."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.sync: Callable[[], Awaitable[None]] = quick

    def start(self, record: Started, progress: Callable[[], Record | None] | None) -> None:  # noqa: ARG002 - a port
        self.records.append(record)

    def settle(self, record: Settled) -> Awaitable[None]:
        self.records.append(record)
        return self.sync()

    def close(self, request_id: str, *, delivered: bool) -> None: ...

    @property
    def billed(self) -> list[int]:
        return [record.billed_pico_euro for record in self.records if isinstance(record, Settled)]


class Machine:
    """An engine, and its one answer."""

    def __init__(self) -> None:
        self.delivery = Delivery()
        self.begin: Callable[[], Awaitable[None]] = quick
        self.end: Callable[[], Awaitable[None]] = quick

    async def start(self, job: Job, sink: Sink) -> Answer:  # noqa: ARG002 - a port
        await self.begin()
        return self

    async def done(self) -> Delivery:
        await self.end()
        self.delivery.tokens = TokenCount(9, 0, 2)
        return self.delivery


class World:
    """One of everything that a house stands on."""

    def __init__(self) -> None:
        control, clock = Control(), SystemClock()
        self.purse = LeasedPurse(control, Money(6_400))
        self.fleet, self.journal, self.engine, self.client = LocalFleet(), Notebook(), Machine(), Client()
        self.fleet.load((Replica("e-1", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY),))
        quota = LeasedQuota(self.purse, control, Scarcity(self.purse, lambda _: None, control), clock)
        self.house = House(Doorkeeper(), quota, self.fleet, self.journal, self.engine, clock)

    def serve(self) -> "asyncio.Task[Delivery]":
        return asyncio.ensure_future(serve(self.house, REQUEST, self.client))

    @property
    def state(self) -> tuple[int, int, int]:
        """What is held, what counts as spent, and how many are in flight."""
        lease = self.purse.lease("tenant:t")
        return lease.held_pico_euro, lease.spent_pico_euro, self.fleet.in_flight


async def quick() -> None:
    """At once."""


async def stuck() -> None:
    await asyncio.Event().wait()


def raising(problem: Exception) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        raise problem

    return act


async def test_an_answer_costs_what_was_delivered_and_says_so() -> None:
    world = World()
    delivery = await world.serve()
    assert (delivery.billed, delivery.clipped) == (Money(29), "")
    assert world.client.hold is not None
    assert world.client.hold.amount == MOST
    assert (world.state, world.journal.billed) == ((0, 29, 0), [29])


@pytest.mark.parametrize("failure", [BadRequest("no"), EngineBroke("no"), EngineUnavailable("no")])
async def test_a_request_that_an_engine_does_not_take_costs_nothing(failure: Failure) -> None:
    world = World()
    world.engine.begin = raising(failure)
    with pytest.raises(type(failure)):
        await world.serve()
    assert (world.state, world.journal.billed) == ((0, 0, 0), [0])


@pytest.mark.parametrize("where", ["begin", "end"])
@pytest.mark.parametrize("what", ["cancelled", "bug"])
async def test_what_ends_without_a_word_counts_as_spent_until_its_journal_is_read(where: str, what: str) -> None:
    """Somebody delivered something, perhaps: its marks will be billed, so nobody else may have its money meanwhile."""
    world = World()
    setattr(world.engine, where, stuck if what == "cancelled" else raising(ZeroDivisionError()))
    serving = world.serve()
    await asyncio.sleep(0.01)
    serving.cancel()
    with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
        await serving
    assert (world.state, world.journal.billed) == ((0, MOST.pico_euro, 0), [])


async def test_who_is_cancelled_while_the_journal_writes_has_paid() -> None:
    world = World()
    world.journal.sync = stuck
    serving = world.serve()
    await asyncio.sleep(0.01)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert (world.state, world.journal.billed) == ((0, 29, 0), [29])


@pytest.mark.parametrize(("failure", "attempts"), [(EngineUnavailable("no"), 3), (EngineHungUp("no"), 2)])
async def test_what_makes_two_replicas_hang_up_is_not_tried_on_a_third(failure: Failure, attempts: int) -> None:
    """Perhaps it is the request that kills them; the third may be the last."""
    world = World()
    address, ready = "http://127.0.0.1:1", ReplicaState.READY
    world.fleet.load(tuple(Replica(f"e-{n}", "e", EngineKind.VLLM, address, ready) for n in range(4)))
    world.engine.begin = raising(failure)
    with pytest.raises(EngineUnavailable):
        await world.serve()
    started = [record for record in world.journal.records if isinstance(record, Started)]
    assert len({record.replica_id for record in started}) == attempts
    assert world.state == (0, 0, 0)
