"""A modelled engine behind a modelled network: what a gateway's adapter would meet, without sockets.

The GPU is `domain.fleet.modelled_gpu`; here it lives on a loop, can be faulty, and is asked as an engine is: a visit
gets its first token or learns that nothing was taken, and later its end or that it broke.
"""

import asyncio
import math

from parvis.domain.fleet.fault_plan import Fault, FaultKind
from parvis.domain.fleet.gpu_profiles import GpuProfile
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.modelled_gpu import GpuJob, ModelledGpu, Progress

STALL_S_MAX = 60.0
"""A gateway ends an answer that has begun and brings nothing for so long."""


class Lost(Exception):
    """The engine took nothing, or broke off."""


class Visit:
    """One request on one replica."""

    __slots__ = ("end", "first", "job")

    def __init__(self, job: GpuJob, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.first: asyncio.Future[None] = loop.create_future()
        """Raises Lost when nothing comes."""
        self.end: asyncio.Future[None] = loop.create_future()
        """Raises Lost when the answer breaks off."""

    def lose(self) -> None:
        """Nothing more comes."""
        for future in (self.first, self.end):
            if not future.done():
                future.set_exception(Lost())
                future.exception()  # nobody may wait for the second one


class SimulatedReplica:
    """One engine of the fleet."""

    def __init__(self, replica_id: str, profile: GpuProfile, loop: asyncio.AbstractEventLoop) -> None:
        self.replica_id = replica_id
        self.profile = profile
        self._loop = loop
        self._gpu = ModelledGpu(profile)
        self._visits: dict[GpuJob, Visit] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = math.inf
        self._down = 0
        """Faults that keep it from answering at all."""
        self._frozen_ms: float | None = None
        self._cut = False
        self.busy_ms = 0.0
        self.preempted = 0
        self.tokens_read = self.tokens_cached = 0

    @property
    def load(self) -> int:
        """Requests on it, running and waiting, as its metrics would tell."""
        return self._gpu.running + self._gpu.waiting

    def life(self) -> Life | None:
        """What a look at it shows; None: nothing, until who looks has lost patience."""
        if self._down:
            return Life.REFUSED
        return None if self._frozen_ms is not None or self._cut else Life.ALIVE

    def visit(self, job: GpuJob) -> Visit:
        """Send a request. It is lost at once where nothing listens, and hangs where nobody answers."""
        visit = Visit(job, self._loop)
        if self._down:
            visit.lose()
            return visit
        self._visits[job] = visit
        if not self._cut:
            try:
                self._gpu.submit(job, self._now_ms())
            except ValueError:  # larger than its memory: no engine of this kind takes it
                self.leave(visit)
            self._arm()
        return visit

    def leave(self, visit: Visit) -> None:
        """Its client gave up: the engine notices, and computes no more of it."""
        if self._visits.pop(visit.job, None) is not None:
            self._gpu.cancel(visit.job)
        visit.lose()

    def desert(self) -> None:
        """What waits here for a first token is given up: it goes elsewhere."""
        for visit in [visit for visit in self._visits.values() if not visit.first.done()]:
            self.leave(visit)

    # Faults

    def strike(self, fault: Fault) -> None:
        """Something goes wrong now, and is over later."""
        match fault.kind:
            case FaultKind.CRASH:
                self._down += 1
                self._restart()
            case FaultKind.FREEZE:
                self._frozen_ms = self._now_ms()
            case FaultKind.SLOW:
                self._gpu.pace = fault.times
            case FaultKind.CUT:
                self._cut = True
        self._arm()
        self._loop.call_later(fault.for_ms / 1000, self._heal, fault)
        if fault.kind in (FaultKind.FREEZE, FaultKind.CUT) and fault.for_ms > STALL_S_MAX * 1000:
            self._loop.call_later(STALL_S_MAX, self._lose_all)

    def _heal(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.CRASH:
                self._down -= 1
            case FaultKind.FREEZE if self._frozen_ms is not None:
                self._gpu.shift(self._now_ms() - self._frozen_ms)
                self._frozen_ms = None
            case FaultKind.SLOW:
                self._gpu.pace = 1.0
            case FaultKind.CUT:
                self._cut = False
                self._lose_all()
        self._arm()

    def _restart(self) -> None:
        """All that ran is lost, and the new one remembers nothing."""
        self.close()
        self._gpu = ModelledGpu(self.profile)
        self._lose_all()

    def _lose_all(self) -> None:
        """Connections are reset."""
        visits, self._visits = self._visits, {}
        for job, visit in visits.items():
            self._gpu.cancel(job)
            visit.lose()

    def close(self) -> None:
        """Put down what this GPU has done."""
        self.busy_ms += self._gpu.busy_ms
        self.preempted += self._gpu.preempted
        self._gpu.busy_ms, self._gpu.preempted = 0.0, 0

    # Time

    def _now_ms(self) -> float:
        return self._loop.time() * 1000

    def _arm(self) -> None:
        """One timer, for what the GPU does next."""
        due_ms = math.inf if self._frozen_ms is not None else self._gpu.due_ms
        if due_ms == self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = None if due_ms == math.inf else self._loop.call_at(due_ms / 1000, self._ring)

    def _ring(self) -> None:
        due_ms, self._timer, self._timer_ms = self._timer_ms, None, math.inf
        for progress in self._gpu.advance(due_ms):
            self._tell(progress)
        self._arm()

    def _tell(self, progress: Progress) -> None:
        job = progress.job
        visit = self._visits.get(job)
        if visit is None:
            return
        if not progress.ended:
            self.tokens_read += job.prompt_tokens
            self.tokens_cached += job.cached_tokens
        if self._cut:
            return
        if not progress.ended:
            visit.first.set_result(None)
        elif visit.first.done():
            del self._visits[job]
            visit.end.set_result(None)
