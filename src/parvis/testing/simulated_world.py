"""What surrounds the money path in a simulation: the books, a disk, the way to control, an engine, a client.

Each does what its port promises, at instants and with faults that are drawn from a seed. Time is the loop's.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict, EngineBroke, EngineUnavailable, Failure, Unavailable
from parvis.core.money import ZERO, Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.metering.records import Closed, Marked, Outcome, Record, Settled, Started, UsageRecord
from parvis.domain.quota.budget import LeaseAnswer, budget_of, grant_size
from parvis.domain.quota.gcra import Bucket, give_back, take
from parvis.domain.quota.limit import Limits
from parvis.domain.quota.slices import (
    Limited,
    Slice,
    Trade,
    Unused,
    Want,
    is_places,
    limited,
    rate_of,
    subject_of,
    take_places,
)
from parvis.flows.hold import Hold
from parvis.flows.ports import Answer, Delivery, Flow, Job, Sink

Progress = Callable[[], Record | None]


@dataclass
class Dice:
    """What happens by chance, and how often."""

    random: Random
    faults: float
    """The share of acts that go wrong: 0 is a world in which nothing ever does."""

    def fault(self, weight: float = 1.0) -> bool:
        return self.random.random() < self.faults * weight

    async def pause(self, ms_max: int = 40) -> None:
        """Anything may happen meanwhile."""
        await asyncio.sleep(self.random.randrange(ms_max) / 1000)


class Books:
    """The ledger: what is left of each account, what runs have leased, and each request once. Never loses anything."""

    def __init__(self, dice: Dice, limits: dict[str, int]) -> None:
        self.limits = limits
        """What may be spent in all: of a tenant's account, and of a subject in any month. In pico-euro."""
        self.out: Counter[str] = Counter()
        """What is leased or spent of each account."""
        self.leased: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """What runs hold, by account."""
        self.spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """What was booked of them."""
        self.granted: dict[str, LeaseAnswer] = {}
        self.booked: dict[str, UsageRecord] = {}
        self.bookings = 0
        self.closed: set[str] = set()
        self._dice = dice

    def left(self, account: str) -> int:
        budget = budget_of(account)
        return self.limits[account if budget is None else budget[0]] - self.out[account]

    async def grant(self, account: str, run: str, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        """Debit a share durably; the same `ask` again gives the same answer."""
        return self.debit(account, run, self.left(account), need, wanted, ask)

    def debit(self, account: str, run: str, left: int, need: Money, wanted: Money, ask: str) -> LeaseAnswer:
        """See `grant`. Raises Conflict for a run that has ended."""
        if ask in self.granted:
            return self.granted[ask]
        if run in self.closed:
            raise Conflict("The run has returned its leases.")
        granted = grant_size(left, need.pico_euro, wanted.pico_euro, 2)
        self._lease(account, run, granted)
        answer = self.granted[ask] = LeaseAnswer(Money(granted), Money(left - granted))
        return answer

    def give_back(self, account: str, run: str, amount: Money) -> None:
        if run not in self.closed:
            self._lease(account, run, -amount.pico_euro)

    async def ingest(self, incarnation: str, position: int, records: Sequence[UsageRecord]) -> int:  # noqa: ARG002 - a port
        """See `LedgerStore.ingest`: what is not there yet is booked, all of it or nothing."""
        if self._dice.fault():
            raise Unavailable("The store is away.")
        fresh = self.fresh(records)
        for record in fresh:
            self._book(incarnation, record)
        if self._dice.fault():
            raise Unavailable("It is done, but nobody hears of it.")
        return len(fresh)

    def fresh(self, records: Sequence[UsageRecord]) -> list[UsageRecord]:
        """Those that were never booked."""
        return [record for record in records if record.started.request_id not in self.booked]

    async def return_lease(self, incarnation: str) -> Money:
        """What is left of the leases of a run that has ended is free again."""
        if self._dice.fault():
            raise Unavailable("The store is away.")
        self.closed.add(incarnation)
        for account, amount in self.leased.pop(incarnation, Counter[str]()).items():
            self.out[account] -= amount
        return ZERO

    def _lease(self, account: str, run: str, pico_euro: int) -> None:
        self.leased[run][account] += pico_euro
        self.out[account] += pico_euro

    def _book(self, run: str, record: UsageRecord) -> None:
        started, settled = record
        self.booked[started.request_id] = record
        self.bookings += 1
        for account in (f"tenant:{started.tenant_id}", *started.budgets):
            self.leased[run][account] -= settled.billed_pico_euro
            self.spent[run][account] += settled.billed_pico_euro


class Disk:
    """The `Journal` of one gateway run, and what control reads of it. Whatever dies, its records stay."""

    def __init__(self, dice: Dice, run: str) -> None:
        self.incarnation = run
        self.records: list[Record] = []
        self.durable = 0
        """How many of them a power cut cannot take."""
        self.dropped = 0
        self.alive = True
        self.broken = False
        self._dice = dice
        self._progress: dict[str, Progress] = {}

    # What a gateway writes

    def start(self, record: Started, progress: Progress | None) -> None:
        """See the port."""
        self._append(record)
        if progress is not None:
            self._progress[record.request_id] = progress

    def settle(self, record: Settled) -> Awaitable[None]:
        """See the port. What was appended before a sync begins is durable when it ends."""
        self._progress.pop(record.request_id, None)
        self._append(record)
        return self._sync()

    async def _sync(self) -> None:
        await self._dice.pause(6)
        covered = len(self.records)
        await self._dice.pause(6)
        self.broken = self.broken or self._dice.fault(0.1)
        if self.broken:
            raise Unavailable("The usage journal cannot be written.")
        self.durable = max(self.durable, covered)

    def write(self, record: Record) -> None:
        """What nobody waits for."""
        if not self.broken:
            self._append(record)

    def close(self, request_id: str, *, delivered: bool) -> None:
        """See the port; a gateway writes it at once here."""
        self.write(Closed((request_id,)) if delivered else Closed((), (request_id,)))

    def mark(self) -> None:
        """What has left for the clients so far."""
        for progress in list(self._progress.values()):
            mark = progress()
            if isinstance(mark, Marked):
                self.write(mark)

    def is_durable(self, record: Record) -> bool:
        return record in self.records[: self.durable]

    def cut_power(self) -> None:
        """Of what no sync has covered, the first few may have reached the disk."""
        kept = self._dice.random.randint(self.durable, len(self.records))
        self.alive = False
        del self.records[kept:]

    def _append(self, record: Record) -> None:
        if self.broken:
            raise Unavailable("The usage journal cannot be written.")
        if self.alive:
            self.records.append(record)


class DiskReader:
    """The `RunReader` of control. Another one begins where segments were dropped."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._read = disk.dropped

    @property
    def incarnation(self) -> str:
        return self._disk.incarnation

    def dead(self) -> bool:
        return not self._disk.alive

    def read(self) -> list[tuple[int, Record]]:
        """See the port."""
        fresh = list(enumerate(self._disk.records[self._read :], self._read + 1))
        self._read = len(self._disk.records)
        return fresh

    def drop_read_segments(self, before: int | None) -> None:
        """See the port; each record is a segment of its own here."""
        self._disk.dropped = max(self._disk.dropped, self._read if before is None else min(self._read, before - 1))

    def remove(self) -> None:
        """See the port. Its records stay for the laws to look at."""


class Wire:
    """The `LeaseSource` of one gateway run: messages are late, and some never come."""

    def __init__(self, dice: Dice, books: Books, disk: Disk) -> None:
        self._dice = dice
        self._books = books
        self._disk = disk
        self._asked = 0
        self._later: set[asyncio.Task[None]] = set()

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        """See the port. A lost question is told as `Unavailable`; so is a lost answer, and then money was leased."""
        self._asked += 1
        ask = f"{self._disk.incarnation} {self._asked}"
        await self._dice.pause()
        if self._dice.fault():
            raise Unavailable("Credit cannot be checked right now.")
        answer = await self._books.grant(account, self._disk.incarnation, need, wanted, ask)
        while self._dice.fault():  # control was another one: what was asked is asked again
            answer = await self._books.grant(account, self._disk.incarnation, need, wanted, ask)
        await self._dice.pause()
        if self._dice.fault():
            raise Unavailable("Credit cannot be checked right now.")
        return answer

    def give_back(self, account: str, amount: Money) -> None:
        """See the port."""
        task = asyncio.ensure_future(self._give_back(account, amount))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _give_back(self, account: str, amount: Money) -> None:
        await self._dice.pause()
        if self._disk.alive and not self._dice.fault():
            self._books.give_back(account, self._disk.incarnation, amount)


class Owner:
    """Who owns rates and places: every gateway's question at once, on one clock."""

    def __init__(self, limits: Mapping[str, Limits]) -> None:
        self._limits = limits
        self._buckets: dict[str, Bucket] = {}
        self._places: dict[str, Counter[str]] = {}

    def now_us(self, clock: Clock) -> int:
        """By our own monotonic clock, whatever the wall clock of a gateway says."""
        return int(clock.monotonic_s() * 1_000_000)

    def whose(self, bucket: str, run: str) -> str:  # noqa: ARG002 - a bug may be planted here
        """The bucket that a gateway's question is about: the same one for all."""
        return bucket

    def trade(self, run: str, clock: Clock, unused: list[Unused], wants: list[Want]) -> list[Slice]:
        """See `RateSource`."""
        at_us = self.now_us(clock)
        for one in unused:
            if is_places(one.bucket):
                self._held(one.bucket)[run] = one.amount
            elif (rate := rate_of(one.bucket, self._limits[subject_of(one.bucket)])) is not None:
                name = self.whose(one.bucket, run)
                self._buckets[name] = give_back(self._buckets.get(name), at_us, rate, one)
        return [self._answer(run, limited(want, self._limits[subject_of(want.bucket)]), at_us) for want in wants]

    def end(self, run: str) -> None:
        """Nobody runs there any more."""
        for held in self._places.values():
            held.pop(run, None)

    def _answer(self, run: str, asked: Limited, at_us: int) -> Slice:
        want, rate, places_max = asked
        if rate is not None:
            name = self.whose(want.bucket, run)
            self._buckets[name], answer = take(self._buckets.get(name), at_us, rate, want)
            return answer
        held = self._held(want.bucket)
        others = [count for other, count in held.items() if other != run]
        answer = take_places(held[run], others, places_max or 0, want, at_us)
        held[run] = answer.granted
        return answer

    def _held(self, bucket: str) -> Counter[str]:
        return self._places.setdefault(bucket, Counter())


class RateWire:
    """The `RateSource` of one gateway run. An answer may be lost when it was given."""

    def __init__(self, dice: Dice, owner: Owner, disk: Disk, clock: Clock) -> None:
        self.lost = False
        """The owner was away, after it had been heard of."""
        self._heard = False
        self._dice = dice
        self._owner = owner
        self._disk = disk
        self._clock = clock

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        """See the port."""
        await self._way()
        slices = self._owner.trade(self._disk.incarnation, self._clock, unused, wants)
        await self._way()
        self._heard = True
        return Trade(slices, 2)

    async def _way(self) -> None:
        await self._dice.pause(20)
        if not self._disk.alive or self._dice.fault():
            self.lost = self.lost or self._heard
            raise Unavailable("Rate limits cannot be checked right now.")


class Client:
    """The `Sink` of one request, and the exchange of its desk: what a client received, and how it ended for it."""

    call = SimpleNamespace(idempotency_key=None)

    def __init__(self, dice: Dice, disk: Disk, ended: Callable[["Client"], None]) -> None:
        self.got = NO_TOKENS
        """What it can read. Of a whole answer nothing before its end."""
        self.made = NO_TOKENS
        """What the engine has made."""
        self.whole = False
        """The engine has made all of it."""
        self.left = False
        self.admitted_s: float | None = None
        """When it was inside all limits."""
        self.answered = False
        """The final marker came, or a whole answer did."""
        self._dice = dice
        self._gateway = disk
        self._ended = ended
        self._flow: Flow | None = None

    # As a sink

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None:  # noqa: ARG002 - a port
        """See the port."""
        if self._gateway.alive:
            self.admitted_s = asyncio.get_running_loop().time()

    def add_header(self, name: bytes, value: bytes) -> None:
        """Nobody reads it."""

    def attach(self, flow: Flow) -> None:
        self._flow = flow

    def events(self, data: bytes) -> None:
        """Nobody looks at bytes here."""

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None:
        """Never asked: all is flushed."""

    def take(self, tokens: TokenCount) -> None:
        """A part of a stream has come; perhaps it was enough."""
        self.got = tokens
        if self._dice.fault() and self._flow is not None:
            self.left = True
            self._flow.cancel()

    # As an exchange

    def finish_stream(self, data: bytes) -> None:  # noqa: ARG002 - an exchange
        self._finish()

    def answer(self, body: bytes) -> None:  # noqa: ARG002 - an exchange
        self._finish()

    def fail(self, failure: Failure) -> None:
        """An error event, and no final marker."""

    def _finish(self) -> None:
        if self._gateway.alive and not self.left:
            self.answered = True
            self.got = self.made
            self._ended(self)


@dataclass
class Machine:
    """An `Engine` that takes its time, fails, and counts."""

    dice: Dice
    answers: list["Running"] = field(default_factory=list)

    async def start(self, job: Job, sink: Sink) -> Answer:
        """See the port."""
        await self.dice.pause()
        if self.dice.fault():
            raise self.dice.random.choice(
                (EngineUnavailable("nothing"), BadRequest("no"), EngineBroke("broke"), EngineUnavailable("nothing"))
            )
        answer = Running(self.dice, job, sink)
        sink.attach(answer)
        self.answers.append(answer)
        return answer


class Running:
    """One answer: some parts, the last of which may never come."""

    def __init__(self, dice: Dice, job: Job, sink: Sink) -> None:
        self.delivery = Delivery()
        self._dice = dice
        self._job = job
        self._sink = sink
        self._cancelled: Outcome | None = None

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        self._cancelled = self._cancelled or outcome

    async def done(self) -> Delivery:
        """See the port."""
        random, job = self._dice.random, self._job
        cached = random.randint(0, job.request.input_bytes)
        reasoning = random.randint(0, job.output_tokens_max)
        visible = random.randint(0, job.output_tokens_max - reasoning)
        if self._dice.fault(0.3):
            visible += 1000  # an engine that counts more than it was allowed to make
        whole = TokenCount(job.request.input_bytes - cached, cached, visible, reasoning)
        for part in (whole._replace(output=0), whole):
            await self._dice.pause()
            if self._cancelled is None and self._dice.fault():
                self._cancelled = Outcome.ENGINE_BROKE
            if self._cancelled is not None:
                self.delivery.outcome = self._cancelled
                return self.delivery
            self._deliver(part, last=part is whole)
        return self.delivery

    def _deliver(self, tokens: TokenCount, *, last: bool) -> None:
        client = self._sink
        assert isinstance(client, Client)
        client.made, client.whole = tokens, last
        if self._job.request.stream or last:
            self.delivery.tokens = tokens
        if self._job.request.stream:
            client.take(tokens)
