"""The habits of each kind of engine, as measured; what the story must know of them and nothing else."""

from dataclasses import dataclass

from parvis.domain.fleet.replica import EngineKind

_SAMPLING_EXTRAS = frozenset({"top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens"})


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """What an engine can and cannot do."""

    always_stream: bool
    """It notices only a streaming client that leaves, so it is always asked to stream."""
    running_usage: bool
    """Every event can carry the counts so far (`continuous_usage_stats`)."""
    running_timings: bool
    """Every event can carry llama.cpp's exact counts so far (`timings_per_token`)."""
    closes_after_stream: bool
    """It closes the connection after a streamed answer, whatever it announced."""
    tools_by_schema: bool
    """Its template ignores tools: they go into the system text and the call is forced by a schema."""
    extras: frozenset[str]
    """Parameters beyond OpenAI's that it understands and that are safe to pass."""


PROFILES = {
    EngineKind.LLAMA_CPP: EngineProfile(
        always_stream=True,
        running_usage=False,
        running_timings=True,
        closes_after_stream=True,
        tools_by_schema=True,
        extras=frozenset({"top_k", "min_p"}),
    ),
    EngineKind.VLLM: EngineProfile(
        always_stream=False,
        running_usage=True,
        running_timings=False,
        closes_after_stream=False,
        tools_by_schema=False,
        extras=_SAMPLING_EXTRAS | {"reasoning_effort"},
    ),
    EngineKind.OPENAI: EngineProfile(
        always_stream=False,
        running_usage=False,
        running_timings=False,
        closes_after_stream=False,
        tools_by_schema=False,
        extras=frozenset({"reasoning_effort"}),
    ),
}
