"""One release takes over from another. Whatever goes wrong on the way, who is being served does not notice."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import NotStartedError, Service, planted, served_by, service, wait_until

pytestmark = pytest.mark.slow

PATH = "/v1/chat/completions"
SOURCES = Path(__file__).parents[2] / "src"
LLAMA = {"weights": "builtin:smollm2-135m-instruct", "model": "smollm2", "parallel": 2, "context_tokens": 512}
KILLED = -signal.SIGKILL

SERVICE = "parvis/app/service.py"
STEPS = (
    "        await make_weights(self.settings, self._say)\n        await self._start_engines()\n",
    "        await open_house(self.settings, self._say)  # a newer",
    "        await self.control.fill(acts=False)\n",
    "                await old.rest()\n",
    "                await self.control.act()\n",
    "                await self.gateways.fill()  # they accept",
    "        await old.leave()\n",
)
"""The lines of the hand-over, in their order."""
KILL_OLD = "__import__('os').kill(old.pid, {number}); await asyncio.sleep(1)"
KILL_SELF = "__import__('os').kill(__import__('os').getpid(), {number}); await asyncio.sleep(30)"


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, engine: FakeEngineProcess) -> Iterator[Service]:
    """A service from which nobody manages to take over."""
    with service(tmp_path_factory.mktemp("house") / "home", engines={"fake": served_by(engine)}) as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, engine: FakeEngineProcess) -> Iterator[Service]:
    with service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        yield running


async def ask(running: Service, content: str = "hello", **more: Any) -> Seen:
    async with Caller(running.port, running.api_key) as caller:
        return await caller.ask(PATH, chat(content, **more))


@contextmanager
def before(step: str, work: str) -> Iterator[Path]:
    """Sources in which the new release does this before a step."""
    indent = step[: len(step) - len(step.lstrip())]
    with planted(SOURCES, {SERVICE: (step, f"{indent}{work}\n{step}")}) as sources:
        yield sources


async def fails(running: Service, source: Path, **env: str) -> NotStartedError:
    """Try to take over with these sources, and see that it does not work."""
    with pytest.raises(NotStartedError) as failure:
        await asyncio.to_thread(lambda: running.take_over(source=source, env=env))
    return failure.value


async def check_that_nothing_happened(running: Service, stream: "asyncio.Task[Seen]") -> None:
    """The old service serves as before: who was being served, who comes, and who administers."""
    began_s = time.monotonic()
    while not (await ask(running, stream=False)).answered:
        assert time.monotonic() < began_s + 10
    wait_until(lambda: is_ready(running), "the operator's API answers, and a gateway is connected")
    assert (await stream).answered
    wait_until(lambda: len(running.pids("gateway")) == len(running.pids("control")) == 1, "nobody else is left")
    assert running.usage_rows(of=[stream.result().request_id])[0]["outcome"] == "completed"
    assert running.check() == []


def is_ready(running: Service) -> bool:
    return running.operator.get("/readyz").status_code == 200


@pytest.mark.parametrize("step", range(len(STEPS)))
async def test_one_that_is_killed_at_any_step_changes_nothing(shared: Service, step: int) -> None:
    stream = asyncio.ensure_future(ask(shared, "@tokens=150 @gap_ms=50"))
    await asyncio.sleep(0.2)
    with before(STEPS[step], KILL_SELF.format(number=9)) as sources:
        failure = await fails(shared, sources)
    assert failure.exit_code == KILLED
    await check_that_nothing_happened(shared, stream)


FAULTS = {
    "control": ("parvis/app/control.py", "        self._slots.begin()\n        await self._link.start"),
    "gateway": ("parvis/app/gateway.py", "        await self._known.wait()\n"),
}


@pytest.mark.parametrize("part", FAULTS)
async def test_one_whose_parts_do_not_start_changes_nothing(shared: Service, part: str) -> None:
    stream = asyncio.ensure_future(ask(shared, "@tokens=150 @gap_ms=50"))
    await asyncio.sleep(0.2)
    file, line = FAULTS[part]
    with planted(SOURCES, {file: (line, "        sys.exit(3)\n" + line)}) as sources:
        failure = await fails(shared, sources)
    assert failure.exit_code in (1, 3)  # it ended, or it did not answer
    assert "A part of the service does not" in failure.said or "did not start" in failure.said
    await check_that_nothing_happened(shared, stream)


async def test_one_with_wrong_settings_changes_nothing(shared: Service) -> None:
    stream = asyncio.ensure_future(ask(shared, "@tokens=60 @gap_ms=50"))
    await asyncio.sleep(0.2)
    failure = await fails(
        shared, SOURCES, PARVIS_INFERENCE__TLS_CERT="/nowhere.pem", PARVIS_INFERENCE__TLS_KEY="/k.pem"
    )
    assert failure.said.startswith("Error: The TLS file /nowhere.pem")
    assert failure.said.count("\n") == 1
    await check_that_nothing_happened(shared, stream)


async def test_one_that_is_told_to_stop_changes_nothing(shared: Service) -> None:
    stream = asyncio.ensure_future(ask(shared, "@tokens=200 @gap_ms=50"))
    await asyncio.sleep(0.2)
    with before(STEPS[-1], KILL_SELF.format(number=15)) as sources:
        failure = await fails(shared, sources)
    assert failure.exit_code == 0
    await check_that_nothing_happened(shared, stream)


def test_there_must_be_a_service(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with service(home, engines={}) as running:
        running.stop()
        with pytest.raises(NotStartedError) as failure:
            running.take_over()
    said = f"Error: No service runs with the data folder {home}. Start it with `parvis up`.\n"
    assert (failure.value.exit_code, failure.value.said) == (1, said)


@pytest.mark.parametrize("step", [3, 4, 6])
async def test_an_old_one_that_is_killed_is_no_hindrance(running: Service, step: int) -> None:
    with before(STEPS[step], KILL_OLD.format(number=9)) as sources:
        await asyncio.to_thread(lambda: running.take_over(source=sources))
    assert (await ask(running)).answered
    assert is_ready(running)
    assert running.handed_over() == [KILLED]
    assert running.check() == []


@pytest.mark.parametrize("step", [3, 4, 6])
async def test_an_old_one_that_is_told_to_stop_stops(running: Service, step: int) -> None:
    stream = asyncio.ensure_future(ask(running, "@tokens=100 @gap_ms=50"))
    await asyncio.sleep(0.2)
    old = running.pid
    with before(STEPS[step], KILL_OLD.format(number=15)) as sources:
        failure = await fails(running, sources)
    assert (failure.exit_code, failure.said) == (1, "Error: The running service is being stopped.\n")
    assert (running.pid, await asyncio.to_thread(running.wait)) == (old, 0)
    assert (await stream).answered


async def test_weights_are_handed_over(tmp_path: Path) -> None:
    with service(tmp_path / "home", engines={"own": LLAMA}) as running:
        (old,) = running.pids("engine")
        story = chat("Tell me a very long story.", model="smollm2", max_tokens=400)
        async with Caller(running.port, running.api_key) as caller:
            stream = asyncio.ensure_future(caller.ask(PATH, story))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(running.take_over)
            (new,) = running.pids("engine")
            assert old != new
            during = await caller.ask(PATH, {**story, "max_tokens": 20})
            assert (during.answered, (await stream).answered) == (True, True)
        assert await asyncio.to_thread(running.handed_over) == [0]
        with pytest.raises(ProcessLookupError):
            os.kill(old, 0)
        rows = running.usage_rows(of=[during.request_id, stream.result().request_id])
        assert [row["outcome"] for row in rows] == ["completed", "completed"]
        assert running.check() == []


async def test_what_is_done_by_others_goes_on(running: Service) -> None:
    """A second take-over, a reload and a restart are orders to the one that has taken over."""
    await asyncio.to_thread(running.take_over)
    await asyncio.to_thread(running.take_over)
    assert running.command("reload").returncode == 0
    assert running.command("gateway", "restart").returncode == 0
    assert (running.home / "run" / "supervisor.pid").read_text() == f"{running.pid}\n"
    assert (await ask(running)).answered
    assert await asyncio.to_thread(running.handed_over) == [0, 0]
