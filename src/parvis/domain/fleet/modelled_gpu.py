"""An inference server on a GPU, as a model: what it does in each step, and how long a step takes. Pure.

An engine works in steps. In each, all requests that run get one token more, and a part of the prompts that wait is
read. A step takes

    step_ms + step_ms_each * requests + step_us_per_token * tokens of their contexts / 1000
    + prefill_ms + 1000 * tokens read / prefill_tokens_per_s + pairs of tokens * prefill_ns_per_pair / 1e6

where the second line counts only if something is read. A request enters when its turn has come, there is a place and
there is memory; what memory has of the beginning of its prompt is not read again. When running requests outgrow the
memory, the last one that came in gives all up and is read anew, later. So does vLLM (its scheduler, `v1/core/sched`).

Steps without a prompt are done many at once: so a simulated hour costs seconds. Events come in, events go out; time is
the caller's, in milliseconds, and never runs backward.
"""

import heapq
import math
from collections import deque
from typing import NamedTuple

from parvis.domain.fleet.gpu_profiles import GpuProfile
from parvis.domain.fleet.kv_memory import KvMemory


class GpuJob:
    """One request on a modelled GPU. `blocks` name its prompt and its answer, a block each `block_tokens`."""

    __slots__ = (
        "alone",
        "blocks",
        "cached_tokens",
        "ends",
        "made",
        "output_tokens",
        "prompt_tokens",
        "shared",
        "unread",
    )

    def __init__(self, prompt_tokens: int, output_tokens: int, blocks: tuple[int, ...] = ()) -> None:
        self.prompt_tokens = prompt_tokens
        self.output_tokens = max(output_tokens, 1)
        self.blocks = blocks
        self.made = 0
        """Tokens of the answer."""
        self.unread = 0
        self.cached_tokens = 0
        """Of the prompt, when it entered first."""
        self.ends = 0
        """The count of steps at which its answer is whole."""
        self.shared = 0
        """How many of its blocks it uses with whoever has the same."""
        self.alone = 0
        """Tokens that it holds beside them, when it entered or was read."""


class Progress(NamedTuple):
    """What happened to a job. Made once for its first token and once for its end."""

    job: GpuJob
    at_ms: float
    ended: bool


class ModelledGpu:
    """One engine. Who drives it submits jobs, and calls `advance` at `due_ms`."""

    def __init__(self, profile: GpuProfile) -> None:
        self.profile = profile
        self.due_ms = math.inf
        """When something happens next if nothing comes in."""
        self.busy_ms = 0.0
        self.steps = 0
        self.preempted = 0
        self.pace = 1.0
        """By how much slower than usual it is."""
        self._memory = KvMemory(profile.kv_tokens, profile.block_tokens)
        self._waiting: deque[GpuJob] = deque()
        self._reading: list[GpuJob] = []
        self._running: dict[GpuJob, int] = {}
        """Those that make tokens, in the order in which they entered, and the count of steps at which they began."""
        self._ends: list[tuple[int, int, GpuJob]] = []
        self._number = 0
        self._contexts = 0
        """Tokens in the contexts of those that make tokens."""
        self._began_ms = 0.0
        self._step_ms = 0.0
        self._longer_ms = 0.0
        self._stretch = 0
        """How many equal steps are under way; 0: it rests."""
        self._read: list[tuple[GpuJob, int]] = []

    @property
    def running(self) -> int:
        return len(self._running) + len(self._reading)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def memory(self) -> KvMemory:
        return self._memory

    def submit(self, job: GpuJob, now_ms: float) -> None:
        """A request arrives. Raises ValueError when it can never fit into the memory."""
        if job.prompt_tokens + job.output_tokens > self.profile.kv_tokens:
            raise ValueError("the request is larger than the memory of the engine")
        self._waiting.append(job)
        if not self._stretch:
            self._begin(now_ms)
        elif not self._read:
            self._cut(now_ms)

    def cancel(self, job: GpuJob) -> None:
        """Its client has left. Safe for a job that has ended."""
        if job in self._running:
            self._stop(job)
        elif job in self._reading:
            self._put_away(job)
        elif job in self._waiting:
            self._waiting.remove(job)

    def shift(self, later_ms: float) -> None:
        """It stood still for so long."""
        self._began_ms += later_ms
        self.due_ms += later_ms

    def advance(self, now_ms: float) -> list[Progress]:
        """All that has happened until now, in its order."""
        done: list[Progress] = []
        while self.due_ms <= now_ms:
            ended_ms = self.due_ms
            self._end(ended_ms, done)
            self._begin(ended_ms)
        return done

    # Steps

    def _begin(self, now_ms: float) -> None:
        """Start the next step, or as many equal ones as nothing can disturb."""
        self._enter()
        self._stretch = 0
        self.due_ms = math.inf
        self._make_room()
        if not self._reading and not self._running:
            return
        self._read = self._share_of_prompts()
        self._step_ms = self._duration_ms()
        self._longer_ms = self.profile.step_us_per_token * len(self._running) * self.pace / 1000
        self._stretch = 1 if self._read else self._undisturbed()
        self._began_ms = now_ms
        self.due_ms = now_ms + self._lasts_ms(self._stretch)

    def _end(self, now_ms: float, done: list[Progress]) -> None:
        """What the steps of the stretch have brought."""
        steps, makers = self._stretch, len(self._running)
        self.steps += steps
        self.busy_ms += now_ms - self._began_ms
        self._contexts += steps * makers
        self._memory.grow(steps * makers)
        while self._ends and self._ends[0][0] <= self.steps:
            job = heapq.heappop(self._ends)[2]
            if self._running.get(job) is not None and job.ends <= self.steps:
                self._stop(job)
                done.append(Progress(job, now_ms, ended=True))
        for job, tokens in self._read:
            if job in self._reading:
                job.unread -= tokens
                if not job.unread:
                    self._first_token(job, now_ms, done)
        self._read = []

    def _cut(self, now_ms: float) -> None:
        """Somebody has come: the stretch ends with the step that is under way."""
        half = self._step_ms - self._longer_ms / 2
        passed_ms = max(now_ms - self._began_ms, 0.0)
        steps = 2 * passed_ms / (half + math.sqrt(half * half + 2 * self._longer_ms * passed_ms))
        self._stretch = min(self._stretch, max(math.ceil(steps), 1))
        self.due_ms = max(self._began_ms + self._lasts_ms(self._stretch), now_ms)

    def _lasts_ms(self, steps: int) -> float:
        """So many steps, each longer than the one before it, as contexts grow."""
        return steps * self._step_ms + steps * (steps - 1) / 2 * self._longer_ms

    def _duration_ms(self) -> float:
        profile, reading = self.profile, len(self._read)
        ms = profile.step_ms + profile.step_ms_each * (len(self._running) + reading)
        ms += profile.step_us_per_token * self._contexts / 1000
        if reading:
            tokens = sum(read for _, read in self._read)
            pairs = sum(read * (job.prompt_tokens + job.made - job.unread + read / 2) for job, read in self._read)
            ms += profile.prefill_ms + 1000 * tokens / profile.prefill_tokens_per_s
            ms += pairs * profile.prefill_ns_per_pair / 1e6
        return ms * self.pace

    def _undisturbed(self) -> int:
        """Steps until an answer is whole or memory may be full."""
        while self._ends[0][2] not in self._running or self._ends[0][2].ends != self._ends[0][0]:
            heapq.heappop(self._ends)
        room = self._memory.free_tokens // len(self._running)
        return max(min(self._ends[0][0] - self.steps, room), 1)

    # Who is in

    def _enter(self) -> None:
        """Let in whose turn it is, while there is room."""
        size = self.profile.block_tokens
        while self._waiting and self.running < self.profile.batch_max:
            job = self._waiting[0]
            tokens = job.prompt_tokens + job.made
            found = self._memory.found(job.blocks[: (tokens - 1) // size])
            alone = tokens - found * size
            if not self._memory.take(job.blocks[:found], alone, spare=len(self._running)):
                break
            self._waiting.popleft()
            job.shared, job.alone, job.unread = found, alone, alone
            if not job.made:
                job.cached_tokens = found * size
            self._reading.append(job)

    def _share_of_prompts(self) -> list[tuple[GpuJob, int]]:
        """Who is read in this step, and how much of it, the first that came first."""
        left, parts = self.profile.step_tokens_max, []
        for job in self._reading:
            if not left:
                break
            part = min(job.unread, left)
            left -= part
            parts.append((job, part))
        return parts

    def _first_token(self, job: GpuJob, now_ms: float, done: list[Progress]) -> None:
        """A prompt has been read; that brings a token: the first one, unless it was read anew."""
        self._reading.remove(job)
        tokens = job.prompt_tokens + job.made
        whole = min(tokens // self.profile.block_tokens, len(job.blocks))
        self._memory.share(job.blocks[job.shared : whole])
        job.alone -= (whole - job.shared) * self.profile.block_tokens
        job.shared = whole
        job.made += 1
        if job.made == 1:
            done.append(Progress(job, now_ms, ended=False))
        self._contexts += tokens
        self._running[job] = self.steps - job.made
        job.ends = self.steps + job.output_tokens - job.made
        if job.made == job.output_tokens:
            self._stop(job)
            done.append(Progress(job, now_ms, ended=True))
            return
        self._number += 1
        heapq.heappush(self._ends, (job.ends, self._number, job))

    def _stop(self, job: GpuJob) -> None:
        """It makes no more tokens. What it made stays in memory, in whole blocks."""
        made = min(self.steps - self._running.pop(job), job.output_tokens)
        size = self.profile.block_tokens
        # The last token that was made has been read by nobody.
        context = job.prompt_tokens + made - 1
        self._contexts -= context
        alone = context - job.shared * size
        whole = max(min(context // size, len(job.blocks)), job.shared)
        self._memory.share(job.blocks[job.shared : whole])
        self._memory.leave(job.blocks[:whole], alone - (whole - job.shared) * size)
        job.made, job.shared, job.alone = made, 0, 0

    def _make_room(self) -> None:
        """While one more step does not fit into memory, the last that came gives all up."""
        while self._memory.free_tokens < len(self._running):
            if self._reading:
                job = self._reading[-1]
                self._put_away(job)
            else:
                job = next(reversed(self._running))
                self._stop(job)
            self._waiting.appendleft(job)
            self.preempted += 1

    def _put_away(self, job: GpuJob) -> None:
        """It is read no further, and what was read of it is lost."""
        self._reading.remove(job)
        self._memory.leave(job.blocks[: job.shared], job.alone)
