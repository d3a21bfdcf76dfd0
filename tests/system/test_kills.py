"""What a user may do to the service without harm: kill any of its processes, stop it, start it twice."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parvis.testing.caller import Caller, Json, Seen, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import NotStartedError, Service, free_port, served_by, service, wait_until

PATH = "/v1/chat/completions"
LLAMA = {"weights": "builtin:smollm2-135m-instruct", "model": "smollm2", "parallel": 2, "context_tokens": 512}
BACK_S_MAX = 30.0
GONE_S_MAX = 5.0


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Json]]:
    with fake_engine() as engine:
        yield {"fake": served_by(engine)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def ask(running: Service, content: str = "hello", *, model: str = "fake-8b", stream: bool = False) -> Seen:
    async with Caller(running.port, running.api_key) as caller:
        return await caller.ask(PATH, chat(content, stream=stream, model=model))


async def served_again(running: Service, model: str = "fake-8b") -> float:
    """Seconds until a request is answered."""
    started_s = time.monotonic()
    while not (await ask(running, model=model)).answered:
        assert time.monotonic() < started_s + BACK_S_MAX
        await asyncio.sleep(0.05)
    return time.monotonic() - started_s


def outcomes(running: Service, *seen: Seen) -> list[str]:
    rows = {row["id"]: row for row in running.usage_rows(of=[one.request_id for one in seen])}
    return [rows[one.request_id]["outcome"] for one in seen]


async def streams(running: Service, count: int, orders: str) -> "list[asyncio.Task[Seen]]":
    """So many streams that have begun."""
    tasks = [asyncio.ensure_future(ask(running, f"{number} {orders}", stream=True)) for number in range(count)]
    await asyncio.sleep(0.5)
    return tasks


async def test_a_killed_engine_comes_back(home: Path) -> None:
    with service(home, engines={"own": LLAMA}) as running:
        assert (await ask(running, model="smollm2")).answered
        cut = asyncio.ensure_future(ask(running, "Tell me a very long story.", model="smollm2", stream=True))
        await asyncio.sleep(0.5)
        running.kill("engine")
        assert not (await cut).answered
        print(f"\nengine killed: answered again after {await served_again(running, 'smollm2'):.1f} s")
        assert outcomes(running, cut.result()) == ["engine_broke"]
        assert running.check() == []


async def test_a_killed_gateway_comes_back(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        before = await ask(running)
        assert outcomes(running, before) == ["completed"]
        cut = await streams(running, 3, "@tokens=400 @gap_ms=50")
        running.kill_gateway()
        print(f"\ngateway killed: answered again after {await served_again(running):.1f} s")
        assert outcomes(running, before, *await asyncio.gather(*cut)) == ["completed", *["gateway_lost"] * 3]
        assert running.check() == []


async def test_a_killed_control_stops_no_request(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        assert (await ask(running)).answered
        killed = running.kill("control")
        without = [await ask(running) for _ in range(5)]
        assert all(one.answered for one in without)
        took_s = wait_until(lambda: running.pids("control") not in ([], [killed]) and is_up(running), "control is back")
        print(f"\ncontrol killed: back after {took_s:.1f} s")
        assert outcomes(running, *without) == ["completed"] * 5
        assert running.check() == []


def is_up(running: Service) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        host, _, port = running.environ["PARVIS_OPERATOR__LISTEN"].rpartition(":")
        probe.connect((host, int(port)))
        probe.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        try:
            return bool(probe.recv(1))
        except TimeoutError:
            return False


async def test_a_killed_supervisor_leaves_nobody_and_nothing_is_lost(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        before = await ask(running)
        cut = await streams(running, 3, "@tokens=400 @gap_ms=50")  # and half a second for `before` to be closed
        running.kill_supervisor()
        took_s = wait_until(lambda: not running.left_over(), "nobody is left", GONE_S_MAX)
        assert not any(one.answered for one in await asyncio.gather(*cut))
    print(f"\nsupervisor killed: nobody left after {took_s:.2f} s")
    (home / "journal" / ".gw_unfinished").mkdir()
    with service(home, api_key=running.api_key) as again:
        assert not (home / "journal" / ".gw_unfinished").exists()
        after = await ask(again)
        assert outcomes(again, before, *(task.result() for task in cut), after) == [
            "completed",
            *["gateway_lost"] * 3,
            "completed",
        ]
        assert again.check() == []


async def test_ctrl_c_lets_streams_finish(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        begun = await streams(running, 10, "@tokens=40 @gap_ms=50")
        whole = asyncio.ensure_future(ask(running, "@tokens=30 @gap_ms=50"))
        await asyncio.sleep(0.1)
        running.signal(signal.SIGINT)
        assert await asyncio.to_thread(running.wait) == 0
        assert [(task.result().answered, task.result().tokens) for task in begun] == [(True, 40)] * 10
        assert (await whole).answered
        assert running.left_over() == []
    with service(home, api_key=running.api_key) as again:
        assert outcomes(again, *(task.result() for task in begun), whole.result()) == ["completed"] * 11
        assert again.check() == []


async def test_what_does_not_end_in_time_is_told_so(home: Path, engines: dict[str, Json]) -> None:
    env = {"PARVIS_INFERENCE__DRAIN_S_MAX": "2"}
    with service(home, engines=engines, env=env) as running:
        begun = await streams(running, 3, "@tokens=400 @gap_ms=50")
        running.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        probed = await asyncio.to_thread(running.operator.get, "/readyz")
        assert (probed.status_code, probed.json()["error"]["message"]) == (503, "The service is stopping.")
        assert (await asyncio.to_thread(running.operator.get, "/livez")).status_code == 200
        assert await asyncio.to_thread(running.wait) == 0
        ends = [await task for task in begun]
    assert not any(one.answered for one in ends)
    assert all(one.whole and b'"code":"server_draining"' in one.received.splitlines()[-2] for one in ends)
    with service(home, api_key=running.api_key) as again:
        rows = {row["id"]: row for row in again.usage_rows(of=[one.request_id for one in ends])}
        assert [rows[one.request_id]["tokens"]["output"] for one in ends] == [one.tokens for one in ends]
        assert again.check() == []


async def test_a_stop_does_not_wait_for_connections_that_are_silent(home: Path, engines: dict[str, Json]) -> None:
    """Nor when a gateway was replaced just before, and is patient with them."""
    with service(home, engines=engines, env={"PARVIS_INFERENCE__DRAIN_S_MAX": "600"}) as running:
        async with Caller(running.port, running.api_key) as caller:
            assert (await caller.ask(PATH, chat("hello"))).answered
            done = await asyncio.to_thread(running.command, "gateway", "restart")
            assert done.returncode == 0, done.stderr
            assert len(running.pids("gateway")) == 2
            running.signal(signal.SIGTERM)
            assert await asyncio.to_thread(running.wait, 30) == 0


async def test_a_second_ctrl_c_ends_at_once(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        begun = await streams(running, 3, "@tokens=1000 @gap_ms=50")
        running.signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert running.left_over()
        running.signal(signal.SIGINT)
        await asyncio.to_thread(running.wait, 3.0)
        assert running.left_over() == []
        assert not any(one.answered for one in await asyncio.gather(*begun))


def is_one_sentence(said: str, *words: str) -> bool:
    """One line that says what is wrong and what to do about it."""
    return said.startswith("Error: ") and said.count("\n") == 1 and all(word in said for word in words)


def test_a_child_of_process_1_lives() -> None:
    """In a container the supervisor is process 1; a child must not take that for the death of its parent."""
    child = "from parvis.app.child import die_with_parent; die_with_parent(); print('alive')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    spaces = ["unshare", "--user", "--map-root-user", "--fork", "--pid", "--kill-child"]
    if subprocess.run([*spaces, "true"], capture_output=True, check=False).returncode:
        pytest.fail("this test needs `unshare` to make a space of processes, and the machine does not allow it")
    ended = subprocess.run([*spaces, sys.executable, "-c", parent], capture_output=True, text=True, check=False)
    assert ended.stdout == "alive\n", ended.stderr


def test_a_taken_port_is_one_sentence(home: Path, engines: dict[str, Json]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("INFERENCE", "CONSOLE", "OPERATOR"):
            with pytest.raises(NotStartedError) as refusal, service(home, env={f"PARVIS_{name}__LISTEN": address}):
                pass
            assert refusal.value.exit_code == 1
            assert is_one_sentence(refusal.value.said, f"{address} is taken", f"PARVIS_{name}__LISTEN")
            assert refusal.value.left_over == []


MISTAKES = {
    "weights that are not there": ({"mine": {"weights": "/nowhere/x.gguf", "model": "m"}}, {}, "/nowhere/x.gguf"),
    "a certificate that is not there": (
        {},
        {"PARVIS_INFERENCE__TLS_CERT": "/nowhere/c.pem", "PARVIS_INFERENCE__TLS_KEY": "/nowhere/k.pem"},
        "/nowhere/c.pem",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_before_anything_is_made(home: Path, mistake: str) -> None:
    engines, env, named = MISTAKES[mistake]
    with pytest.raises(NotStartedError) as refusal, service(home, engines=engines or None, env=env):
        pass
    assert refusal.value.exit_code == 1
    assert is_one_sentence(refusal.value.said, named)
    assert refusal.value.left_over == []
    assert not (home / "parvis.sqlite").exists()


async def test_a_second_start_on_the_same_folder_is_one_sentence(home: Path, engines: dict[str, Json]) -> None:
    with service(home, engines=engines) as running:
        with pytest.raises(NotStartedError) as refusal, service(home):
            pass
        assert refusal.value.exit_code == 1
        assert is_one_sentence(refusal.value.said, "already runs", str(home), "PARVIS_HOME")
        assert (await ask(running)).answered


async def test_an_engine_that_is_away_is_used_again_when_it_returns(home: Path) -> None:
    with fake_engine() as engine, service(home, engines={"fake": served_by(engine)}) as running:
        assert (await ask(running)).answered
        engine.kill()
        refused = await ask(running)
        assert (refused.status, refused.json()["error"]["type"]) == (503, "service_unavailable_error")
        engine.restart()
        assert (await ask(running)).answered
        assert running.check() == []
