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

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.engines.weights import locate
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState, TlsFiles
from parvis.testing import counting_suite as counting
from parvis.testing import engine_suite as suite
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
BY_ADDRESS = "a server by its address is taken at its word, and llama.cpp "
FAKE_GAPS: suite.Gaps = {
    suite.too_much_text_is_named_so: "the fake takes a text of any length",
    suite.a_stop_text_ends_an_answer: "the fake does not look for stop texts",
}
FAKE_LLAMA_GAPS: suite.Gaps = {
    **FAKE_GAPS,
    suite.a_named_tool_is_called: "the fake reads no grammar",
    suite.a_required_call_is_streamed: "the fake reads no grammar",
    suite.a_schema_is_kept: "the fake reads no grammar",
}
NO_RUNNING_COUNT = "it counts at the end only: until then, a stream's prompt is unknown"
ONE_CHOICE = "it passes over 'n', so more than one choice is refused"
NO_TOOL_CHOICE = "it passes over 'tool_choice', so a forced call is refused"
NO_WAY_TO_COUNT = "it has no tokenizer at hand: what it does not count is an estimate"
_FEW_ABILITIES: suite.Gaps = {
    suite.the_running_count_is_exact: NO_RUNNING_COUNT,
    suite.choices_are_streamed_side_by_side: ONE_CHOICE,
    suite.choices_are_counted_together: ONE_CHOICE,
}
FAKE_TGI_GAPS: suite.Gaps = {**FAKE_GAPS, **_FEW_ABILITIES}
FAKE_OLLAMA_GAPS: suite.Gaps = {
    **FAKE_GAPS,
    **_FEW_ABILITIES,
    suite.a_named_tool_is_called: NO_TOOL_CHOICE,
    suite.a_required_call_is_streamed: NO_TOOL_CHOICE,
    suite.reasoning_is_counted_apart: NO_WAY_TO_COUNT,
    suite.reasoning_is_told_beside_tools: NO_WAY_TO_COUNT,
    counting.reasoning_that_is_not_counted_is_counted: NO_WAY_TO_COUNT,
    counting.reasoning_inside_the_text_is_counted_apart: NO_WAY_TO_COUNT,
    a_false_count_of_a_text_is_not_believed: NO_WAY_TO_COUNT,
}
LLAMA_GAPS: suite.Gaps = {
    suite.reasoning_is_counted_apart: "this model does not reason",
    suite.reasoning_is_told_beside_tools: "this model does not reason",
    suite.a_status_keeps_its_meaning: "a real server takes no orders to fail",
    counting.reasoning_that_is_not_counted_is_counted: "this model does not reason",
    counting.reasoning_inside_the_text_is_counted_apart: "this model does not reason",
    counting.a_claim_that_cannot_be_is_not_believed: "a real server takes no orders to lie",
    counting.an_engine_that_goes_on_is_stopped: "a real server keeps the limit",
    a_false_count_of_a_text_is_not_believed: "a real server takes no orders to lie",
}
LLAMA_BY_ADDRESS_GAPS: suite.Gaps = {
    **LLAMA_GAPS,
    suite.choices_are_streamed_side_by_side: BY_ADDRESS + "reports the usage of one choice only",
    suite.choices_are_counted_together: BY_ADDRESS + "reports the usage of one choice only",
    suite.log_probabilities_are_told_beside_tools: BY_ADDRESS + "refuses to stream them",
    suite.a_named_tool_is_called: BY_ADDRESS + "hears of tools only if its template does",
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


class LlamaServer:
    """The embedded engine's process with weights that Parvis brings along."""

    def __init__(self, serves: Literal["chat", "embedding"], cache: Path, parallel: int = 2) -> None:
        self._serves = serves
        weights = {"chat": "smollm2-135m-instruct", "embedding": "all-minilm-l6-v2"}[serves]
        self._spec: dict[str, Any] = {
            "weights": str(locate(f"builtin:{weights}", cache)),
            "alias": ALIAS,
            "kind": serves,
            "api_key": KEY,
            "parallel": parallel,
            "context": CONTEXT_TOKENS[serves],
        }
        self._child: subprocess.Popen[bytes]
        self.address: str
        self._start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def restart(self) -> None:
        """A new process at the same address; the old one is killed if it still runs."""
        self.end()
        self._spec["port"] = int(self.address.rpartition(":")[2])
        self._start()

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "parvis.adapters.engines.llama_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
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
            words=ASKED,
            running=self.running,
            kill=self._child.kill,
        )

    def running(self) -> int:
        """The slots that compute."""
        headers = {"Authorization": f"Bearer {KEY}", "Connection": "close"}
        answer = httpx.get(f"{self.address}/slots", headers=headers, timeout=CALL_S_MAX)
        slots: list[dict[str, Any]] = answer.json()
        return sum(slot["is_processing"] for slot in slots)

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe
            pipe.close()


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
