"""How soon an engine is free again when its client leaves: in 100 ms (p95).

Level C prints the times and only fails where an engine does not become free at all; `--prove` judges them. The clock
runs until the engine's own page says that it computes nothing, so reading that page is part of each time.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.domain.fleet.replica import EngineKind
from parvis.testing.engine_bench import Bench
from parvis.testing.engine_servers import fake_bench, llama_server, openvino_server
from parvis.testing.sameness_suite import freed_after_ms

FREED_MS_MAX = 100
TIMES = {"C": 4, "N": 50}
SUBJECTS = ("fake", "llama.cpp", "openvino")


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory, openvino_cache: Path) -> Iterator[dict[str, Bench]]:
    with ExitStack() as stack:
        openvino = stack.enter_context(openvino_server(openvino_cache))
        llama = stack.enter_context(llama_server("chat", tmp_path_factory.mktemp("weights")))
        fake = stack.enter_context(fake_bench(EngineKind.VLLM, "vllm"))
        yield {
            "fake": fake,
            "llama.cpp": llama.bench(EngineKind.LLAMA_CPP),
            "openvino": openvino.bench(EngineKind.OPENVINO),
        }


@pytest.mark.alone
@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_engine_is_free_when_its_client_has_left(subject: str, benches: dict[str, Bench], level: str) -> None:
    async def times() -> list[float]:
        engine = HttpEngine(asyncio.get_running_loop())
        try:
            return sorted([await freed_after_ms(engine, benches[subject]) for _ in range(TIMES[level])])
        finally:
            engine.close()
            await asyncio.sleep(0.01)  # the loop closes what was aborted

    took_ms = uvloop.run(times())
    p50_ms, p95_ms = (took_ms[len(took_ms) * part // 100] for part in (50, 95))
    print(f"{subject}: free after {p50_ms:.0f} ms (p50), {p95_ms:.0f} ms (p95)")
    if level == "N":
        assert p95_ms <= FREED_MS_MAX
