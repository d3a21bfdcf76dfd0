"""What each kind of engine is told about its prefix cache, and what it is never sent: the bodies as they leave."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from parvis.adapters.engines.shaping import engine_json
from parvis.core.errors import BadRequest
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.flows.ports import Job
from parvis.testing.engine_bench import Bench
from parvis.testing.engine_suite import NAMED, TOOL
from parvis.wire.chat import read_chat

SALT = "0123456789abcdef" * 4
KINDS = sorted(EngineKind)
SALTED = {EngineKind.OPENVINO, EngineKind.VLLM, EngineKind.SGLANG}
FEW = (EngineKind.OLLAMA, EngineKind.TGI)
Json = dict[str, Any]


def bench(kind: EngineKind) -> Bench:
    """Of an engine that nobody asks."""
    capable = (Capability.CHAT, Capability.EMBEDDINGS)
    return Bench(
        replica=Replica("r", "pool", kind, "http://127.0.0.1:1", ReplicaState.READY),
        model=Model(id="m", engine="pool", engine_model="m", context_tokens=2048, capabilities=capable),
        running=lambda: 0,
        kill=lambda: None,
    )


def sent(job: Job, *, salt: str = SALT, cache: bool = True) -> Json:
    body: Json = msgspec.json.decode(engine_json(replace(job, cache_salt=salt, cache=cache)))
    return body


@pytest.mark.parametrize("kind", KINDS)
def test_a_salt_goes_to_those_that_know_one_and_to_nobody_else(kind: EngineKind) -> None:
    asked = bench(kind)
    for job in (asked.chat("Hi."), asked.chat("Hi.", stream=True), asked.completion("Hi"), asked.embedding("Hi")):
        assert sent(job).get("cache_salt") == (SALT if kind in SALTED else None)
        assert "cache_salt" not in sent(job, salt="")
        assert sent(job).items() >= sent(job, salt="").items()


@pytest.mark.parametrize("kind", KINDS)
def test_only_llama_cpp_is_asked_to_forget(kind: EngineKind) -> None:
    asked = bench(kind)
    for job in (asked.chat("Hi."), asked.completion("Hi")):
        assert sent(job, cache=False).get("cache_prompt") == (False if kind is EngineKind.LLAMA_CPP else None)
        assert "cache_prompt" not in sent(job)


@pytest.mark.parametrize("field", ["cache_prompt", "cache_salt", "extra_key", "id_slot", "rid", "session_params"])
def test_no_caller_can_say_it(field: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], field: SALT}
    with pytest.raises(BadRequest) as refused:
        read_chat(msgspec.json.encode(body))
    assert field in str(refused.value)


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("fields", [{"n": 2}, {"logit_bias": {"1": 5}}])
def test_what_an_engine_would_pass_over_is_refused_by_name(kind: EngineKind, fields: Json) -> None:
    with pytest.raises(BadRequest) as refused:
        engine_json(bench(kind).chat("Hi.", **fields))
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", next(iter(fields)))
    sent(bench(EngineKind.SGLANG).chat("Hi.", **fields))


@pytest.mark.parametrize("kind", FEW)
def test_what_has_no_effect_passes(kind: EngineKind) -> None:
    assert sent(bench(kind).chat("Hi.", n=1, tools=[TOOL], tool_choice="auto"))["n"] == 1


def test_ollama_has_no_choice_of_tools() -> None:
    for choice in ("required", NAMED):
        with pytest.raises(BadRequest, match="tool_choice"):
            engine_json(bench(EngineKind.OLLAMA).chat("Hi.", tools=[TOOL], tool_choice=choice))
    assert "tools" not in sent(bench(EngineKind.OLLAMA).chat("Hi.", tools=[TOOL], tool_choice="none"))


def test_tgi_gets_stop_texts_as_a_list_and_no_log_probabilities_of_completions() -> None:
    assert sent(bench(EngineKind.TGI).chat("Hi.", stop="."))["stop"] == ["."]
    assert sent(bench(EngineKind.VLLM).chat("Hi.", stop="."))["stop"] == "."
    with pytest.raises(BadRequest, match="logprobs"):
        engine_json(bench(EngineKind.TGI).completion("Hi", logprobs=1))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_asked_for_in_every_event_where_they_can_be_had(kind: EngineKind) -> None:
    told = sent(bench(kind).chat("Hi.", stream=True))
    running = told.get("stream_options", {}).get("continuous_usage_stats") or told.get("timings_per_token")
    assert bool(running) == (PROFILES[kind].running_usage or PROFILES[kind].running_timings)
