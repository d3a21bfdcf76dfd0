"""What a request leaves in the journal, seen through a real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from parvis.adapters.journal.reader import JournalReader
from parvis.adapters.journal.writer import FileJournal
from parvis.core.errors import BadRequest, EngineBroke, EngineUnavailable, Failure
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.seat import Placement
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.metering.records import Marked, Operation, Outcome, Record, Settled, Started
from parvis.domain.quota.admission import WorstCase
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import Amounts
from parvis.flows.directory import SnapshotDirectory
from parvis.flows.fleet import LocalFleet
from parvis.flows.hold import Hold, Passage
from parvis.flows.ports import Answer, Delivery, Engine, Flow, House, Job, Sink
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity
from parvis.flows.trail import Trail

KEY = ApiKey("k1", "org", "t", "mine", (), project_id="p", owner_id="u")
PRICES = PriceList("p1", "*", 0, 1, 1, 10, 10)
MODEL = Model(id="m", engine="e", engine_model="m", context_tokens=100, capabilities=(Capability.CHAT,))
REPLICAS = tuple(Replica(f"e-{n}", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY) for n in range(2))
HELD = Money(50)
HOLD = Hold(("tenant:t", "budget:202611:key:k1"), HELD, WorstCase(1, 1, 1), Passage())


class SteppingClock:
    """Each look is an eighth of a second later than the one before."""

    def __init__(self) -> None:
        self._looks = 0

    def unix_ms(self) -> int:
        return 1_784_000_000_000

    def monotonic_s(self) -> float:
        self._looks += 1
        return self._looks / 8


class Client:
    """A sink whose bytes leave when the test says."""

    left = False

    def __init__(self) -> None:
        self.flushed_now = True

    def attach(self, flow: Flow) -> None: ...

    def events(self, data: bytes) -> None: ...

    def flushed(self) -> bool:
        return self.flushed_now

    async def drained(self) -> None: ...

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None: ...


class Running:
    """An answer that goes as far as the test says."""

    def __init__(self) -> None:
        self.delivery = Delivery()

    async def done(self) -> Delivery:
        return self.delivery


class Nobody:
    """No lease, no rate and no engine is asked for here."""

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        raise NotImplementedError

    def give_back(self, account: str, amount: Money) -> None:
        raise NotImplementedError

    async def start(self, job: Job, sink: Sink) -> Answer:
        raise NotImplementedError

    async def enter(self, subjects: tuple[str, ...], most: Amounts) -> Passage:
        raise NotImplementedError

    def leave(self, passage: Passage, used: Amounts) -> None:
        raise NotImplementedError

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:
        raise NotImplementedError


class Words:
    def texts(self) -> list[str]:
        return []


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[FileJournal]:
    journal = FileJournal(tmp_path / "journal" / "gw_1", asyncio.get_running_loop())
    yield journal
    await journal.end()


@pytest.fixture
def house(journal: FileJournal) -> House:
    clock, fleet, nobody = SteppingClock(), LocalFleet(), Nobody()
    fleet.load(REPLICAS)
    engine: Engine = nobody
    purse = LeasedPurse(nobody, HELD)
    quota = LeasedQuota(purse, nobody, Scarcity(purse, lambda _: None, nobody), clock)
    return House(SnapshotDirectory(clock), quota, fleet, journal, engine, clock)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], list[Record]]:
    """All that stands in the journal now."""
    return lambda: [record for _, record in JournalReader(tmp_path / "journal" / "gw_1").read()]


def trail_of(house: House, client: Client, *, stream: bool = True) -> Trail:
    request = InferenceRequest(
        request_id="req_1",
        operation=Operation.CHAT,
        credential=None,
        model="m",
        body=Words(),
        stream=stream,
        input_bytes=1,
    )
    return Trail(house, request, client, KEY, MODEL, PRICES, HOLD)


def placed(house: House) -> Placement:
    placement = house.fleet.place_now(Ask("e"))
    assert placement is not None
    return placement


async def marked(written: Callable[[], list[Record]]) -> list[Record]:
    """The marks, once the journal has looked at the request's progress several times."""
    await asyncio.sleep(0.35)
    return [record for record in written() if isinstance(record, Marked)]


async def test_a_request_is_written_down_before_it_leaves(house: House, written: Callable[[], list[Record]]) -> None:
    trail = trail_of(house, Client())
    trail.start(placed(house))
    [record] = written()
    assert isinstance(record, Started)
    assert (record.request_id, record.tenant_id, record.key_id, record.model_id) == ("req_1", "t", "k1", "m")
    assert (record.price_version, record.held_pico_euro, record.streamed) == ("p1", 50, True)
    assert (record.project_id, record.owner_id, record.budgets) == ("p", "u", ("budget:202611:key:k1",))


async def test_a_mark_counts_what_has_left_and_nothing_else(house: House, written: Callable[[], list[Record]]) -> None:
    client, answer = Client(), Running()
    trail = trail_of(house, client)
    trail.start(placed(house))
    assert await marked(written) == []
    client.flushed_now = False
    trail.first_byte(answer)
    answer.delivery.tokens = TokenCount(input=1, output=2)
    assert await marked(written) == []
    client.flushed_now = True
    assert await marked(written) == [Marked("req_1", TokenCount(input=1, output=2), 21)]


async def test_a_mark_says_the_whole_cost_even_above_the_hold(
    house: House, written: Callable[[], list[Record]]
) -> None:
    answer = Running()
    trail = trail_of(house, Client())
    trail.start(placed(house))
    trail.first_byte(answer)
    answer.delivery.tokens = TokenCount(output=7)
    assert await marked(written) == [Marked("req_1", TokenCount(output=7), 70)]


async def test_a_whole_answer_is_not_marked(house: House, written: Callable[[], list[Record]]) -> None:
    trail = trail_of(house, Client(), stream=False)
    trail.start(placed(house))
    trail.first_byte(Running())
    assert await marked(written) == []


async def test_the_end_has_its_times_and_its_money(house: House, written: Callable[[], list[Record]]) -> None:
    trail = trail_of(house, Client())
    trail.start(placed(house))
    trail.first_byte(Running())
    await trail.settle(Delivery(TokenCount(output=7), estimated=True), HELD, Money(20))
    assert written()[-1] == Settled("req_1", Outcome.COMPLETED, TokenCount(output=7), True, 50, 20, 125, 250)  # noqa: FBT003 - estimated


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (BadRequest("no"), Outcome.REFUSED),
        (EngineBroke("no"), Outcome.ENGINE_BROKE),
        (EngineUnavailable("no"), Outcome.ENGINE_BROKE),
    ],
)
async def test_a_request_that_failed_ends_at_no_cost(
    house: House, written: Callable[[], list[Record]], failure: Failure, outcome: Outcome
) -> None:
    trail = trail_of(house, Client())
    trail.start(placed(house))
    await trail.void(failure)
    await trail.void(failure)
    ends = [record for record in written() if isinstance(record, Settled)]
    assert [(end.outcome, end.billed_pico_euro, end.written_off_pico_euro) for end in ends] == [(outcome, 0, 0)]


async def test_a_request_that_never_started_leaves_nothing(house: House, written: Callable[[], list[Record]]) -> None:
    trail = trail_of(house, Client())
    await trail.void(EngineUnavailable("no"))
    trail.release()
    assert written() == []


async def test_a_place_is_given_back_once(house: House) -> None:
    trail = trail_of(house, Client())
    fleet = house.fleet
    assert isinstance(fleet, LocalFleet)
    trail.start(placed(house))
    assert fleet.in_flight == 1
    trail.release()
    trail.release()
    assert fleet.in_flight == 0
