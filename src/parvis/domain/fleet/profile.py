"""The habits of each kind of engine: what the story and the adapters must know of them, and nothing else.

Sources. llama.cpp: measured on its server as `xllamacpp` 2026.10 has it. OpenVINO has no server: the one that is meant
is our own (`parvis.adapters.openvino`). The others were read, not run, because they
want a GPU; what is said of them here is what the fake engine plays (`parvis.testing.fake_engine`):

- vLLM: `entrypoints/generate/base/protocol.py` (022e555, 2026), `entrypoints/pooling/base/protocol.py` (020638a), its
  tokenizer's requests, and the names on its metrics page.
- SGLang: `srt/entrypoints/openai/protocol.py` and `serving_completions.py` (004c82e, 2026), its page on production
  metrics. A salt has an effect there since pull request 23300 of 21 April 2026.
- TGI: `router/src/lib.rs`, `server.rs`, `chat.rs` and `docs/source/reference/metrics.md` (db931fc, 8 January 2026).
- Ollama: `openai/openai.go`, `middleware/openai.go`, `server/routes.go`, `llm/llama_server.go` (fb30760, 21 August
  2026).
"""

from dataclasses import dataclass
from typing import NamedTuple

from parvis.domain.fleet.replica import EngineKind

_SAMPLING_EXTRAS = frozenset({"top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens"})


class LoadNames(NamedTuple):
    """How a metrics page calls what an engine is busy with. Names are gauges, summed over their labels."""

    running: str
    waiting: str
    used: tuple[str, ...] = ()
    """The part of its KV memory that is in use, 0 to 1; several where it was renamed."""


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """What an engine can and cannot do."""

    always_stream: bool = False
    """It is always asked to stream: since it notices only such a client that leaves, or since calls are read so."""
    running_usage: bool = False
    """Every event can carry the counts so far (`continuous_usage_stats`)."""
    running_timings: bool = False
    """Every event can carry llama.cpp's exact counts so far (`timings_per_token`)."""
    closes_after_stream: bool = False
    """It closes the connection after a streamed answer, whatever it announced."""
    tools_by_schema: bool = False
    """Its template ignores tools: they go into the system text and the call is forced by a schema."""
    stop_as_list: bool = False
    """It refuses a single text under `stop`."""
    own_endings: bool = False
    """It has words of its own for why an answer ended."""
    format_as_value: bool = False
    """It reads what an answer must look like under `value`, beside its type."""
    extras: frozenset[str] = frozenset()
    """Parameters beyond OpenAI's that it understands and that are safe to pass."""
    lacks: frozenset[str] = frozenset()
    """Parameters of OpenAI's that it would pass over in silence. They are refused by name."""
    lacks_in_completions: frozenset[str] = frozenset()
    """The same, of the older protocol alone."""
    health: str = "/health"
    """The page that answers 200 when it can serve."""
    load: LoadNames | None = None
    """None: it tells nobody how busy it is."""
    metrics: str = "/metrics"
    """Where it tells that."""
    rerank: str = ""
    """The page where it reranks, for weights that are made for that; empty where it has none."""
    salt: str = ""
    """The field that keeps the prefix caches of different salts apart; empty where it knows none."""
    cache_switch: str = ""
    """The field that, when false, keeps a request from finding what others left; empty where it knows none."""


PROFILES = {
    EngineKind.LLAMA_CPP: EngineProfile(
        always_stream=True,
        running_timings=True,
        closes_after_stream=True,
        tools_by_schema=True,
        extras=frozenset({"top_k", "min_p"}),
        load=LoadNames(
            "llamacpp:requests_processing", "llamacpp:requests_deferred", ("llamacpp:kv_cache_usage_ratio",)
        ),
        rerank="/v1/rerank",
        cache_switch="cache_prompt",
    ),
    EngineKind.OPENVINO: EngineProfile(
        always_stream=True,
        running_usage=True,
        tools_by_schema=True,
        extras=_SAMPLING_EXTRAS - {"repetition_penalty"},
        lacks=frozenset({"logit_bias", "top_logprobs"}),
        lacks_in_completions=frozenset({"logprobs"}),
        load=LoadNames(
            "openvino:num_requests_running", "openvino:num_requests_waiting", ("openvino:kv_cache_usage_ratio",)
        ),
        salt="cache_salt",
    ),
    EngineKind.VLLM: EngineProfile(
        running_usage=True,
        extras=_SAMPLING_EXTRAS | {"reasoning_effort"},
        load=LoadNames(
            "vllm:num_requests_running",
            "vllm:num_requests_waiting",
            ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        ),
        rerank="/v1/rerank",
        salt="cache_salt",
    ),
    EngineKind.SGLANG: EngineProfile(
        running_usage=True,
        extras=_SAMPLING_EXTRAS | {"reasoning_effort"},
        load=LoadNames("sglang:num_running_reqs", "sglang:num_queue_reqs", ("sglang:token_usage",)),
        rerank="/v1/rerank",
        salt="cache_salt",
    ),
    EngineKind.TGI: EngineProfile(
        stop_as_list=True,
        own_endings=True,
        format_as_value=True,
        lacks=frozenset({"n", "logit_bias"}),
        lacks_in_completions=frozenset({"logprobs", "presence_penalty"}),
        load=LoadNames("tgi_batch_current_size", "tgi_queue_size"),
    ),
    EngineKind.OLLAMA: EngineProfile(
        extras=frozenset({"reasoning_effort"}),
        lacks=frozenset({"n", "logit_bias", "tool_choice"}),
        health="/api/version",
    ),
    EngineKind.SPEECH: EngineProfile(load=LoadNames("speech_requests_running", "speech_requests_waiting")),
    EngineKind.OPENAI: EngineProfile(extras=frozenset({"reasoning_effort"}), rerank="/v1/rerank"),
}
