"""Which replica takes a request: our policy beside others, on the same recorded conversations in the same run.

    make bench-policies                                        # all of it, some forty minutes
    make bench-policies ARGS="--rounds 1"                      # the same in half the time
    make bench-policies ARGS="--only simulated"                # a minute
    make bench-policies ARGS="--only fakes --seconds 20 --out /tmp/trial"

Three stages: the simulator; real processes before fake engines with a modelled prefix cache; real processes before
three real llama.cpp replicas. On the latter two, round robin and consistent hashing are ours with another pick planted
into a copy of the sources, least loaded is ours by its settings, and cache-aware is sglang-router's own. The page goes
to docs/reference/policies.md, the raw rows to bench/results.
"""

import argparse
import contextlib
import datetime as dt
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import policies_page
from conditions import conditions
from conversations import Service, Turn, play
from peers import install_python_peer, say
from places import RESULTS
from targets import PEER_KEY
from upstart import llama_servers, sglang_router

from parvis.domain.fleet.gpu_profiles import PROFILES, GpuProfile
from parvis.domain.fleet.modelled_traffic import Call, PoolTraffic, generate
from parvis.domain.fleet.scenario import PoolPlan, Scenario
from parvis.flows.simulated_fleet import simulate
from parvis.flows.simulated_gateway import POLICIES
from parvis.testing.processes import fake_engine
from parvis.testing.service import planted, service

SOURCES = Path(__file__).resolve().parents[1] / "src"
PARTS = ("simulated", "fakes", "llama")
FLEET = "parvis/flows/fleet.py"
_WEIGH = "        return pick(seats, ask.tried, self._weights, self._known(seats, ask))\n"
_ROUND = "        return Choice(next(at for at, seat in enumerate(seats) if seat.open), [], {})\n"
_RING = (
    "        self._known(seats, ask)\n"
    "        start = (ask.prefix or ())[:2]\n"
    "        best = max((hash((start, seat.number)), at) for at, seat in enumerate(seats) if seat.open)\n"
    "        return Choice(best[1], [], {})\n"
)
PLANTED = {"round-robin": _ROUND, "consistent-hash": _RING}
"""In place of `LocalFleet._weigh`. The fleet turns its seats round before each choice: the first open one is next."""
LEAST_LOADED = {f"PARVIS_ROUTING__{name}": "0" for name in ("PREFIX", "LATENCY", "WEIGHT", "COST")}
ONE_GATEWAY = 1


@dataclass(frozen=True)
class Stage:
    """Real engines, and what people ask them."""

    name: str
    kind: str
    model: str
    calls: Sequence[Call]
    engines: Callable[[ExitStack], list[str]]
    """Starts them; their addresses."""
    engine_model: str
    engine_key: str = ""


# The traffic


def traffic(name: str, seed: int, seconds: float, tokens_per_s: float, **lengths: Any) -> list[Call]:
    """Conversations of twelve applications, each with a system text of its own; the first has most of them."""
    plan = PoolTraffic(name, tokens_per_s, tenants=12, systems=1, burst_s=5, calm_s=15, **lengths)
    return list(generate((plan,), seed, seconds))


FAKES, FAKE_BLOCKS, BLOCK_CHARS, US_PER_CHAR, GAP_MS = 4, 3_000, 64, 80.0, 10
MODELLED_FAKE = GpuProfile(
    name="fake-engine",
    hardware="the fake engine of this bench",
    source="its own options",
    step_ms=GAP_MS,
    step_ms_each=0.0,
    step_us_per_token=0.0,
    prefill_tokens_per_s=1e6 / US_PER_CHAR / 4,
    prefill_ms=0.0,
    kv_tokens=FAKE_BLOCKS * BLOCK_CHARS // 4,
    slots=16,
    step_tokens_max=64,
)
"""The same engine as the fakes, for the simulator, but that it reads and writes in turns."""


def fakes_traffic(seed: int, seconds: float) -> list[Call]:
    """Some ten requests a second, of 300 to 1,500 tokens: more than two thirds of what round robin could bear."""
    lengths = {"system_tokens": 300, "turns": 5.0, "message_tokens": 60.0, "answer_tokens": 25.0, "think_s": 4.0}
    return traffic("chat", seed, seconds, 300.0, **lengths)


def llama_traffic(seed: int, seconds: float) -> list[Call]:
    """Some three requests in four seconds, of 250 to 950 tokens.

    By what our bench measured of the engine, that keeps two cores half busy where all of each prompt is read.
    """
    lengths = {"system_tokens": 100, "turns": 5.0, "message_tokens": 30.0, "answer_tokens": 16.0, "think_s": 4.0}
    return traffic("chat", seed, seconds, 24.0, context_tokens_max=450, **lengths)


# The stages


def simulated(seed: int, seconds: float, keep: Callable[[dict[str, Any]], None]) -> None:
    """Ours and four others: at the service's size, on the engine that the fakes are, and on two gateways."""
    PROFILES[MODELLED_FAKE.name] = MODELLED_FAKE
    calls = fakes_traffic(seed, seconds)
    fake = Scenario(
        {"chat": PoolPlan(MODELLED_FAKE.name, FAKES, calls_plan())}, gateways=1, seconds=seconds, way_ms=5.0
    )
    large = PoolTraffic("8b", 2_400, tenants=60)
    one = Scenario({"8b": PoolPlan("7b-a100", 6, large)}, gateways=ONE_GATEWAY, seconds=600.0)
    cases = {
        "simulated fakes": (fake, calls),
        "simulated, 6 machines": (one, None),
        "simulated, 6 machines, two gateways": (replace(one, gateways=2), None),
    }
    for stage, (scenario, recorded) in cases.items():
        for policy in POLICIES:
            pool = next(iter(simulate(scenario, seed, policy=policy, calls=recorded).pools.values()))
            ordered = sorted(pool.first_ms)
            keep(_row(stage, policy, ordered, pool.hit_rate, pool.requests, pool.requests - len(ordered)))


def calls_plan() -> PoolTraffic:
    """Who asks is recorded."""
    return PoolTraffic("chat", 1.0)


def started_fakes(stack: ExitStack) -> list[str]:
    """Engines whose answers take time: a prompt as long as it was not read before, an answer by the token."""
    addresses = []
    for _ in range(FAKES):
        engine = stack.enter_context(
            fake_engine(
                model="chat", prefix_blocks=FAKE_BLOCKS, prefix_block_chars=BLOCK_CHARS, prefill_us_per_char=US_PER_CHAR
            )
        )
        engine.faults(tokens=100_000, gap_ms=GAP_MS)
        addresses.append(engine.address)
    return addresses


def measured(stage: Stage, keep: Callable[[dict[str, Any]], None], rounds: int) -> None:
    """Each policy on engines that have read nothing, so many times, in turns."""
    for number in range(rounds):
        for policy in POLICIES:
            say(f"{stage.name}, round {number + 1}, {policy}: {len(stage.calls)} requests")
            with ExitStack() as stack:
                addresses = stage.engines(stack)
                asked = stack.enter_context(_before(policy, stage, addresses))
                turns = play(asked, stage.calls)
            keep({**_row_of(stage.name, policy, turns), "round": number})


@contextlib.contextmanager
def _before(policy: str, stage: Stage, addresses: list[str]) -> Iterator[Service]:
    """A service of this policy before these engines."""
    if policy == "cache-aware":
        with sglang_router(addresses, stage.engine_key) as url:
            yield Service(f"{url}/v1", stage.engine_key or PEER_KEY, stage.engine_model)
        return
    with tempfile.TemporaryDirectory(prefix="parvis-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "engine.key").touch(mode=0o600)
        (home / "engine.key").write_text(stage.engine_key)
        engine = {"kind": stage.kind, "model": stage.model, "addresses": addresses, "context_tokens": 16_384}
        engine |= {"engine_model": stage.engine_model}
        engine |= {"api_key_file": str(home / "engine.key")} if stage.engine_key else {}
        source = None
        if policy in PLANTED:
            source = stack.enter_context(planted(SOURCES, {FLEET: (_WEIGH, PLANTED[policy])}))
        env = LEAST_LOADED if policy == "least-loaded" else {}
        running = stack.enter_context(
            service(
                home / "data", engines={"chat": engine}, source=source, env={**env, "PARVIS_INFERENCE__WORKERS": "1"}
            )
        )
        yield Service(running.base_url, running.api_key, stage.model)


def _row_of(stage: str, policy: str, turns: Sequence[Turn]) -> dict[str, Any]:
    whole = [turn for turn in turns if not turn.failure]
    for turn in turns:
        if turn.failure:
            say(f"{policy}: {turn.failure}")
            break
    prompt = sum(turn.prompt_tokens for turn in whole)
    hits = sum(turn.cached_tokens for turn in whole) / prompt if prompt else 0.0
    return _row(stage, policy, sorted(turn.first_token_ms for turn in whole), hits, len(turns), len(turns) - len(whole))


def _row(stage: str, policy: str, ordered: Sequence[float], hits: float, requests: int, failed: int) -> dict[str, Any]:
    return {
        "kind": "policy",
        "stage": stage,
        "policy": policy,
        "hit_rate": round(hits, 4),
        "mean_ms": round(statistics.fmean(ordered), 1) if ordered else 0.0,
        "p95_ms": round(ordered[len(ordered) * 95 // 100], 1) if ordered else 0.0,
        "requests": requests,
        "failed": failed,
    }


# The whole


def options() -> argparse.Namespace:
    """What was asked on the command line."""
    today = dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d")
    parser = argparse.ArgumentParser(description="Compare ways to choose a replica.")
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="of recorded traffic, for each policy")
    parser.add_argument(
        "--llama-seconds", type=float, default=150.0, help="the same before llama.cpp, which is asked more seldom"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default=f"{today}-policies", help="of the file with the raw rows")
    parser.add_argument("--out", type=Path, help="folder for the page and the rows [docs/reference and bench/results]")
    return parser.parse_args()


def main() -> int:
    """Measure, then write the page; status 1 when an answer failed."""
    asked = options()
    results = (asked.out or RESULTS) / f"{asked.name}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text("")
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        with results.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        if row["kind"] == "policy":
            figures = f"{row['hit_rate']:.1%} cached, {row['mean_ms']} ms, {row['failed']} failed"
            say(f"{row['stage']}, {row['policy']}: {figures}")

    lengths = {"seconds": asked.seconds, "seconds before llama.cpp": asked.llama_seconds}
    keep({"kind": "conditions", **conditions(), "seed": asked.seed, **lengths})
    if "simulated" in asked.only:
        simulated(asked.seed, asked.seconds, keep)
    if {"fakes", "llama"} & set(asked.only):
        install_python_peer("sglang-router")
    if "fakes" in asked.only:
        calls = fakes_traffic(asked.seed, asked.seconds)
        measured(Stage("fakes", "vllm", "chat", calls, started_fakes, "chat"), keep, asked.rounds)
    if "llama" in asked.only:
        calls = llama_traffic(asked.seed, asked.llama_seconds)
        measured(Stage("llama", "llama.cpp", "chat", calls, llama_servers, "chat", PEER_KEY), keep, asked.rounds)
    page = policies_page.write(rows, (asked.out or policies_page.FOLDER) / "policies.md")
    print(page.read_text())
    return int(any(row.get("failed") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
