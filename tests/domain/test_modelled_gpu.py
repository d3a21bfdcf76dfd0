"""The laws of a modelled GPU, and that each profile gives the figures that it was fitted to."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parvis.domain.fleet.gpu_profiles import PROFILES, Figure, GpuProfile
from parvis.domain.fleet.kv_memory import KvMemory
from parvis.domain.fleet.modelled_gpu import GpuJob, ModelledGpu, Progress

SMALL = replace(PROFILES["7b-a100"], kv_tokens=400, batch_max=5, step_tokens_max=64, block_tokens=8)
NEAR = 0.10
CASES = [
    pytest.param(profile, one, id=f"{profile.name}-{one.batch}x{one.prompt_tokens}+{one.output_tokens}")
    for profile in PROFILES.values()
    for one in profile.figures
]


@dataclass(frozen=True)
class Arrival:
    after_ms: float
    prompt_tokens: int
    output_tokens: int
    conversation: int
    leaves: bool

    def job(self) -> GpuJob:
        whole = (self.prompt_tokens + self.output_tokens) // SMALL.block_tokens
        return GpuJob(self.prompt_tokens, self.output_tokens, tuple(self.conversation * 1000 + n for n in range(whole)))


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        after_ms=st.sampled_from((0.0, 0.5, 7.0, 40.0, 3000.0)),
        prompt_tokens=st.integers(1, 250),
        output_tokens=st.integers(1, 150),
        conversation=st.integers(1, 3),
        leaves=st.sampled_from((False, False, False, True)),
    ),
    min_size=1,
    max_size=25,
)


def broken_laws(arrivals: list[Arrival], gpu: ModelledGpu) -> list[str]:
    """Let them come, one after the other; what was not as it must be."""
    broken: list[str] = []
    now_ms = 0.0
    heard: list[Progress] = []
    jobs: list[GpuJob] = []
    left: set[GpuJob] = set()
    for arrival in arrivals:
        until_ms = now_ms + arrival.after_ms
        now_ms, events = until_ms, _drive(gpu, until_ms, broken)
        heard += events
        if arrival.leaves and jobs and jobs[-1] not in {one.job for one in heard if one.ended}:
            gpu.cancel(jobs[-1])
            left.add(jobs[-1])
        jobs.append(arrival.job())
        gpu.submit(jobs[-1], now_ms)
    heard += _drive(gpu, math.inf, broken)
    firsts = Counter(one.job for one in heard if not one.ended)
    ends = Counter(one.job for one in heard if one.ended)
    for job in jobs:
        if job not in left and not (firsts[job] == ends[job] == 1):
            broken.append(f"a job began {firsts[job]} times and ended {ends[job]} times")
        if ends[job] and job.made != job.output_tokens:
            broken.append(f"{job.made} tokens of {job.output_tokens}")
    if gpu.memory.held_tokens or gpu.running or gpu.waiting:
        broken.append("something is left when all have ended")
    if any(after.at_ms < before.at_ms for before, after in pairwise(heard)):
        broken.append("time ran backward")
    return broken


def _drive(gpu: ModelledGpu, until_ms: float, broken: list[str]) -> list[Progress]:
    heard: list[Progress] = []
    for _ in range(20_000):
        if gpu.due_ms > until_ms or gpu.due_ms == math.inf:
            return heard
        before_ms = gpu.due_ms
        heard += gpu.advance(before_ms)
        if not 0 <= gpu.memory.held_tokens <= gpu.memory.tokens <= gpu.profile.kv_tokens:
            broken.append(f"{gpu.memory.tokens} tokens in a memory of {gpu.profile.kv_tokens}")
        if gpu.due_ms <= before_ms:
            broken.append("a step took no time")
    broken.append("it never ends")
    return heard


@given(ARRIVALS)
@settings(max_examples=300)
def test_each_request_ends_once_within_memory_and_in_time(arrivals: list[Arrival]) -> None:
    assert broken_laws(arrivals, ModelledGpu(SMALL)) == []


def test_what_outgrows_memory_is_read_anew_and_still_ends() -> None:
    gpu = ModelledGpu(SMALL)
    assert broken_laws([Arrival(0, 60, 150, number, leaves=False) for number in range(5)], gpu) == []
    assert gpu.preempted


def test_a_conversation_finds_its_beginning_and_another_one_does_not() -> None:
    gpu = ModelledGpu(SMALL)
    first, second, other = (Arrival(0, *shape, leaves=False).job() for shape in ((80, 20, 1), (120, 5, 1), (120, 5, 2)))
    for job in (first, second, other):
        gpu.submit(job, gpu.due_ms if gpu.due_ms < math.inf else 0.0)
        _drive(gpu, math.inf, [])
    assert (first.cached_tokens, second.cached_tokens, other.cached_tokens) == (0, 96, 0)


def test_who_is_larger_than_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than the memory"):
        ModelledGpu(SMALL).submit(GpuJob(400, 1), 0.0)


@pytest.mark.parametrize("bug", ["no room is looked for", "an end is told twice", "what ended stays in memory"])
def test_the_laws_notice(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [Arrival(0, 100, 60, number, leaves=False) for number in range(8)]
    assert broken_laws(arrivals, ModelledGpu(SMALL)) == []
    match bug:
        case "no room is looked for":
            monkeypatch.setattr(KvMemory, "free_tokens", property(lambda _: 10_000))
        case "an end is told twice":
            end = ModelledGpu._end
            monkeypatch.setattr(ModelledGpu, "_end", lambda *given: (end(*given), given[2].extend(given[2][-1:])))
        case "what ended stays in memory":
            monkeypatch.setattr(KvMemory, "leave", lambda *_: None)
    assert broken_laws(arrivals, ModelledGpu(SMALL))


@pytest.mark.parametrize(("profile", "figure"), CASES)
def test_a_profile_gives_what_was_measured(profile: GpuProfile, figure: Figure) -> None:
    gpu = ModelledGpu(profile)
    for _ in range(figure.batch):
        gpu.submit(GpuJob(figure.prompt_tokens, figure.output_tokens), 0.0)
    heard = _drive(gpu, math.inf, [])
    firsts = [one.at_ms for one in heard if not one.ended]
    took_ms = heard[-1].at_ms
    modelled = Figure(
        figure.batch,
        figure.prompt_tokens,
        figure.output_tokens,
        first_token_ms=firsts[0],
        tokens_per_s=figure.batch * figure.output_tokens / took_ms * 1000,
        step_ms=(took_ms - firsts[-1]) / max(figure.output_tokens - 1, 1),
    )
    for name in ("first_token_ms", "tokens_per_s", "step_ms"):
        if (measured := getattr(figure, name)) is not None:
            assert getattr(modelled, name) == pytest.approx(measured, rel=NEAR), name
