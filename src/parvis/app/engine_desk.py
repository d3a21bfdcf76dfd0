"""What control asks engines: the tokens of a prompt, for estimates, and what they counted, for the comparison."""

import asyncio
from collections.abc import Callable, Mapping

from parvis.adapters.engines.counters import EngineCounters
from parvis.adapters.engines.tokenizer import Prompt, Tokenizer
from parvis.adapters.engines.upstream import Upstreams
from parvis.app.loads import LoadWatch, Tell
from parvis.core.clock import Clock
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.load import Load
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.flows.engine_counts import EngineCounts
from parvis.flows.replica_store import ReplicaStore

LOOK_INTERVAL_S = 5.0
Replicas = Callable[[], tuple[Replica, ...]]


def _nobody(_: Mapping[str, Load]) -> None:
    """No gateway wants to know how busy engines are."""


class EngineDesk:
    """Connections of control's own to the replicas. `begin` and `end` on the loop that it is asked on."""

    def __init__(
        self,
        store: ReplicaStore,
        clock: Clock,
        replicas: Replicas,
        open_requests: Callable[[], int],
        tell_loads: Tell = _nobody,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """`look` is called now and then, whenever counts are looked at."""
        self._replicas = replicas
        self._upstreams = Upstreams(asyncio.get_running_loop())
        self._tokenizer = Tokenizer(self._upstreams)
        self.counts = EngineCounts(EngineCounters(self._upstreams), store, clock, self._ready, open_requests)
        self.loads = LoadWatch(self._upstreams, self._running, tell_loads)
        self._look = look
        self._looking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to count, and to ask how busy they are."""
        self._looking = asyncio.create_task(self._look_for_ever())
        self.loads.begin()

    async def end(self) -> None:
        """Let go of the engines."""
        await self.loads.end()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        self._upstreams.close()

    async def count_prompt(self, model: Model, prompt: Prompt) -> int | None:
        """The tokens of a chat, or of texts, by a replica of the model's engine; None where none says."""
        replica = next((one for one in self._ready() if one.engine == model.engine), None)
        return None if replica is None else await self._tokenizer.count_prompt(replica, model.engine_model, prompt)

    def _ready(self) -> tuple[Replica, ...]:
        return tuple(one for one in self._replicas() if one.state is ReplicaState.READY)

    def _running(self) -> tuple[Replica, ...]:
        return tuple(one for one in self._replicas() if one.address and one.state is not ReplicaState.GONE)

    async def _look_for_ever(self) -> None:
        while True:
            self._look()
            await self.counts.look()
            await asyncio.sleep(LOOK_INTERVAL_S)
