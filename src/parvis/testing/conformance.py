"""The engine's promises before a server that somebody else runs, known by its address.

    python -m parvis.testing.conformance --url http://10.0.0.5:8000 --kind vllm --model my-model [--reasons] [--embeds]

`PARVIS_TEST_ENGINE_KEY` holds its key, if it wants one. Give it a server that does nothing else: a promise about
leaving waits until it is idle. Exit status 1 when a promise is broken that the kind has no gap for, 2 without an
address. What only a fake can be ordered to do, and what ends the server, is not tried; it is named.
"""

import argparse
import os
import sys
from collections.abc import Iterator

import httpx

from parvis.adapters.engines.loads import load_of
from parvis.core.errors import Failure
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.testing import counting_suite as counting
from parvis.testing import engine_suite as suite
from parvis.testing import sameness_suite as sameness
from parvis.testing.embedding_suite import EMBEDDING_PROMISES, a_false_count_of_a_text_is_not_believed
from parvis.testing.engine_bench import Bench, Words
from parvis.testing.engine_servers import keep
from parvis.testing.engine_table import GROUPS, gap_of, sentence

KEY = "PARVIS_TEST_ENGINE_KEY"
CALL_S_MAX = 30.0
NO_ORDERS = "only a fake can be ordered to do this"
ORDERED: suite.Gaps = dict.fromkeys(
    (
        *suite.LAST_PROMISES,
        *counting.COUNTING_PROMISES,
        suite.a_status_keeps_its_meaning,
        suite.reasoning_is_counted_apart,
        suite.reasoning_is_told_beside_tools,
        sameness.reasoning_has_one_name,
        sameness.reasoning_inside_the_text_is_read_apart,
        sameness.reasoning_that_never_ends_is_no_answer,
        sameness.reasoning_inside_the_text_leaves_calls_alone,
        a_false_count_of_a_text_is_not_believed,
    ),
    NO_ORDERS,
)
BREAKS = (AssertionError, Failure, LookupError, TypeError, ValueError, TimeoutError, httpx.HTTPError)
"""How a promise can end that is not kept."""
LEAVING = (suite.a_client_that_leaves_frees_the_engine, suite.a_client_that_waits_and_leaves_frees_the_engine)


def bench_of(url: str, kind: EngineKind, model: str, context_tokens: int, dimensions: int | None) -> Bench:
    """The server behind its kind. It cannot be killed from here."""
    key = os.environ.get(KEY, "")
    endless = {"ignore_eos": True} if "ignore_eos" in PROFILES[kind].extras else {}

    def running() -> int:
        load = PROFILES[kind].load
        assert load is not None
        page = httpx.get(url + PROFILES[kind].metrics, headers={"Authorization": f"Bearer {key}"}, timeout=CALL_S_MAX)
        told = load_of(page.content, load)
        assert told is not None, f"{PROFILES[kind].metrics} does not tell {load.running}"
        return told.running

    return Bench(
        replica=Replica("replica", "engine", kind, url, ReplicaState.READY, key),
        model=Model(
            id="its-model",
            engine="engine",
            engine_model=model,
            context_tokens=context_tokens,
            capabilities=(Capability.CHAT, Capability.EMBEDDINGS),
            dimensions=dimensions,
        ),
        words=Words(endless=endless, reason="What is 17 times 23? Think about it, then say the number."),
        running=running,
        kill=lambda: None,
    )


def not_tried(kind: EngineKind, promise: suite.Promise, *, reasons: bool) -> str:
    """Why a promise is left out here; empty when it is tried."""
    if promise in ORDERED:
        return ORDERED[promise]
    if promise is sameness.a_model_that_reasons_tells_both_parts and not reasons:
        return "say --reasons for a model that reasons"
    if promise in LEAVING and PROFILES[kind].load is None:
        return "this kind does not tell whether it is idle"
    return gap_of(kind, promise, {})


def verdicts(bench: Bench, *, reasons: bool, embeds: bool) -> Iterator[tuple[str, str, bool]]:
    """Each promise with what became of it, and whether that is as it should be."""
    for promises in GROUPS.values():
        for promise in promises:
            if (promise in EMBEDDING_PROMISES) != embeds:
                continue
            why = not_tried(bench.replica.kind, promise, reasons=reasons)
            if why:
                yield sentence(promise), f"not tried: {why}", True
                continue
            try:
                keep(promise, bench)
            except BREAKS as broken:
                what = str(broken).partition("\n")[0][:200]
                yield sentence(promise), f"BROKEN: {type(broken).__name__} {what}", False
            else:
                yield sentence(promise), "kept", True


def main() -> int:
    """Try all, print each, and say by the exit status whether all were kept."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--url", default=os.environ.get("PARVIS_TEST_ENGINE_URL", ""))
    words.add_argument("--kind", type=EngineKind, choices=list(EngineKind), default=EngineKind.VLLM)
    words.add_argument("--model", default=os.environ.get("PARVIS_TEST_ENGINE_MODEL", ""))
    words.add_argument("--context-tokens", type=int, default=2048)
    words.add_argument("--dimensions", type=int)
    words.add_argument("--reasons", action="store_true")
    words.add_argument("--embeds", action="store_true")
    said = words.parse_args()
    if not (said.url and said.model):
        words.error("say which server: --url http://HOST:PORT --model NAME (as the server calls it)")
    bench = bench_of(said.url.rstrip("/"), said.kind, said.model, said.context_tokens, said.dimensions)
    good = True
    for name, what, as_it_should in verdicts(bench, reasons=said.reasons, embeds=said.embeds):
        sys.stdout.write(f"{name:60} {what}\n")
        sys.stdout.flush()
        good = good and as_it_should
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
