"""Deployments on a running service: whoever changes them and whatever dies, gateways and engines follow."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.app.crew import Crew
from parvis.app.keep_engines import EngineKeeper
from parvis.settings import EngineSettings
from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Json, Service, served_by, service, wait_until

PATH = "/v1/chat/completions"
LLAMA: Json = {"weights": "builtin:smollm2-135m-instruct", "parallel": 2, "context_tokens": 512}
LONG = "@tokens=40 @gap_ms=50"


@pytest.fixture(scope="module")
def engines() -> Iterator[list[FakeEngineProcess]]:
    models = ("fake-8b", "drained", "marked")
    with fake_engine(model=models) as first, fake_engine(model=models) as second:
        yield [first, second]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, engines: list[FakeEngineProcess]) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("deployments") / "home"
    with service(home, engines={"fake": served_by(engines[0])}) as running:
        yield running


async def ask(running: Service, content: str = "hello", **more: Any) -> Seen:
    async with Caller(running.port, running.api_key) as caller:
        return await caller.ask(PATH, chat(content, **more))


def deploy(running: Service, name: str, **facts: Any) -> Json:
    answer = running.operator.post("/v1/deployments", json={"id": name, "model": name, **facts})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def told(running: Service, path: str) -> Json:
    answer = running.operator.post(f"/v1/{path}", json={})
    assert answer.status_code == 200, answer.text
    said: Json = answer.json()
    return said


def shown(running: Service, name: str) -> Json:
    return running.get(f"/v1/deployments/{name}")


def replicas(running: Service, name: str) -> list[Json]:
    found: list[Json] = running.get("/v1/replicas", deployment=name)["data"]
    return found


def at(engines: list[FakeEngineProcess]) -> list[Json]:
    return [{"url": engine.address} for engine in engines]


async def test_an_engine_of_the_settings_runs_as_often_as_it_says(tmp_path: Path) -> None:
    keeper = EngineKeeper(Crew(tmp_path), tmp_path, lambda _: None)
    twice = {"two": EngineSettings(**LLAMA, replicas=2)}
    try:
        assert keeper.adopt(twice, await keeper.prepare(twice)) == []
        assert sorted(one.replica_id for one in keeper.replicas) == ["two-0", "two-1"]
        assert len({one.address for one in keeper.replicas}) == 2
        assert await keeper.prepare(twice) == {}
        assert len(keeper.adopt({}, {})) == 2
    finally:
        await keeper.end()


async def test_a_drained_deployment_finishes_and_is_stopped(running: Service, engines: list[FakeEngineProcess]) -> None:
    deploy(running, "drained", kind="vllm", addresses=at(engines[:1]))
    slow = asyncio.ensure_future(ask(running, LONG, model="drained"))
    await asyncio.sleep(0.3)
    assert (await asyncio.to_thread(told, running, "deployments/drained/drain"))["state"] == "draining"
    while (await ask(running, model="drained", stream=False)).answered:
        pass  # the gateway will know in a moment
    assert (await slow).answered
    await asyncio.to_thread(wait_until, lambda: shown(running, "drained")["state"] == "stopped", "it is stopped")
    await asyncio.to_thread(wait_until, lambda: replicas(running, "drained") == [], "nobody is told of it any more")
    await asyncio.to_thread(told, running, "deployments/drained/uncordon")
    while not (await ask(running, model="drained", stream=False)).answered:
        pass


async def test_a_mark_outlives_the_death_of_control(running: Service, engines: list[FakeEngineProcess]) -> None:
    deploy(running, "marked", kind="vllm", addresses=at(engines))
    kept, marked = (one["id"] for one in replicas(running, "marked"))
    assert running.command("replica", "cordon", marked).stdout == f"{marked} is marked cordoned.\n"
    running.kill("control")

    def is_back() -> bool:
        done = running.command("replica", "show", marked, "-o", "json")
        return done.returncode == 0 and (json.loads(done.stdout)["state"]) == "cordoned"

    await asyncio.to_thread(wait_until, is_back, "control is there again, and knows the mark")
    seen = [await ask(running, model="marked", stream=False) for _ in range(6)]
    rows = await asyncio.to_thread(running.usage_rows, of=[one.request_id for one in seen])
    ids = {one.request_id for one in seen}
    assert {row["replica_id"] for row in rows if row["id"] in ids} == {kept}


async def test_weights_that_do_not_load_are_a_state_and_no_crash(running: Service, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF, and then nothing of it")
    deploy(running, "near", source="here", **LLAMA | {"weights": str(bad)})
    await asyncio.to_thread(wait_until, lambda: "cannot be loaded" in shown(running, "near")["why"], "it is said why")
    [one] = replicas(running, "near")
    assert (one["state"], one["address"]) == ("starting", None)
    while (seen := await ask(running, model="near", stream=False)).status == 404:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    assert seen.status == 503
    assert (await ask(running, stream=False)).answered
    running.operator.patch("/v1/deployments/near", json=LLAMA).raise_for_status()
    await asyncio.to_thread(wait_until, lambda: shown(running, "near")["ready"] == 1, "it serves", 60.0)
    await asyncio.to_thread(running.take_over)
    assert (await ask(running, model="near", stream=False, max_tokens=2)).answered
    pids = running.pids("engine")
    killed = running.kill("engine")
    assert pids == [killed]
    await asyncio.to_thread(wait_until, lambda: shown(running, "near")["ready"] == 1, "another serves", 60.0)
    assert running.command("deploy", "remove", "near", "--yes").stdout == "Removed near.\n"
    await asyncio.to_thread(wait_until, lambda: running.pids("engine") == [], "no engine is left")
