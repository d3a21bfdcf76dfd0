"""Gateways, control, engines, clients and a clock with faults, run by a seed: the laws of money hold at every step.

    assert simulate(seed) == []  # about half a millisecond; the same seed gives the same run

What is simulated is the world (`simulated_world`). The stories are the product's own: `flows.serve` with its trail,
quota and purse, the fleet's guards, `flows.ingest` with the replay of journals. Planting a bug there turns laws red.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random
from typing import Any, cast

from parvis.api.inference.desk import Desk
from parvis.core.errors import Failure
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord
from parvis.domain.quota.limit import NO_LIMITS, Limits, Metric, Rate, Window
from parvis.flows.fleet import LocalFleet
from parvis.flows.ingest import Ingest
from parvis.flows.ledger_store import LedgerStore
from parvis.flows.ports import House
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity
from parvis.flows.throttle import LeasedThrottle
from parvis.flows.virtual_time import VirtualLoop
from parvis.testing.schedules import print_broken, run_schedule
from parvis.testing.simulated_world import Books, Client, Dice, Disk, DiskReader, Machine, Owner, RateWire, Wire

EPOCH_UNIX_MS = 1_796_083_199_900
"""A tenth of a second before a December begins (UTC): budgets change their month in the middle."""
PRICES = PriceList("p1", "*", 0, 3, 1, 7, 11)
DUES = {"input": 3, "cached": 1, "output": 7, "reasoning": 11}
"""The same prices, for the law that does not believe the pricing function."""
REPLICAS = tuple(Replica(f"e-{n}", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY) for n in range(2))
"""Where nobody listens, since nobody calls."""
MODEL = Model(
    id="m", engine="e", engine_model="m", context_tokens=64, capabilities=(Capability.CHAT,), template_tokens=0
)
KEY = ApiKey("k", "o", "t", "mine", (KeySecret(b"", 1),), project_id="p", owner_id="u")
TENANT = Tenant("t", "o", "T", credit_unlimited=False)
ACCOUNT = "tenant:t"
INPUT_MAX, OUTPUT_MAX = 6, 4
DEAREST = INPUT_MAX * 3 + OUTPUT_MAX * 11
"""What no request can exceed, in pico-euro."""
PURSE_SIZE = Money(DEAREST)
REQUESTS_MAX = 5
STREAMED = 0.6
DEADLINE_S = 60.0
"""Of virtual time. Holds that are still there are leaks."""


class Words:
    """A body without a text."""

    def texts(self) -> list[str]:
        return []


class Doorkeeper:
    """A `Directory` of one key."""

    tells_forbidden = False

    def __init__(self, limits: Mapping[str, Limits]) -> None:
        self._prepared = prepare(KEY, KEY.secrets[0], TENANT, frozenset({"m"}), limits.get)

    def admit(self, credential: str | None, address: str) -> PreparedKey:  # noqa: ARG002 - a port
        return self._prepared

    def model(self, name: str) -> Model | None:  # noqa: ARG002 - a port
        return MODEL

    def models(self, key: ApiKey) -> list[Model]:  # noqa: ARG002 - a port
        return [MODEL]

    def prices(self, model: Model) -> PriceList:  # noqa: ARG002 - a port
        return PRICES


class Uncounted:
    """Meters that nobody reads."""

    def answered(self, operation: Operation, outcome: Outcome, tokens: TokenCount) -> None: ...

    def refused(self, code: str) -> None: ...


class Abacus:
    """A `PromptCounter`."""

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:  # noqa: ARG002 - a port
        return request.input_bytes


class LoopClock:
    """The loop's time; a gateway's wall clock may be wrong."""

    def __init__(self, skew_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._skew_ms = skew_ms

    def unix_ms(self) -> int:
        return EPOCH_UNIX_MS + self._skew_ms + int((self._loop.time() - self._began_s) * 1000)

    def monotonic_s(self) -> float:
        return self._loop.time()


class Gateway:
    """One run of a gateway: the real desk, story, quota, purse, throttle and fleet over a simulated world."""

    def __init__(self, run: str, dice: Dice, books: Books, owner: Owner, limits: Mapping[str, Limits]) -> None:
        clock = LoopClock(dice.random.choice((0, 0, -600_000, 600_000)))
        self.disk = Disk(dice, run)
        self.purse = LeasedPurse(Wire(dice, books, self.disk), PURSE_SIZE)
        self.rates = RateWire(dice, owner, self.disk, clock)
        self.fleet = LocalFleet()
        self.fleet.load(REPLICAS)
        throttle = LeasedThrottle(self.rates, clock)
        throttle.learn(limits)
        quota = LeasedQuota(self.purse, throttle, Scarcity(self.purse, limits.get, Abacus()), clock)
        house = House(Doorkeeper(limits), quota, self.fleet, self.disk, Machine(dice), clock)
        self.desk = Desk(house, Uncounted(), cast("Any", None))
        self.serving: dict[asyncio.Task[None], Client] = {}

    def die(self) -> None:
        """At once: nothing that it would still do has an effect."""
        self.disk.alive = False
        for task in self.serving:
            task.cancel()


class World:
    """One schedule: who is there, what happens to them, and whether a law was broken."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.dice = Dice(random, random.choice((0.0, 0.02, 0.1)))
        self.books = Books(self.dice, {ACCOUNT: self._amount()})
        self.limits: dict[str, Limits] = {}
        for named in random.choice(((), ("key:k",), ("contract:t", "user:u"))):
            self.books.limits[named] = amount = self._amount()
            self.limits[named] = Limits(monthly=Money(amount))
        if random.random() < 1 / 3:
            rates = Rate(Metric.REQUESTS, Window.MINUTE, random.randint(1, 3))
            self.limits["key:k"] = Limits(
                (rates,), random.choice((1, 2, None)), self.limits.get("key:k", NO_LIMITS).monthly
            )
        self.owner = Owner(self.limits)
        self.gateways: list[Gateway] = []
        self.runs: dict[str, Gateway] = {}
        self.clients: dict[str, tuple[InferenceRequest, Client]] = {}
        self.broken: list[str] = []
        self._ingests: dict[str, Ingest] = {}
        self._runs = 0

    async def live(self) -> None:
        """Everything happens; afterwards all is quiet, and every run has ended and is booked."""
        random = self.dice.random
        for _ in range(random.choice((1, 2))):
            self._start_gateway()
        control = asyncio.ensure_future(self._control())
        fate = asyncio.ensure_future(self._fate())
        for number in range(random.randint(1, REQUESTS_MAX)):
            self._ask(random.choice(self.gateways), number)
            await self.dice.pause()
        await self._quiet()
        fate.cancel()
        self._law_of_holds()
        for gateway in self.gateways:
            gateway.disk.alive = False
        self.dice.faults = 0.0
        async with asyncio.timeout(DEADLINE_S):
            await control
        self.end()

    async def _quiet(self) -> None:
        """Until nobody is served any more."""
        async with asyncio.timeout(DEADLINE_S):
            while tasks := [task for gateway in self.runs.values() for task in gateway.serving]:
                await asyncio.wait(tasks)

    # What may happen

    def _amount(self) -> int:
        """Of money: next to nothing, or enough for a few requests, or for all."""
        return self.dice.random.choice((1, 4, 10, 10)) * self.dice.random.randint(0, DEAREST)

    def _start_gateway(self) -> None:
        self._runs += 1
        gateway = Gateway(f"gw_{self._runs}", self.dice, self.books, self.owner, self.limits)
        self.gateways.append(gateway)
        self.runs[gateway.disk.incarnation] = gateway

    def _ask(self, gateway: Gateway, number: int) -> None:
        random = self.dice.random
        request = InferenceRequest(
            request_id=f"req_{number}",
            operation=Operation.CHAT,
            credential="sk",
            model="m",
            body=Words(),
            stream=random.random() < STREAMED,
            output_tokens_max=random.randint(1, OUTPUT_MAX),
            input_bytes=random.randint(1, INPUT_MAX),
        )
        client = Client(self.dice, gateway.disk, lambda done: self._law_of_answers(gateway.disk, request, done))
        self.clients[request.request_id] = request, client
        task = asyncio.ensure_future(self._serve(gateway, request, client))
        gateway.serving[task] = client
        task.add_done_callback(lambda done: self._ended(gateway, done))

    def _ended(self, gateway: Gateway, task: "asyncio.Task[None]") -> None:
        del gateway.serving[task]
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._break(f"a story ended with {bug!r}")

    async def _serve(self, gateway: Gateway, request: InferenceRequest, client: Client) -> None:
        with suppress(Failure):
            await gateway.desk.answer(cast("Any", client), request)

    async def _fate(self) -> None:
        """Marks, kills, power cuts, another control: while anybody is served."""
        while True:
            await self.dice.pause(100)
            for gateway in self.gateways:
                gateway.disk.mark()
                if self.dice.random.random() < 0.2:  # noqa: PLR2004 - sooner than once a second, so that it matters
                    gateway.purse.tend()
                    gateway.purse.recall(ACCOUNT)
            if self.dice.fault():
                self._kill(self.dice.random.choice(self.gateways))
            if self.dice.fault(0.5):
                self._cut_power()
            if self.dice.fault():
                self._ingests = {}

    def _kill(self, gateway: Gateway) -> None:
        gateway.die()
        self.owner.end(gateway.disk.incarnation)
        self.gateways.remove(gateway)
        self._start_gateway()

    def _cut_power(self) -> None:
        for gateway in list(self.gateways):
            gateway.disk.cut_power()
            self._kill(gateway)
        self._ingests = {}

    async def _control(self) -> None:
        """Book what is new of every run, until all have ended and are booked."""
        ledger = cast("LedgerStore", self.books)  # of which ingest needs two methods
        open_runs = True
        while open_runs:
            await self.dice.pause(140)
            for run, gateway in self.runs.items():
                if run not in self.books.closed:
                    ingest = self._ingests.setdefault(run, Ingest(DiskReader(gateway.disk), ledger))
                    with suppress(Failure):
                        await ingest.step()
            open_runs = any(gateway.disk.alive for gateway in self.gateways) or self.runs.keys() > self.books.closed

    # Laws

    def step(self) -> None:
        """What holds at every moment."""
        books = self.books
        for account in books.out:
            if (left := books.left(account)) < 0:
                self._break(f"{account}: more is leased and spent than there is: {-left}")
        if books.bookings != len(books.booked):
            self._break("a request was booked twice")
        for gateway in self.gateways:
            self._law_of_leases(gateway)
        self._law_of_places()

    def _law_of_leases(self, gateway: Gateway) -> None:
        """What a gateway believes to have was granted to it, and what it has out is covered."""
        run = gateway.disk.incarnation
        for account, leased in self.books.leased[run].items():
            lease = gateway.purse.lease(account)
            if leased < 0 or lease.held_pico_euro < 0 or lease.free_pico_euro() < 0:
                self._break(f"{account} in {run}: {lease.granted} granted, {lease.held} held, {lease.spent} spent")
            if lease.granted_pico_euro > leased + self.books.spent[run][account]:
                self._break(f"{account} in {run}: it believes to have more than was granted")

    def _law_of_places(self) -> None:
        """No more at a time than the limit says, while its owner answers."""
        limits = self.limits.get("key:k", NO_LIMITS)
        away = any(run.rates.lost for run in self.runs.values())
        inside = sum(client.admitted_s is not None for gateway in self.gateways for client in gateway.serving.values())
        if limits.concurrent_max is not None and inside > limits.concurrent_max and not away:
            self._break(f"{inside} requests at a time, {limits.concurrent_max} allowed")

    def _law_of_rates(self) -> None:
        """In no interval more than a bucket and what flows into it; once more where its owner was away."""
        admitted = sorted(client.admitted_s for _, client in self.clients.values() if client.admitted_s is not None)
        rates = [run.rates for run in self.runs.values()]
        times = 1 + any(one.lost for one in rates)
        for rate in self.limits.get("key:k", NO_LIMITS).rates:
            for first, from_s in enumerate(admitted):
                for passed, to_s in enumerate(admitted[first:], 1):
                    if passed > times * rate.amount + rate.amount * (to_s - from_s) * 1000 / rate.window.ms:
                        self._break(f"{passed} requests in {to_s - from_s:.3f} s, {rate.amount} a {rate.window}")

    def _law_of_answers(self, disk: Disk, request: InferenceRequest, client: Client) -> None:
        """When the final marker leaves, all of the answer did, and the settlement that says so is durable."""
        if not client.whole:
            self._break(f"{request.request_id}: a cut answer looks complete")
        durable = (record for record in disk.records[: disk.durable] if isinstance(record, Settled))
        if not any(one.request_id == request.request_id and one.tokens == client.made for one in durable):
            self._break(f"{request.request_id}: answered before its usage was durable")

    def _law_of_holds(self) -> None:
        """Nothing is held and no place is taken when nobody is served."""
        for gateway in self.gateways:
            accounts = self.books.leased[gateway.disk.incarnation]
            held = {account: gateway.purse.lease(account).held_pico_euro for account in accounts}
            if any(held.values()) or gateway.fleet.in_flight:
                self._break(f"{gateway.disk.incarnation}: held for nobody: {held}, {gateway.fleet.in_flight} places")

    def end(self) -> None:
        """What holds when all is booked."""
        if any(self.books.leased.values()):
            self._break("a lease of a run that has ended was not returned")
        for request_id, (request, client) in self.clients.items():
            for wrong in _wrong(request, client, self.books.booked.get(request_id)):
                self._break(f"{request_id}: {wrong}")
        self._law_of_rates()
        started = {one.request_id for run in self.runs.values() for one in run.disk.records if isinstance(one, Started)}
        for request_id in started - self.books.booked.keys():
            self._break(f"{request_id}: started and never booked")
        for request_id in self.books.booked.keys() - self.clients.keys():
            self._break(f"{request_id}: booked, and nobody asked for it")
        billed = sum(record.settled.billed_pico_euro for record in self.books.booked.values())
        if billed != self.books.out[ACCOUNT]:
            self._break(f"billed {billed}, gone from the account {self.books.out[ACCOUNT]}")

    def _break(self, law: str) -> None:
        if law not in self.broken:
            self.broken.append(law)


def _wrong(request: InferenceRequest, client: Client, record: UsageRecord | None) -> Iterator[str]:
    """Between what a client received and what was booked."""
    if record is None:
        if client.answered:
            yield "answered, and not booked"
        return
    started, settled = record
    due = sum(count * DUES[name] for name, count in settled.tokens._asdict().items())
    if settled.billed_pico_euro + settled.written_off_pico_euro != due:
        yield f"{settled.tokens} cost {due}, not {settled.billed_pico_euro} + {settled.written_off_pico_euro}"
    if settled.billed_pico_euro > started.held_pico_euro:
        yield f"billed {settled.billed_pico_euro}, held {started.held_pico_euro}"
    if settled.billed_pico_euro and _more(settled.tokens, client.got):
        yield f"billed for {settled.tokens}, received {client.got}"
    if request.stream and settled.outcome in {"client_left", "engine_broke"} and settled.tokens != client.got:
        yield f"{settled.outcome} after {client.got}, booked with {settled.tokens}"
    in_doubt = settled.outcome is Outcome.IN_DOUBT and not request.stream
    if client.answered and (settled.tokens != client.got or not (settled.outcome == "completed" or in_doubt)):
        yield f"answered with {client.got}, booked as {settled.outcome} with {settled.tokens}"


def _more(some: TokenCount, others: TokenCount) -> bool:
    return any(one > other for one, other in zip(some, others, strict=True))


def simulate(seed: int, loop: VirtualLoop | None = None) -> list[str]:
    """Run one schedule; the laws that it broke. A loop may be used again and again."""
    return run_schedule(World, seed, loop)


if __name__ == "__main__":
    print_broken(World)
