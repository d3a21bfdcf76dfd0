"""What surrounds routing and queue in a simulation: replicas that fail in every way, clients that leave, free money.

Each does what its port promises, at instants and with faults that are drawn from a seed. Time is the loop's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from enum import StrEnum

from parvis.core.errors import BadRequest, EngineUnavailable, Unavailable
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.health import Life
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Outcome, Record, Settled, Started
from parvis.domain.quota.admission import WorstCase
from parvis.flows.hold import Hold, Passage
from parvis.flows.ports import Answer, Delivery, Flow, Job, Sink
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.request import InferenceRequest
from parvis.testing.simulated_world import Dice

PRICES = PriceList("p1", "*", 0, 1, 1, 1, 1)
MODEL = Model(
    id="m", engine="e", engine_model="m", context_tokens=64, capabilities=(Capability.CHAT,), template_tokens=0
)
STALL_S_MAX = 3.0
"""A replica that is silent for so long has broken the request."""


class Condition(StrEnum):
    """How a replica is."""

    WELL = "well"
    SLOW = "slow"
    FROZEN = "frozen"
    DEAD = "dead"


LIVES = {Condition.FROZEN: Life.SILENT, Condition.DEAD: Life.REFUSED}
"""What a look shows at one that is not well; of others, that they live."""


class Words:
    """A body of one text."""

    def __init__(self, text: str) -> None:
        self._texts = (text,)

    def texts(self) -> Iterable[str]:
        return self._texts


class Doorkeeper:
    """A `Directory` of one model; every credential is the name of a tenant."""

    tells_forbidden = False

    def __init__(self, priorities: dict[str, int]) -> None:
        self._prepared = {tenant: _prepared(tenant, priority) for tenant, priority in priorities.items()}

    def admit(self, credential: str | None, address: str) -> PreparedKey:  # noqa: ARG002 - a port
        return self._prepared[credential or ""]

    def model(self, name: str) -> Model | None:  # noqa: ARG002 - a port
        return MODEL

    def models(self, key: ApiKey) -> list[Model]:  # noqa: ARG002 - a port
        return [MODEL]

    def prices(self, model: Model) -> PriceList:  # noqa: ARG002 - a port
        return PRICES


def _prepared(tenant_id: str, priority: int) -> PreparedKey:
    key = ApiKey(tenant_id, "o", tenant_id, "n", (KeySecret(b"", 1),))
    tenant = Tenant(tenant_id, "o", tenant_id, credit_unlimited=True)
    return replace(prepare(key, key.secrets[0], tenant, frozenset({"m"})), priority=priority)


class Free:
    """A `Quota` without limits: money has a simulation of its own."""

    async def hold(
        self,
        prepared: PreparedKey,
        prices: PriceList,  # noqa: ARG002 - a port
        worst: WorstCase,
        request: InferenceRequest | None = None,  # noqa: ARG002 - a port
        model: Model | None = None,  # noqa: ARG002 - a port
    ) -> Hold:
        return Hold((prepared.key.tenant_id,), Money(10**6), worst, Passage())

    def settle(self, hold: Hold, billed: Money, tokens: TokenCount) -> None: ...


class Notes:
    """A `Journal` that takes its time, and sometimes cannot write. `arrived` is told who goes to which replica."""

    def __init__(self, dice: Dice, arrived: Callable[[str, str], None]) -> None:
        self._dice = dice
        self._arrived = arrived

    def start(self, record: Started, progress: Callable[[], Record | None] | None) -> None:  # noqa: ARG002 - a port
        self._arrived(record.request_id, record.replica_id)
        if self._dice.fault(0.2):
            raise Unavailable("The disk is full.")

    def settle(self, record: Settled) -> Awaitable[None]:  # noqa: ARG002 - a port
        return self._dice.pause(5)

    def close(self, request_id: str, *, delivered: bool) -> None: ...


class Client:
    """A `Sink` that takes everything, and perhaps leaves."""

    def __init__(self) -> None:
        self.left = False
        self._flow: Flow | None = None

    def leave(self) -> None:
        self.left = True
        if self._flow is not None:
            self._flow.cancel()

    def attach(self, flow: Flow) -> None:
        self._flow = flow
        if self.left:
            flow.cancel()

    def events(self, data: bytes) -> None: ...

    def chosen(self, model_id: str, why: str) -> None: ...

    def admitted(self, hold: Hold) -> None: ...

    def flushed(self) -> bool:
        return True

    async def drained(self) -> None: ...


class Replicas:
    """The `Engine` of all replicas. `left` is told who found that one takes nothing, `heard` who had a first byte."""

    def __init__(self, dice: Dice, left: Callable[[str], None], heard: Callable[[str], None]) -> None:
        self.conditions: dict[str, Condition] = {}
        self._dice = dice
        self._left = left
        self._heard = heard
        self._unheard: dict[str, set[_Running]] = {}

    def desert(self, replica_id: str) -> None:
        """Who waits there for a first byte gives up."""
        for running in self._unheard.get(replica_id, ()):
            running.deserted = True

    async def start(self, job: Job, sink: Sink) -> Answer:
        """See the port."""
        replica_id, request_id = job.replica.replica_id, job.request.request_id
        running = _Running(self._dice, self.conditions, replica_id)
        unheard = self._unheard.setdefault(replica_id, set())
        unheard.add(running)
        sink.attach(running)
        try:
            await running.first_byte()
        except EngineUnavailable:
            self._left(request_id)
            raise
        finally:
            unheard.discard(running)
        if running.cancelled is None:
            self._heard(request_id)
        return running


class _Running:
    """One answer: a first byte, then some more, each after a pause that depends on how its replica is."""

    def __init__(self, dice: Dice, conditions: dict[str, Condition], replica_id: str) -> None:
        self.delivery = Delivery(tokens=TokenCount(1, 0, 1))
        self.cancelled: Outcome | None = None
        self.deserted = False
        self._dice = dice
        self._conditions = conditions
        self._replica_id = replica_id

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        self.cancelled = self.cancelled or outcome

    async def first_byte(self) -> None:
        """Raises EngineUnavailable when nothing came, BadRequest when the replica finds it wrong."""
        if not await self._goes_on() and self.cancelled is None:
            raise EngineUnavailable("nothing")
        if self._dice.fault(0.3):
            raise BadRequest("no")

    async def done(self) -> Delivery:
        """See the port."""
        for _ in range(2):
            if self.cancelled is None and not await self._goes_on() and self.cancelled is None:
                self.cancelled = Outcome.ENGINE_BROKE
        self.delivery.outcome = self.cancelled or Outcome.COMPLETED
        return self.delivery

    async def _goes_on(self) -> bool:
        """Wait for the next byte; False: it will not come."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + STALL_S_MAX
        while self._condition is Condition.FROZEN and self.cancelled is None:
            await self._dice.pause(400)
            if loop.time() > until_s or self.deserted:
                return False
        await self._dice.pause(1000 if self._condition is Condition.SLOW else 60)
        return self._condition is not Condition.DEAD and not (self._dice.fault() or self.deserted)

    @property
    def _condition(self) -> Condition:
        return self._conditions[self._replica_id]
