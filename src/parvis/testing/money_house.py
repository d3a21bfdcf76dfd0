"""Control and gateways as far as money goes, as real processes: store, link, journals, purses and stories, no HTTP.

    python -m parvis.testing.money_house control HOME STORE-URL [VALKEY-URL]
    python -m parvis.testing.money_house gateway HOME

Engines answer at once, and clients are lines: a gateway is told on its standard input what to serve, and appends to
`HOME/answered/RUN` each request whose answer has left, which is what its clients would know if it died now. A process
ends in good order when its standard input ends.
"""

import asyncio
import json
import os
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from parvis.adapters.journal.reader import runs
from parvis.adapters.journal.writer import FileJournal
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.rates import ControlRates
from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, LimitReached, QuotaExhausted
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Exhaustion, Tenant
from parvis.domain.metering.records import Operation
from parvis.flows.fleet import LocalFleet
from parvis.flows.ingest import Ingest
from parvis.flows.lending import Lender
from parvis.flows.ports import Answer, Delivery, House, Job, LimitBook, Sink, Snapshot
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.purse import LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.rate_store import RateStore
from parvis.flows.rating import Rating
from parvis.flows.request import InferenceRequest
from parvis.flows.scarcity import Scarcity
from parvis.flows.serve import serve
from parvis.flows.store import Store
from parvis.flows.throttle import LeasedThrottle
from parvis.testing.simulation import KEY, MODEL, PRICES, REPLICAS, TENANT, Abacus, Words

INPUT, OUTPUT = 10, 4
COST_MAX = INPUT * 3 + OUTPUT * 11
"""Of any request, in pico-euro: all input uncached, all output reasoning. Requests that are `whole` cost exactly it."""
LEASE_MAX = Money(COST_MAX * 500)
STEP_S = 0.05
TEND_S = 0.2
ANNOUNCE_S = 0.1
Json = dict[str, Any]

# ------------------------------------------------------------------------------------------------------- control


class ControlHouse:
    """Lends, rates and ingests, as the control process does."""

    def __init__(self, home: Path, store: Store, rates: RateStore | None = None) -> None:
        self.store = store
        self.ingests: dict[str, Ingest] = {}
        self._home = home
        self.lender = Lender(store, lambda: self.link.gateways, self._recall)
        self.link = ControlLink(b"pepper", self.lender.lend, lambda *_: None, lambda _: None)
        self.link.returned = self.lender.returned
        self._rating = Rating(rates or cast("RateStore", store), self.link.limits_of)
        self.link.rates = ControlRates(self._rating)
        self._stepped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Open the store, and answer gateways."""
        await self.store.open()
        for place in ("run", "journal", "answered"):
            (self._home / place).mkdir(parents=True, exist_ok=True)
        self.link.publish((MODEL,), (PRICES,), REPLICAS)
        await self.announce()
        await self.link.start(bind_link(self._home / "run" / "control.sock"))
        self._tasks = [asyncio.create_task(self._for_ever(self.ingest_once, STEP_S))]

    async def announce(self) -> None:
        """Gateways learn which limits are in force."""
        await self.link.change(limits=await self.store.limits_in_force())

    async def ingest_once(self) -> None:
        """One step of every run; what fails is tried again."""
        for reader in await asyncio.to_thread(runs, self._home / "journal"):
            self.ingests.setdefault(reader.incarnation, Ingest(reader, self.store))
        for run, ingest in list(self.ingests.items()):
            with suppress(Failure):
                if await ingest.step():
                    del self.ingests[run]
                    await self._rating.end(run)
        self._stepped.set()

    async def booked_all(self, within_s: float = 30.0) -> None:
        """Return when every run has ended and is booked. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while self.ingests or list((self._home / "journal").iterdir()):
                await self._stepped.wait()
                self._stepped.clear()

    async def end(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.link.close()
        await self.store.close()

    def _recall(self, account: str, incarnation: str) -> None:
        self.link.recall(account, incarnation)

    async def _for_ever(self, work: Any, interval_s: float) -> None:
        while True:
            await work()
            await asyncio.sleep(interval_s)


# ------------------------------------------------------------------------------------------------------- gateways


class Doorkeeper:
    """A `Directory` of whoever comes: a credential is `TENANT KEY`."""

    tells_forbidden = False

    def __init__(self, limits: LimitBook) -> None:
        self._limits = limits
        self._prepared: dict[str | None, PreparedKey] = {}

    def admit(self, credential: str | None, address: str) -> PreparedKey:  # noqa: ARG002 - a port
        """Prepared once; limits do not change while we look."""
        if credential not in self._prepared:
            tenant_id, key_id = (credential or "").split()
            tenant = Tenant(tenant_id, TENANT.organisation_id, "", False, exhaustion=Exhaustion.REFUSE)  # noqa: FBT003 - credit ends
            key = ApiKey(key_id, TENANT.organisation_id, tenant_id, "", KEY.secrets)
            models = frozenset({MODEL.id})
            self._prepared[credential] = prepare(key, KEY.secrets[0], tenant, models, self._limits.get)
        return self._prepared[credential]

    def model(self, name: str) -> Model | None:  # noqa: ARG002 - a port
        return MODEL

    def models(self, key: ApiKey) -> list[Model]:  # noqa: ARG002 - a port
        return [MODEL]

    def prices(self, model: Model) -> PriceList:  # noqa: ARG002 - a port
        return PRICES


class Echo:
    """An `Engine` and its `Answer`: it says as many tokens as the body has, at once or after a while."""

    async def start(self, job: Job, sink: Sink) -> Answer:  # noqa: ARG002 - a port
        return _Said(cast("Ask", job.request.body))


class _Said:
    def __init__(self, ask: "Ask") -> None:
        self.delivery = Delivery()
        self._ask = ask

    async def done(self) -> Delivery:
        await asyncio.sleep(self._ask.pause_s)
        self.delivery.tokens = self._ask.tokens
        return self.delivery


class Ask(Words):
    """A body that says what its answer will be."""

    def __init__(self, tokens: TokenCount, pause_s: float) -> None:
        self.tokens = tokens
        self.pause_s = pause_s


class Client:
    """A `Sink` that has all that it was sent."""

    left = False

    def attach(self, flow: object) -> None: ...

    def events(self, data: bytes) -> None: ...

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: object) -> None: ...

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None: ...


class GatewayHouse:
    """One run of a gateway."""

    def __init__(self, home: Path, loop: asyncio.AbstractEventLoop) -> None:
        clock = SystemClock()
        self.run_id = new_id("gw", clock.unix_ms())
        self.journal = FileJournal(home / "journal" / self.run_id, loop)
        self.link = GatewayLink(home / "run" / "control.sock", self.run_id, clock.unix_ms, self._learn)
        self.purse = LeasedPurse(self.link, LEASE_MAX)
        self.link.on_recall = self.purse.recall
        self.throttle = LeasedThrottle(self.link.rates, clock)
        self.fleet = LocalFleet()
        self._answered = os.open(home / "answered" / self.run_id, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._known: asyncio.Future[Snapshot] = loop.create_future()
        self._clock = clock
        self.house: House

    async def begin(self) -> list[asyncio.Task[None]]:
        """Connect, and learn what control tells."""
        tasks = [asyncio.create_task(self.link.client.keep_connected()), asyncio.create_task(self._tend())]
        limits = (await self._known).limits
        self.throttle.learn(limits)
        self.fleet.load(REPLICAS)
        quota = LeasedQuota(self.purse, self.throttle, Scarcity(self.purse, limits.get, Abacus()), self._clock)
        self.house = House(Doorkeeper(limits), quota, self.fleet, self.journal, Echo(), self._clock)
        return tasks

    async def serve(self, credential: str, tokens: TokenCount, pause_s: float = 0.0) -> str:
        """One request; how it ended."""
        request = InferenceRequest(
            request_id=new_id("req", self._clock.unix_ms()),
            operation=Operation.CHAT,
            credential=credential,
            model=MODEL.id,
            body=Ask(tokens, pause_s),
            stream=True,
            output_tokens_max=OUTPUT,
            input_bytes=INPUT,
        )
        try:
            delivery = await serve(self.house, request, Client())
        except QuotaExhausted:
            return "exhausted"
        except LimitReached:
            return "limited"
        except Failure:
            return "unavailable"
        os.write(self._answered, f"{request.request_id} {' '.join(map(str, delivery.tokens))}\n".encode())
        return "served"

    async def at_once(self, order: Json) -> Json:
        """So many requests at the same time, each of which costs as much as it may; the count of each end."""
        whole = TokenCount(INPUT, 0, 0, OUTPUT)
        asked = [self.serve(order["credential"], whole, order.get("pause_s", 0.0)) for _ in range(order["requests"])]
        ends = await asyncio.gather(*asked)
        return {end: ends.count(end) for end in set(ends)}

    async def for_ever(self, order: Json) -> Json:
        """Requests of random sizes, one after the other in so many lines, until we are killed."""
        dice = random.Random()

        async def line() -> None:
            while True:
                cached, output = dice.randint(0, INPUT), dice.randint(0, OUTPUT)
                tokens = TokenCount(INPUT - cached, cached, output, dice.randint(0, OUTPUT - output))
                await self.serve(dice.choice(order["credentials"]), tokens, dice.random() * order["pause_s"])
                await asyncio.sleep(dice.random() * order["pause_s"])

        await asyncio.gather(*(line() for _ in range(order["lines"])))
        return {}

    async def end(self, tasks: list[asyncio.Task[None]]) -> None:
        """In good order."""
        self.purse.give_back_all()
        await self.journal.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.link.client.hang_up()

    def _learn(self, snapshot: Snapshot) -> None:
        if not self._known.done():
            self._known.set_result(snapshot)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            if self.link.client.connected:
                self.purse.tend()


# ------------------------------------------------------------------------------------------------------ processes


async def _orders() -> asyncio.StreamReader:
    """Our standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _tell(word: Json) -> None:
    os.write(1, json.dumps(word).encode() + b"\n")


async def _gateway(home: Path) -> None:
    house = GatewayHouse(home, asyncio.get_running_loop())
    orders = await _orders()
    tasks = await house.begin()
    _tell({"ready": house.run_id})
    running: set[asyncio.Task[None]] = set()

    async def obey(order: Json) -> None:
        _tell(await (house.for_ever if order["do"] == "for_ever" else house.at_once)(order))

    while line := await orders.readline():
        task = asyncio.create_task(obey(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in list(running):
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await house.end(tasks)


async def _control(home: Path, url: str, valkey: str) -> None:
    from parvis.adapters.store.store import SqlStore  # noqa: PLC0415 - a gateway never sees it

    rates: RateStore | None = None
    if valkey:
        from parvis.adapters.limits.valkey import ValkeyRates  # noqa: PLC0415 - its library is an extra

        rates = ValkeyRates(Secret(valkey, "valkey"))
    house = ControlHouse(home, SqlStore(url), rates)
    orders = await _orders()
    await house.begin()
    _tell({"ready": "control"})
    await orders.read()
    await house.end()


def main() -> None:
    """Run the process."""
    part, home, *more = sys.argv[1:]
    if part == "gateway":
        asyncio.run(_gateway(Path(home)))
    else:
        asyncio.run(_control(Path(home), more[0], more[1] if len(more) > 1 else ""))


if __name__ == "__main__":
    main()
