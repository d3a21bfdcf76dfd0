"""A deployment that is loaded on demand: its first request waits for the weights, and who is idle is unloaded."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Json, Service, planted, served_by, service, wait_until

PATH = "/v1/chat/completions"
SOURCES = Path(__file__).parents[2] / "src"
IDLE_S = 10
LAZY: Json = {
    "id": "lazy",
    "source": "here",
    "weights": "builtin:smollm2-135m-instruct",
    "model": "lazy",
    "parallel": 2,
    "context_tokens": 512,
    "load": "on-demand",
    "idle_s": IDLE_S,
}
LOAD_S_MAX = 60.0
NEVER_WOKEN = {
    "parvis/app/control.py": (
        "        self._deployed.waited_for({one.pool for one in told.pools if one.waiting})\n",
        "",
    )
}


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


async def ask(running: Service, model: str = "lazy") -> Seen:
    async with Caller(running.port, running.api_key) as caller:
        return await caller.ask(PATH, chat("hello", model=model, stream=False, max_tokens=2))


def deploy(running: Service, **facts: Any) -> None:
    """A deployment that sleeps, and gateways know it."""
    running.operator.post("/v1/deployments", json=LAZY | facts).raise_for_status()


def states(running: Service, name: str = "lazy") -> list[str]:
    found: list[Json] = running.get("/v1/replicas", deployment=name)["data"]
    return [one["state"] for one in found]


async def broken_weights_end_the_wait(running: Service, folder: Path) -> None:
    bad = folder / "bad.gguf"
    bad.write_bytes(b"GGUF, and then nothing of it")
    deploy(running, id="broken", model="broken", weights=str(bad))
    seen = await ask(running, "broken")
    assert (seen.status, b"model_not_loaded" in seen.received) == (503, True)
    assert str(bad).encode() not in seen.received, "where it lies is nobody's business"
    assert "cannot be loaded" in running.get("/v1/deployments/broken")["why"]
    running.operator.patch("/v1/deployments/broken", json={"weights": LAZY["weights"]}).raise_for_status()
    await asyncio.to_thread(wait_until, lambda: states(running, "broken") == ["ready"], "it is tried again", LOAD_S_MAX)
    assert (await ask(running, "broken")).status == 200
    assert running.command("deploy", "remove", "broken", "--yes").returncode == 0


async def test_the_first_request_loads_it_and_nobody_is_lost(tmp_path: Path, engine: FakeEngineProcess) -> None:
    with service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        deploy(running)
        assert (states(running), running.pids("engine")) == (["asleep"], [])
        assert running.command("deploy", "restart", "lazy").returncode == 0
        first = await asyncio.gather(*(ask(running) for _ in range(3)))
        assert [one.status for one in first] == [200] * 3
        assert (states(running), len(running.pids("engine"))) == (["ready"], 1)
        await broken_weights_end_the_wait(running, tmp_path)
        await asyncio.to_thread(wait_until, lambda: states(running) == ["asleep"], "it is unloaded", LOAD_S_MAX)
        await asyncio.to_thread(wait_until, lambda: running.pids("engine") == [], "its process is gone")
        again = asyncio.ensure_future(ask(running))
        await asyncio.to_thread(wait_until, lambda: "starting" in states(running), "it is loaded again", LOAD_S_MAX)
        running.kill("control")
        assert (await again).status == 200, "whoever dies meanwhile"
        names = {one.request_id for one in (*first, await again)}
        rows = await asyncio.to_thread(running.usage_rows, of=names)
        assert names <= {row["id"] for row in rows}
        assert running.check() == []


async def test_who_is_never_woken_is_seen(tmp_path: Path, engine: FakeEngineProcess) -> None:
    """The control: control does not hear that somebody waits."""
    env = {"PARVIS_QUEUE__WAIT_S_MAX": "4"}
    with (
        planted(SOURCES, NEVER_WOKEN) as source,
        service(tmp_path / "home", engines={"fake": served_by(engine)}, source=source, env=env) as running,
    ):
        deploy(running)
        seen = await ask(running)
        assert (seen.status, b"queue_timeout" in seen.received) == (503, True)
        assert (states(running), running.pids("engine")) == (["asleep"], [])
