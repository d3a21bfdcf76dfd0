"""Deployments on a running service: whoever changes them and whatever dies, gateways and engines follow."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parvis.app import engine_watch
from parvis.app.crew import Crew
from parvis.app.engine_watch import EngineWatch
from parvis.app.keep_engines import EngineKeeper
from parvis.domain.fleet.replica import ReplicaState
from parvis.settings import EngineSettings
from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Json, Service, served_by, service, wait_until

PATH = "/v1/chat/completions"
LLAMA: Json = {"weights": "builtin:smollm2-135m-instruct", "parallel": 2, "context_tokens": 512}
LONG = "@tokens=40 @gap_ms=50"


@pytest.fixture(scope="module")
def engines() -> Iterator[list[FakeEngineProcess]]:
    models = ("fake-8b", "drained", "marked", "keyed", "poisoned")
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
    twice = {"two": EngineSettings(**LLAMA, replicas=2, threads=1)}
    try:
        assert keeper.adopt(twice, await keeper.prepare(twice)) == []
        assert sorted(one.replica_id for one in keeper.replicas) == ["two-0", "two-1"]
        assert len({one.address for one in keeper.replicas}) == 2
        assert await keeper.prepare(twice) == {}
        assert len(keeper.adopt({}, {})) == 2
    finally:
        await keeper.end()


async def test_an_engine_process_that_freezes_is_killed_and_another_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_watch, "LOOK_S_MAX", 1.0)
    monkeypatch.setattr(engine_watch, "PAUSE_S", 0.2)
    keeper = EngineKeeper(Crew(tmp_path), tmp_path, lambda _: None)
    frozen = {"one": EngineSettings(**LLAMA, replicas=1, threads=1)}
    watching = asyncio.ensure_future(EngineWatch(lambda: keeper.serving, lambda: 2.0).run())
    try:
        keeper.adopt(frozen, await keeper.prepare(frozen))
        [(post, before)] = keeper.serving
        assert post.child is not None
        os.kill(post.child.pid, signal.SIGSTOP)
        await asyncio.to_thread(wait_until, lambda: not keeper.serving, "it is killed")
        [told] = keeper.replicas
        assert (told.state, told.address, told.replica_id) == (ReplicaState.STARTING, "", before.replica_id)
        assert "did not answer" in told.why
        await asyncio.to_thread(wait_until, lambda: bool(keeper.serving), "another serves", 60.0)
        assert [(one.state, one.why) for one in keeper.replicas] == [(ReplicaState.READY, "")]
        assert [one.levelname for one in caplog.records if "has frozen" in one.message] == ["ERROR"]
    finally:
        watching.cancel()
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


async def test_an_engine_that_refuses_our_key_is_left_alone_and_says_so(
    running: Service, engines: list[FakeEngineProcess]
) -> None:
    with fake_engine(model="keyed", api_key="another") as stranger:
        deploy(running, "keyed", kind="vllm", addresses=at([engines[0], stranger]))
        while (await ask(running, model="keyed")).status == 404:
            pass  # the gateway will know in a moment
        seen = [await ask(running, model="keyed", stream=False) for _ in range(12)]
        assert [one.status for one in seen if not one.answered] == []

        def told() -> list[tuple[str, str]]:
            return [
                (one["seen"], one["why"]) for one in replicas(running, "keyed") if one["address"] == stranger.address
            ]

        def closed() -> bool:
            [(state, why)] = told()
            return state in ("closed", "open") and why.startswith("It refuses our key (401).")

        await asyncio.to_thread(wait_until, closed, "it is said why")
        said = (running.home / "up.err").read_text()
        assert "It refuses our key (401)." in said
        assert "another" not in [json.loads(line).get("reason") for line in said.splitlines() if line.startswith("{")]
        running.operator.patch("/v1/deployments/keyed", json={"addresses": at([stranger])}).raise_for_status()
        await asyncio.to_thread(wait_until, lambda: len(replicas(running, "keyed")) == 1, "it is alone")
        alone = await ask(running, model="keyed", stream=False)
        assert alone.status == 503


async def test_what_makes_engines_hang_up_takes_them_from_nobody(
    running: Service, engines: list[FakeEngineProcess]
) -> None:
    with fake_engine(model="poisoned") as third:
        pool = [*engines, third]
        deploy(running, "poisoned", kind="vllm", addresses=at(pool))
        while (await ask(running, model="poisoned")).status == 404:
            pass  # the gateway will know in a moment
        poison, good = [], []
        for _ in range(12):
            poison.append(await ask(running, "@drop Die.", model="poisoned"))
            good.append(await ask(running, model="poisoned", stream=False))
        assert [one.status for one in good if not one.answered] == []
        assert {one.status for one in poison} == {503}
        asked = Counter(name for engine in pool for name in {one.x_request_id for one in engine.log()})
        assert max(asked[one.request_id] for one in poison) == 2


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
