"""Settings and certificates change while the service runs, and nobody who is being served notices."""

import asyncio
import json
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Json, Service, free_port, served_by, service, wait_until

PATH = "/v1/chat/completions"
LLAMA = {
    "kind": "llama.cpp",
    "weights": "builtin:smollm2-135m-instruct",
    "model": "smollm2",
    "parallel": 2,
    "context_tokens": 512,
    "requantise": False,
}
LONG = "@tokens=60 @gap_ms=50"
STORY = "Tell me a very long story."


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine(model=("fake-8b", "fake-70b")) as engine:
        yield engine


@pytest.fixture
def running(tmp_path: Path, engine: FakeEngineProcess) -> Iterator[Service]:
    with service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        yield running


async def ask(running: Service, content: str = "hello", *, model: str = "fake-8b", **more: Any) -> Seen:
    async with Caller(running.port, running.api_key) as caller:
        return await caller.ask(PATH, chat(content, model=model, **more))


def write(running: Service, engines: dict[str, Json], **sections: Json) -> None:
    """The settings that the next reload will find."""
    tables = {f"engines.{name}": engine for name, engine in engines.items()} | sections
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for name, table in tables.items()
    ]
    (running.home / "parvis.toml").write_text("\n".join(lines))


def reloaded(running: Service) -> Json:
    """What a reload has changed."""
    done = running.command("reload", "--json")
    assert done.returncode == 0, done.stderr
    answer: Json = json.loads(done.stdout)
    return answer


def refused(running: Service) -> str:
    """The sentence by which a reload is refused."""
    done = running.command("reload", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").strip()


def is_up(address: str) -> bool:
    """The customers' API answers there: it wants a key."""
    return httpx.get(f"http://{address}/v1/me", trust_env=False).status_code == 401


def logged(running: Service) -> list[Json]:
    return [json.loads(line) for line in running.complained().splitlines() if "supervisor" in line]


# ------------------------------------------------------------------------------------------------ certificates


def certify(folder: Path, name: str) -> None:
    """A certificate of this name and its key, in the place of any other."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "key.pem")]
    about = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    command = ["openssl", "req", "-x509", *key, *about, "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def shown(running: Service) -> str:
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", running.port), timeout=10)


async def test_a_certificate_is_renewed_under_a_stream(tmp_path: Path, engine: FakeEngineProcess) -> None:
    certify(tmp_path, "first")
    first = (tmp_path / "cert.pem").read_text().strip()
    files = {"CERT": "cert.pem", "KEY": "key.pem"}
    env = {f"PARVIS_INFERENCE__TLS_{name}": str(tmp_path / file) for name, file in files.items()}
    with service(tmp_path / "home", engines={"fake": served_by(engine)}, env=env) as running:
        headers = {"authorization": f"Bearer {running.api_key}"}
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        url = f"https://127.0.0.1:{running.port}{PATH}"
        async with (
            httpx.AsyncClient(verify=trusting, headers=headers, trust_env=False) as http,
            http.stream("POST", url, json=chat(LONG)) as stream,
        ):
            assert (await asyncio.to_thread(shown, running)).strip() == first
            certify(tmp_path, "second")
            assert await asyncio.to_thread(reloaded, running) == {"changed": [], "needs_take_over": []}
            assert (await asyncio.to_thread(shown, running)).strip() == (tmp_path / "cert.pem").read_text().strip()
            assert (await stream.aread()).endswith(b"data: [DONE]\n\n")
        (tmp_path / "key.pem").write_text("nonsense")
        assert str(tmp_path / "key.pem") in await asyncio.to_thread(refused, running)
        assert await asyncio.to_thread(shown, running) != first


# ---------------------------------------------------------------------------------------------- what is refused


async def test_settings_that_are_wrong_change_nothing(running: Service) -> None:
    wrong = running.home / "parvis.toml"
    wrong.write_text(wrong.read_text() + "\n[inference]\ndrains = 3\n")
    sentence = await asyncio.to_thread(refused, running)
    assert sentence == running.command("config", "check").stderr.removeprefix("Error: ").strip()
    assert "drains" in sentence
    assert [line["reason"] for line in logged(running)] == [sentence]
    assert (await ask(running, stream=False)).answered
    # Nor do they stop a gateway that has to begin again.
    killed = running.kill_gateway()
    wait_until(lambda: running.pids("gateway") not in ([], [killed]), "another gateway is there")
    assert (await ask(running, stream=False)).answered


async def test_a_signal_reloads_too(running: Service) -> None:
    (running.home / "parvis.toml").write_text("[nonsense]\n")
    running.signal(signal.SIGHUP)
    wait_until(lambda: bool(logged(running)), "the log says why")
    assert "nonsense" in logged(running)[0]["reason"]
    assert (await ask(running, stream=False)).answered


async def test_weights_that_cannot_be_loaded_change_nothing(running: Service, engine: FakeEngineProcess) -> None:
    broken = running.home / "broken.gguf"
    broken.write_bytes(b"no weights")
    write(running, {"fake": served_by(engine, "vllm", "fake-70b"), "own": {**LLAMA, "weights": str(broken)}})
    assert str(broken) in await asyncio.to_thread(refused, running)
    assert running.pids("engine") == []
    assert (await ask(running, stream=False)).answered
    assert (await ask(running, model="fake-70b", stream=False)).status == 404


async def test_what_cannot_change_live_is_named(running: Service, engine: FakeEngineProcess) -> None:
    console = f"127.0.0.1:{free_port()}"
    write(
        running,
        {"fake": served_by(engine)},
        inference={"workers": 2, "drain_s_max": 7, "idle_s_max": 60},
        store={"url": "sqlite:////nowhere/else.sqlite"},
        money={"lease_euro": 3},
    )
    assert await asyncio.to_thread(reloaded, running) == {
        "changed": ["inference.drain_s_max", "inference.idle_s_max"],
        "needs_take_over": ["inference.workers", "money.lease_euro", "store.url"],
    }
    assert logged(running)[-1]["reason"] == "inference.workers, money.lease_euro, store.url"
    assert len(running.pids("gateway")) == 1
    assert (await ask(running, stream=False)).answered
    write(running, {"fake": served_by(engine)}, inference={"workers": 2})
    env = {"PARVIS_CONSOLE__LISTEN": console}
    await asyncio.to_thread(lambda: running.take_over(env=env))
    assert len(running.pids("gateway")) == 2
    assert is_up(console)
    assert all([(await ask(running, stream=False)).answered for _ in range(20)])
    assert await asyncio.to_thread(running.handed_over) == [0]
    assert all([(await ask(running, stream=False)).answered for _ in range(20)])
    assert running.check() == []


# ------------------------------------------------------------------------------------------------------ engines


async def test_engines_by_address_come_and_go(running: Service, engine: FakeEngineProcess) -> None:
    stream = asyncio.ensure_future(ask(running, LONG))
    await asyncio.sleep(0.3)
    write(running, {"big": served_by(engine, "vllm", "fake-70b")})
    changed = {"changed": ["engines.big", "engines.fake"], "needs_take_over": []}
    assert await asyncio.to_thread(reloaded, running) == changed
    assert (await ask(running, model="fake-70b", stream=False)).answered
    assert (await ask(running, stream=False)).status == 503
    assert (await stream).answered
    assert running.check() == []


async def test_weights_are_added_changed_and_removed_under_streams(running: Service, engine: FakeEngineProcess) -> None:
    given = served_by(engine)
    write(running, {"fake": given, "own": LLAMA})
    assert (await asyncio.to_thread(reloaded, running))["changed"] == ["engines.own"]
    (first,) = running.pids("engine")
    old = asyncio.ensure_future(ask(running, STORY, model="smollm2", max_tokens=300))
    await asyncio.sleep(0.5)

    write(running, {"fake": given, "own": {**LLAMA, "context_tokens": 1024}})
    await asyncio.to_thread(reloaded, running)
    assert old.done() or first in running.pids("engine")
    new = await ask(running, STORY, model="smollm2", max_tokens=100)
    assert new.answered
    assert (await old).answered
    wait_until(lambda: first not in running.pids("engine"), "the old engine has ended", 60)

    last = asyncio.ensure_future(ask(running, STORY, model="smollm2", max_tokens=300))
    await asyncio.sleep(0.5)
    write(running, {"fake": given})
    await asyncio.to_thread(reloaded, running)
    assert (await ask(running, model="smollm2", stream=False)).status == 503
    assert (await last).answered
    wait_until(lambda: running.pids("engine") == [], "the removed engine has ended", 60)
    rows = running.usage_rows(of=[old.result().request_id, new.request_id, last.result().request_id])
    assert {row["outcome"] for row in rows} == {"completed"}
    assert running.check() == []
