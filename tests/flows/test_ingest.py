"""Journals carried into the ledger: each request once, whoever dies and whenever; what a run leaves is given back."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from parvis.adapters.journal.folder import segments
from parvis.adapters.journal.reader import JournalReader, runs
from parvis.adapters.journal.segment import Segment
from parvis.adapters.journal.writer import FileJournal
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import Unavailable
from parvis.core.money import ZERO, Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import cost
from parvis.domain.billing.transfer import REVENUE, WORLD_WRITE_OFF, lease_account, tenant_account
from parvis.domain.metering.records import Outcome, UsageRecord
from parvis.flows import ingest
from parvis.flows.ingest import Ingest
from parvis.testing.store_suite import COST, PRICES, lent, settle_in, usage_record

RUN = "gw_1"
CREDIT = COST * 1000
LEASE = COST * 100


@pytest.fixture
async def books(store: SqlStore) -> SqlStore:
    """A store whose tenant has credit, a part of it leased to the run."""
    await settle_in(store)
    await store.credit("limited", CREDIT, "order-1")
    await lent(store, "limited", RUN, LEASE, "ask-1")
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / RUN


@pytest.fixture
async def journal(folder: Path) -> AsyncIterator[FileJournal]:
    """Of a gateway that lives; small segments."""
    journal = FileJournal(folder, asyncio.get_running_loop(), lambda path: Segment(path, 700))
    yield journal
    if any(reader.incarnation == RUN and not reader.dead() for reader in runs(folder.parent)):
        await journal.end()


async def serve(journal: FileJournal, numbers: Sequence[int]) -> None:
    """Requests from start to end; odd ones are streamed."""
    for number in numbers:
        record = usage_record(number)
        journal.start(record.started, None)
        await journal.settle(record.settled)
        if not record.started.streamed:
            journal.close(record.started.request_id, delivered=True)
    await asyncio.sleep(0.01)


async def booked(books: SqlStore) -> int:
    """How many requests the ledger has; their sums are in order."""
    [total] = await books.usage(None)
    assert total.billed == COST * total.requests
    assert await books.balance(REVENUE) == total.billed
    assert await books.check() == []
    return total.requests


# -------------------------------------------------------------------------------------------------- a run that lives


async def test_what_has_ended_is_booked_while_the_run_lives(
    books: SqlStore, journal: FileJournal, folder: Path
) -> None:
    reading = Ingest(JournalReader(folder), books)
    for served in (range(5), range(5, 6), range(6, 6), range(6, 30)):
        await serve(journal, served)
        assert await reading.step() is False
        assert await booked(books) == served.stop
    assert await books.position(RUN) > 0
    assert reading.open_count == 0


async def test_what_is_under_way_is_not_booked_yet(books: SqlStore, journal: FileJournal, folder: Path) -> None:
    reading = Ingest(JournalReader(folder), books)
    stream, whole = usage_record(1), usage_record(2)
    journal.start(stream.started, None)
    journal.start(whole.started, None)
    await journal.settle(whole.settled)
    assert await reading.step() is False
    assert (await booked(books), reading.open_count) == (0, 2)
    await journal.settle(stream.settled)
    journal.close(whole.started.request_id, delivered=True)
    await asyncio.sleep(0.01)
    await reading.step()
    assert (await booked(books), reading.open_count) == (2, 0)


async def test_segments_go_when_nothing_in_them_is_open(books: SqlStore, journal: FileJournal, folder: Path) -> None:
    reading = Ingest(JournalReader(folder), books)
    journal.start(usage_record(99).started, None)
    await serve(journal, range(30))
    await reading.step()
    assert len(segments(folder)) > 3
    await journal.settle(usage_record(99).settled)
    await reading.step()
    assert len(segments(folder)) == 1
    assert await booked(books) == 31


async def test_statistics_are_told_of_each_booking_once(books: SqlStore, journal: FileJournal, folder: Path) -> None:
    told: list[UsageRecord] = []
    reading = Ingest(JournalReader(folder), books, told.extend)
    await serve(journal, range(4))
    await reading.step()
    await reading.step()
    assert sorted(told) == [usage_record(number) for number in range(4)]


# ------------------------------------------------------------------------------------------- whoever dies, whenever


class Cut:
    """The ledger behind a line that may break before or behind it; and what else happens while it works."""

    def __init__(
        self, books: SqlStore, faults: dict[int, str], meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._books = books
        self._faults = faults
        self._meanwhile = meanwhile
        self._calls = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._books, name)

    async def ingest(self, incarnation: str, position: int, records: Sequence[UsageRecord]) -> int:
        self._calls += 1
        fault = self._faults.get(self._calls)
        if fault == "before":
            raise Unavailable("The line broke.")
        new = await self._books.ingest(incarnation, position, records)
        if self._meanwhile is not None:
            await self._meanwhile()
        if fault == "behind":
            raise Unavailable("The line broke.")
        return new


@pytest.mark.parametrize("fault", ["before", "behind"])
@pytest.mark.parametrize("call", [1, 2, 4])
async def test_a_line_that_breaks_loses_nothing_and_doubles_nothing(
    books: SqlStore, journal: FileJournal, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, call: int
) -> None:
    monkeypatch.setattr(ingest, "BATCH_MAX", 3)
    await serve(journal, range(12))
    reading = Ingest(JournalReader(folder), Cut(books, {call: fault}))  # type: ignore[arg-type]  # the rest is the store's
    with pytest.raises(Unavailable):
        await reading.step()
    await reading.step()
    assert await booked(books) == 12


@pytest.mark.parametrize("fault", ["before", "behind"])
@pytest.mark.parametrize("call", [1, 2, 4])
async def test_a_control_that_dies_midway_reads_again_and_books_once(
    books: SqlStore, journal: FileJournal, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, call: int
) -> None:
    monkeypatch.setattr(ingest, "BATCH_MAX", 3)
    await serve(journal, range(12))
    dying = Ingest(JournalReader(folder), Cut(books, {call: fault}))  # type: ignore[arg-type]  # the rest is the store's
    with pytest.raises(Unavailable):
        await dying.step()
    await serve(journal, range(12, 15))
    await Ingest(JournalReader(folder), books).step()
    await Ingest(JournalReader(folder), books).step()
    assert await booked(books) == 15


async def test_what_is_written_while_the_ledger_works_is_booked_next(
    books: SqlStore, journal: FileJournal, folder: Path
) -> None:
    more = iter([range(10, 40), range(40, 70)])

    async def meanwhile() -> None:
        await serve(journal, next(more, range(0)))

    reading = Ingest(JournalReader(folder), Cut(books, {}, meanwhile))  # type: ignore[arg-type]  # the rest is the store's
    await serve(journal, range(10))
    for expected in (10, 40, 70):
        await reading.step()
        assert await booked(books) == expected


# --------------------------------------------------------------------------------------------------- a run that ends


async def test_a_dead_run_is_booked_to_its_end_and_gives_its_lease_back(
    books: SqlStore, journal: FileJournal, folder: Path
) -> None:
    reading = Ingest(JournalReader(folder), books)
    await serve(journal, range(5))
    await journal.end()
    assert await reading.step() is True
    assert await booked(books) == 5
    assert await books.balance(lease_account("limited", RUN)) == ZERO
    assert await books.balance(tenant_account("limited")) == CREDIT - COST * 5
    assert await books.open_incarnations() == []
    assert runs(folder.parent) == []


async def test_a_run_that_ended_while_nobody_read_is_closed_by_the_next_control(
    books: SqlStore, journal: FileJournal, folder: Path
) -> None:
    await serve(journal, range(3))
    await journal.end()
    cut = Cut(books, {1: "behind"})
    with pytest.raises(Unavailable):
        await Ingest(JournalReader(folder), cut).step()  # type: ignore[arg-type]  # the rest is the store's
    assert await Ingest(JournalReader(folder), books).step() is True
    assert await booked(books) == 3
    assert await books.balance(tenant_account("limited")) == CREDIT - COST * 3


GATEWAY = """
import asyncio, sys
from pathlib import Path
from parvis.adapters.journal.writer import FileJournal
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import cost
from parvis.domain.metering.records import Marked
from parvis.testing.store_suite import PRICES, usage_record

async def main():
    journal = FileJournal(Path(sys.argv[1]), asyncio.get_running_loop())
    tokens = TokenCount(*map(int, sys.argv[2:6]))
    marked = asyncio.Event()
    def progress():
        asyncio.get_running_loop().call_soon(marked.set)
        return Marked("req_000001", tokens, cost(tokens, PRICES).pico_euro)
    whole, stream = usage_record(0), usage_record(1)
    journal.start(whole.started, None)
    await journal.settle(whole.settled)
    journal.start(stream.started, progress)
    await marked.wait()
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@contextmanager
def gateway_in(folder: Path, tokens: TokenCount) -> Iterator[None]:
    """A gateway with a whole answer that was not handed over and a stream that is marked, until it is killed."""
    arguments = [sys.executable, "-c", GATEWAY, str(folder), *map(str, tokens)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as gateway:
        try:
            assert gateway.stdout is not None
            assert gateway.stdout.readline() == b"ready\n"
            yield
        finally:
            gateway.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("tokens", "billed"),
    [
        (TokenCount(50, 50, 10, 1), cost(TokenCount(50, 50, 10, 1), PRICES)),
        (TokenCount(1000, 1000, 1000, 1000), COST),  # an engine that reports more than was held
        (TokenCount(), ZERO),
    ],
)
async def test_a_killed_gateway_is_billed_to_its_marks_and_the_rest_is_written_off(
    books: SqlStore, folder: Path, tokens: TokenCount, billed: Money
) -> None:
    with gateway_in(folder, tokens):
        reading = Ingest(JournalReader(folder), books)
        assert await reading.step() is False
    assert await reading.step() is True
    stream, whole = await books.request("req_000001"), await books.request("req_000000")
    assert stream is not None
    assert whole is not None
    assert (stream.settled.outcome, stream.settled.billed_pico_euro) == (Outcome.GATEWAY_LOST, billed.pico_euro)
    assert (whole.settled.outcome, whole.settled.billed_pico_euro) == (Outcome.IN_DOUBT, 0)
    assert await books.balance(tenant_account("limited")) == CREDIT - billed
    assert await books.balance(WORLD_WRITE_OFF) == ZERO - (cost(tokens, PRICES) - billed) - COST
    assert await books.check() == []
