"""The servers that the suite of engines is run on, each on its bench: the fake in its flavours, and the real llama.cpp.

with fake_bench(EngineKind.VLLM, "vllm") as bench:
    keep(a_chat_is_streamed, bench)
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
import uvloop

from parvis.adapters.engines.loads import load_of
from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.engines.weights import locate
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState, TlsFiles
from parvis.testing import counting_suite as counting
from parvis.testing import engine_suite as suite
from parvis.testing import sameness_suite as sameness
from parvis.testing.embedding_suite import a_false_count_of_a_text_is_not_believed
from parvis.testing.engine_bench import Bench, Words
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.processes import EngineTls, fake_engine

KEY = "key-of-the-engine"
ALIAS = "served-name"
CONTEXT_TOKENS = {"chat": 2048, "embedding": 512}
EMBEDDING_NUMBERS: Mapping[str, int] = {"fake": 32, "embedding": 384}
PROMISE_S_MAX = 60
CALL_S_MAX = 30.0
ORDERS = Words(
    short="Say hello.",
    merged="@merge Say hello.",
    long="@tokens=2000 @gap_ms=5 A long one.",
    call="@tool What is the weather?",
    form="@json Describe a person.",
    reason="@reason=5 @tokens=7 Think.",
    unsaid="@reason=5 @tokens=7 @no_reasoning_usage Think.",
    think="@reason=5 @tokens=7 @think Think.",
    thinks=(
        ("@reason=5 @tokens=7 @think Think.", False, 5),
        ("@reason=5 @tokens=7 @think @half_marks Think.", False, 3),  # the fake's tokenizer counts words
        ("@reason=5 @tokens=7 @think @bundle=3 @split=7 Think.", False, 5),
        ("@reason=5 @tokens=7 @think @no_opening Think.", True, 5),
        ("@reason=5 @tokens=7 @think @says_none Think.", False, 5),
    ),
    runaway="@tokens=200 @runaway @gap_ms=1 Go on.",
    status="@status={} Fail.",
)
_ALWAYS = ("wrong_prompt=900000", "negative_usage", "half_usage", "huge_usage", "text_usage")
_RUNNING = ("falling", "wrong_running=900000")
_UNDETAILED = ("wrong_usage=900000", "wrong_usage=25")
_REPORTED = (*_UNDETAILED, "cached_above", "reasoning_above")
LIES: Mapping[Flavour, tuple[str, ...]] = {
    "vllm": (*_ALWAYS, *_RUNNING, *_REPORTED),
    "llamacpp": (*_ALWAYS, *_RUNNING),  # its report is not asked for
    "plain": (*_ALWAYS, *_REPORTED),
    "sglang": (*_ALWAYS, *_RUNNING, *_REPORTED),
    "tgi": (*_ALWAYS, *_UNDETAILED),
    "ollama": (*_ALWAYS, *_UNDETAILED),
}
ASKED = Words(endless={"logit_bias": {"0": -100, "2": -100}})
"""For SmolLM2, whose answers end with one of these tokens."""
OPENVINO_LOAD = PROFILES[EngineKind.OPENVINO].load
BY_ADDRESS = "a server by its address is taken at its word, and llama.cpp "
FAKE_GAPS: suite.Gaps = {
    suite.too_much_text_is_named_so: "the fake takes a text of any length",
    suite.a_stop_text_ends_an_answer: "the fake does not look for stop texts",
}
FAKE_LLAMA_GAPS: suite.Gaps = {
    **FAKE_GAPS,
    sameness.one_of_several_tools_is_called: "the fake reads no grammar",
    suite.a_named_tool_is_called: "the fake reads no grammar",
    suite.a_required_call_is_streamed: "the fake reads no grammar",
    suite.a_schema_is_kept: "the fake reads no grammar",
}
NO_RUNNING_COUNT = "it counts at the end only: until then, a stream's prompt is unknown"
ONE_CHOICE = "it passes over 'n', so more than one choice is refused"
NO_TOOL_CHOICE = "it passes over 'tool_choice', so a forced call is refused"
NO_CACHE_REPORT = "it does not tell what was cached"
NO_REASONING = "this model does not reason"
NO_WAY_TO_COUNT = "it has no tokenizer at hand: what it does not count is an estimate"
_FEW_ABILITIES: suite.Gaps = {
    suite.the_running_count_is_exact: NO_RUNNING_COUNT,
    suite.choices_are_streamed_side_by_side: ONE_CHOICE,
    suite.choices_are_counted_together: ONE_CHOICE,
    sameness.a_repeated_prompt_is_told_as_cached: NO_CACHE_REPORT,
}
FAKE_TGI_GAPS: suite.Gaps = {**FAKE_GAPS, **_FEW_ABILITIES}
FAKE_OLLAMA_GAPS: suite.Gaps = {
    **FAKE_GAPS,
    **_FEW_ABILITIES,
    suite.a_named_tool_is_called: NO_TOOL_CHOICE,
    suite.a_required_call_is_streamed: NO_TOOL_CHOICE,
    sameness.one_of_several_tools_is_called: NO_TOOL_CHOICE,
    sameness.reasoning_has_one_name: NO_WAY_TO_COUNT,
    sameness.reasoning_inside_the_text_is_read_apart: NO_WAY_TO_COUNT,
    sameness.reasoning_that_never_ends_is_no_answer: NO_WAY_TO_COUNT,
    suite.reasoning_is_counted_apart: NO_WAY_TO_COUNT,
    suite.reasoning_is_told_beside_tools: NO_WAY_TO_COUNT,
    counting.reasoning_that_is_not_counted_is_counted: NO_WAY_TO_COUNT,
    counting.reasoning_inside_the_text_is_counted_apart: NO_WAY_TO_COUNT,
    a_false_count_of_a_text_is_not_believed: NO_WAY_TO_COUNT,
}
LLAMA_GAPS: suite.Gaps = {
    sameness.a_model_that_reasons_tells_both_parts: NO_REASONING,
    sameness.reasoning_has_one_name: NO_REASONING,
    sameness.reasoning_inside_the_text_is_read_apart: NO_REASONING,
    sameness.reasoning_that_never_ends_is_no_answer: NO_REASONING,
    sameness.reasoning_inside_the_text_leaves_calls_alone: NO_REASONING,
    suite.reasoning_is_counted_apart: NO_REASONING,
    suite.reasoning_is_told_beside_tools: NO_REASONING,
    suite.a_status_keeps_its_meaning: "a real server takes no orders to fail",
    counting.reasoning_that_is_not_counted_is_counted: NO_REASONING,
    counting.reasoning_inside_the_text_is_counted_apart: NO_REASONING,
    counting.a_claim_that_cannot_be_is_not_believed: "a real server takes no orders to lie",
    counting.an_engine_that_goes_on_is_stopped: "a real server keeps the limit",
    a_false_count_of_a_text_is_not_believed: "a real server takes no orders to lie",
}
OPENVINO_GAPS: suite.Gaps = {
    **LLAMA_GAPS,
    suite.log_probabilities_are_told: "OpenVINO tells that of the chosen token alone, so 'top_logprobs' is refused",
    sameness.a_repeated_prompt_is_told_as_cached: "OpenVINO does not tell what was cached, so all of a prompt counts",
}
LLAMA_BY_ADDRESS_GAPS: suite.Gaps = {
    **LLAMA_GAPS,
    suite.choices_are_streamed_side_by_side: BY_ADDRESS + "reports the usage of one choice only",
    suite.choices_are_counted_together: BY_ADDRESS + "reports the usage of one choice only",
    suite.log_probabilities_are_told_beside_tools: BY_ADDRESS + "refuses to stream them",
    suite.a_named_tool_is_called: BY_ADDRESS + "hears of tools only if its template does",
    sameness.one_of_several_tools_is_called: BY_ADDRESS + "hears of tools only if its template does",
    suite.a_required_call_is_streamed: BY_ADDRESS + "hears of tools only if its template does",
    suite.a_client_that_waits_and_leaves_frees_the_engine: BY_ADDRESS + "notices only streaming clients that leave",
}


def keep(promise: suite.Promise, bench: Bench) -> None:
    """Run one promise on a loop of its own, such as a gateway has."""

    async def kept() -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(PROMISE_S_MAX):
                await promise(engine, bench)
        finally:
            engine.close()
            await asyncio.sleep(0.01)  # the loop closes what was aborted

    uvloop.run(kept())


@contextmanager
def fake_bench(
    kind: EngineKind, flavour: Flavour, tls: EngineTls | None = None, files: TlsFiles | None = None
) -> Iterator[Bench]:
    """A fake engine; `tls` is what it speaks, `files` what we believe of it."""
    with fake_engine(flavour=flavour, api_key=KEY, model=ALIAS, tls=tls) as process:
        yield Bench(
            replica=replace(_replica(kind, process.address), tls=files),
            model=_model("fake", EMBEDDING_NUMBERS["fake"]),
            words=replace(ORDERS, lies=tuple(f"@{lie} @tokens=7 Say it." for lie in LIES[flavour])),
            running=lambda: sum(record.running for record in process.log()),
            kill=process.kill,
            count=lambda text: text.count(" "),  # the fake's tokens each begin with a space
        )


class _EmbeddedServer:
    """An engine's process with weights that Parvis brings along."""

    module: str
    words: Words

    def __init__(self, serves: Literal["chat", "embedding"], cache: Path, parallel: int) -> None:
        self._serves = serves
        weights = {"chat": "smollm2-135m-instruct", "embedding": "all-minilm-l6-v2"}[serves]
        self._spec: dict[str, Any] = {
            "weights": str(locate(f"builtin:{weights}", cache)),
            "alias": ALIAS,
            "kind": serves,
            "api_key": KEY,
            "parallel": parallel,
            "context": CONTEXT_TOKENS[serves],
            **self.more(cache),
        }
        self._child: subprocess.Popen[bytes]
        self.address: str
        self._start()

    def more(self, _cache: Path) -> dict[str, Any]:
        """What its specification has beyond that of all."""
        return {}

    @property
    def pid(self) -> int:
        return self._child.pid

    def restart(self) -> None:
        """A new process at the same address; the old one is killed if it still runs."""
        self.end()
        self._spec["port"] = int(self.address.rpartition(":")[2])
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", self.module]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps(self._spec).encode() + b"\n")
        self._child.stdin.flush()
        self.address = json.loads(self._child.stdout.readline())["address"]

    def bench(self, kind: EngineKind) -> Bench:
        """Behind an engine of this kind: its own, or a server that is known by address only."""
        return Bench(
            replica=_replica(kind, self.address),
            model=_model(self._serves, EMBEDDING_NUMBERS.get(self._serves)),
            words=self.words,
            running=self.running,
            kill=self._child.kill,
        )

    def running(self) -> int:
        """How many requests it computes."""
        raise NotImplementedError

    def page(self, path: str) -> httpx.Response:
        """One of its own pages."""
        headers = {"Authorization": f"Bearer {KEY}", "Connection": "close"}
        return httpx.get(self.address + path, headers=headers, timeout=CALL_S_MAX)

    def wait(self, s_max: float) -> int:
        """Its exit status, once it ends by itself."""
        return self._child.wait(s_max)

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe
            pipe.close()


class LlamaServer(_EmbeddedServer):
    """llama.cpp."""

    module = "parvis.adapters.engines.llama_child"
    words = ASKED

    def running(self) -> int:
        slots: list[dict[str, Any]] = self.page("/slots").json()
        return sum(slot["is_processing"] for slot in slots)


class OpenVinoServer(_EmbeddedServer):
    """Our own worker around OpenVINO. It keeps what it converts in `cache`."""

    module = "parvis.adapters.openvino.child"
    words = Words(endless={"ignore_eos": True})

    def more(self, cache: Path) -> dict[str, Any]:
        return {"cache": str(cache)}

    def running(self) -> int:
        assert OPENVINO_LOAD
        load = load_of(self.page("/metrics").content, OPENVINO_LOAD)
        assert load
        return load.running + load.waiting


@contextmanager
def openvino_server(cache: Path, parallel: int = 8) -> Iterator[OpenVinoServer]:
    """The same with OpenVINO. The first one converts the weights, which takes some seconds."""
    server = OpenVinoServer("chat", cache, parallel)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def llama_server(serves: Literal["chat", "embedding"], cache: Path, parallel: int = 2) -> Iterator[LlamaServer]:
    """The real engine for the length of a `with` block. `cache` is a folder for converted weights."""
    server = LlamaServer(serves, cache, parallel)
    try:
        yield server
    finally:
        server.end()


def _model(name: str, dimensions: int | None) -> Model:
    return Model(
        id=f"{name}-model",
        engine="engine",
        engine_model=ALIAS,
        context_tokens=CONTEXT_TOKENS.get(name, 2048),
        capabilities=(Capability.CHAT, Capability.EMBEDDINGS),
        dimensions=dimensions,
    )


def _replica(kind: EngineKind, address: str) -> Replica:
    return Replica("replica", "engine", kind, address, ReplicaState.READY, KEY)
