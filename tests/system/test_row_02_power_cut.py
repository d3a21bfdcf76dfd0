"""Promise 2: a power cut loses nothing that anybody was told to be durable.

The real journal writes while a tape records what reaches the kernel; then every disk that a cut may leave is read by
the real reader. For SQLite, any earlier commit is restored and the journal is ingested again.
"""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from parvis.adapters.journal.reader import JournalReader
from parvis.adapters.journal.segment import Segment
from parvis.adapters.journal.writer import FileJournal
from parvis.adapters.store.store import SqlStore
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import cost
from parvis.domain.billing.transfer import REVENUE, tenant_account
from parvis.domain.metering.records import Closed, Marked, Operation, Outcome, Record, Settled, Started, UsageRecord
from parvis.domain.metering.replay import Replay
from parvis.domain.metering.totals import UsageTotal
from parvis.flows.ingest import Ingest
from parvis.testing.power_cut import Tape
from parvis.testing.store_suite import PRICES, settle_in

CUTS = {"C": 500, "N": 10_000}
CUTS_OF_A_JOURNAL = 50
CUTS_OF_A_CONTROL = 100
RESTORES = {"C": 4, "N": 20}
PART = 7
"""Records that are read at a time."""
REQUESTS, AT_ONCE = 60, 8
STARTED = Started("", "org", "limited", "k", "m", Operation.CHAT, "e-0", "p1", 10**9, True, 1_784_030_400_000)  # noqa: FBT003 - streamed
Bookings = dict[str, UsageRecord]


def request(number: int) -> tuple[Started, Settled]:
    """Odd ones are whole answers."""
    tokens = TokenCount(number, number // 2, 3 * number, number % 7)
    started = STARTED._replace(request_id=f"req_{number:04d}", streamed=number % 2 == 0)
    return started, Settled(
        started.request_id, Outcome.COMPLETED, tokens, billed_pico_euro=cost(tokens, PRICES).pico_euro
    )


async def life(journal: FileJournal, numbers: Sequence[int], tape: Tape) -> None:
    """Requests one after the other; the tape knows which of them were told to be durable."""
    for number in numbers:
        started, settled = request(number)
        journal.start(started, None)
        await asyncio.sleep(0)
        await journal.settle(settled)
        tape.acknowledge(started.request_id)
        if not started.streamed:
            journal.close(started.request_id, delivered=True)


async def recorded(folder: Path) -> Tape:
    """A journal's whole life."""
    tape = Tape()
    with tape.watching_syncs():
        journal = FileJournal(folder, asyncio.get_running_loop(), tape.open_segment)
        async with asyncio.timeout(60):
            await asyncio.gather(*[life(journal, range(n, REQUESTS, AT_ONCE), tape) for n in range(AT_ONCE)])
            await journal.end()
    return tape


def recovered(folder: Path) -> tuple[list[Record], Bookings]:
    """What control reads of a dead run, and what it books."""
    records = [record for _, record in JournalReader(folder).read()]
    replay = Replay()
    booked = [one for record in records for one in replay.feed(record)] + replay.end()
    assert len({one.started.request_id for one in booked}) == len(booked)
    return records, {one.started.request_id: one for one in booked}


def wrong_after(tape: Tape, at: int, dice: random.Random, folder: Path) -> list[str]:
    """What is lost, or believed though it was never written, when the power goes here."""
    folder.mkdir()
    tape.after_cut(at, dice, folder)
    _, booked = recovered(folder)
    shutil.rmtree(folder)
    lost = [
        f"{one}: acknowledged, {told(booked.get(one))}" for one in tape.acknowledged(at) if not kept(booked.get(one))
    ]
    torn = [f"{name}: never written like this" for name, one in booked.items() if not written(one)]
    return lost + torn


def kept(one: UsageRecord | None) -> bool:
    """A stream is billed; a whole answer may be in doubt, and is written off then."""
    if one is None:
        return False
    due = one.settled.billed_pico_euro + one.settled.written_off_pico_euro
    return due == request(number_of(one))[1].billed_pico_euro and one.settled.outcome is not Outcome.GATEWAY_LOST


def written(one: UsageRecord) -> bool:
    """Whether the journal was ever told so."""
    started, settled = request(number_of(one))
    in_doubt = settled._replace(
        outcome=Outcome.IN_DOUBT, billed_pico_euro=0, written_off_pico_euro=settled.billed_pico_euro
    )
    lost = Settled(started.request_id, Outcome.GATEWAY_LOST)
    return one.started == started and one.settled in (settled, in_doubt, lost)


def number_of(one: UsageRecord) -> int:
    return int(one.started.request_id.partition("_")[2])


def told(one: UsageRecord | None) -> str:
    return "not there" if one is None else f"there as {one.settled.outcome}"


async def cut_everywhere(folder: Path, cuts: int) -> tuple[list[str], int]:
    """What is wrong after cuts at random acts of several journals; how many were acknowledged before them."""
    dice = random.Random(2)
    wrong: list[str] = []
    acknowledged = 0
    for number in range(0, cuts, CUTS_OF_A_JOURNAL):
        tape = await recorded(folder / f"gw_{number}")
        for cut in range(CUTS_OF_A_JOURNAL):
            at = dice.randint(0, len(tape.acts))
            acknowledged += len(tape.acknowledged(at))
            wrong += wrong_after(tape, at, dice, folder / f"cut_{number}_{cut}")
    return wrong, acknowledged


async def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, level: Literal["C", "N"]) -> None:
    wrong, acknowledged = await cut_everywhere(tmp_path, CUTS[level])
    print(f"\nrow 2: {CUTS[level]} cuts after {acknowledged} acknowledged requests, {len(wrong)} lost or torn")
    assert wrong == []
    assert acknowledged > CUTS[level] * REQUESTS // 4


async def test_control_a_skipped_fdatasync_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Segment, "sync", lambda _: None)
    wrong, _ = await cut_everywhere(tmp_path, CUTS_OF_A_CONTROL)
    print(f"control of row 2: {len(wrong)} lost, such as: {wrong[:1]}")
    assert any("acknowledged, not there" in one for one in wrong)


async def test_control_a_segment_whose_name_is_not_synced_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parvis.adapters.journal.segment.sync_folder", lambda _: None)
    wrong, _ = await cut_everywhere(tmp_path, CUTS_OF_A_CONTROL)
    assert any("acknowledged, not there" in one for one in wrong)


async def test_control_a_torn_frame_that_is_believed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parvis.adapters.journal.frames.zlib.crc32", lambda _: 7)
    try:
        wrong, _ = await cut_everywhere(tmp_path, CUTS_OF_A_CONTROL)
    except (msgspec.DecodeError, IndexError) as believed:
        wrong = [str(believed)]
    assert wrong != []


# ------------------------------------------------------------------------- the database, at an earlier commit

HELD = Money(10**9)
Sums = tuple[Money, Money, UsageTotal, list[str]]


class InParts:
    """The journal of a dead run, a few records at a time; and at each reading, a copy of the books as they are then."""

    incarnation = "gw_dead"

    def __init__(self, records: Sequence[Record], since: int, copy: Callable[[int], Path] | None = None) -> None:
        self.moments: list[tuple[int, Path]] = []
        """How much of the journal was let go of by then, and the books."""
        self._records = records
        self._read = self._dropped = since
        self._copy = copy

    def dead(self) -> bool:
        return self._read == len(self._records)

    def read(self) -> list[tuple[int, Record]]:
        if self._copy:
            self.moments.append((self._dropped, self._copy(len(self.moments))))
        before, self._read = self._read, min(self._read + PART, len(self._records))
        return list(enumerate(self._records[before : self._read], before + 1))

    def drop_read_segments(self, before: int | None) -> None:
        self._dropped = max(self._dropped, self._read if before is None else before - 1)

    def remove(self) -> None:
        self._dropped = self._read


class Hasty(InParts):
    """The control: lets go of what it has read before it is booked."""

    def read(self) -> list[tuple[int, Record]]:
        fresh = super().read()
        self.moments[-1:] = [(self._read, books) for _, books in self.moments[-1:]]
        return fresh


def history() -> list[Record]:
    """Requests one after the other; the last one's gateway dies."""
    ended: list[Record] = []
    for number in range(REQUESTS):
        started, settled = request(number)
        ended += [started, settled] if started.streamed else [started, settled, Closed((started.request_id,))]
    return [*ended, STARTED._replace(request_id="req_last"), Marked("req_last", TokenCount(output=1), 300)]


async def books_with_a_lease(path: Path) -> None:
    store = SqlStore(f"sqlite:///{path}")
    await store.open()
    await settle_in(store)
    await store.credit("limited", HELD * 2, "order")
    await store.lend(tenant_account("limited"), InParts.incarnation, HELD, HELD, "ask")
    await store.close()


async def ingested(path: Path, reader: InParts) -> Sums:
    """The sums when everything that the reader gives is booked."""
    store = SqlStore(f"sqlite:///{path}")
    await store.open()
    ingest = Ingest(reader, store)
    while not await ingest.step():
        pass
    [total] = await store.usage("limited")
    sums = await store.balance(REVENUE), await store.balance(tenant_account("limited")), total, await store.check()
    await store.close()
    return sums


def copied(source: Path, target: Path) -> Path:
    """The database as of its last commit."""
    with closing(sqlite3.connect(source)) as books, closing(sqlite3.connect(target)) as copy:
        books.backup(copy)
    return target


async def restored(folder: Path, moments: int, kind: type[InParts] = InParts) -> tuple[Sums, list[Sums]]:
    """The sums of one way through; and those after going back to some moments, with all or what was left to read."""
    books, records = folder / "books.db", history()
    await books_with_a_lease(books)
    reader = kind(records, 0, lambda number: copied(books, folder / f"books_{number}.db"))
    sums = await ingested(books, reader)
    again = []
    for dropped, copy in random.Random(2).sample(reader.moments, moments):
        again.append(await ingested(copied(copy, folder / "all.db"), InParts(records, 0)))
        again.append(await ingested(copied(copy, folder / "rest.db"), InParts(records, dropped)))
    return sums, again


async def test_any_earlier_commit_and_the_journal_make_the_same_sums(tmp_path: Path, level: Literal["C", "N"]) -> None:
    sums, again = await restored(tmp_path, RESTORES[level])
    print(f"\nrow 2: {len(again)} times back to an earlier commit, {sums[2].requests} requests each")
    assert sums[3] == []
    assert sums[2].requests == REQUESTS + 1
    assert again == [sums] * len(again)


async def test_control_a_journal_that_goes_before_it_is_booked_is_noticed(tmp_path: Path) -> None:
    sums, again = await restored(tmp_path, 3, Hasty)
    assert any(one != sums for one in again)
