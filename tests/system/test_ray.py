"""Two replicas on a real Ray cluster serve through the gateway. One is killed, in two ways, and Ray replaces it."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Self

import msgspec
import pytest

from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.ray_cluster import RayCluster, ray_cluster
from parvis.testing.service import Service, service

PATH = "/v1/chat/completions"
MODEL = "smollm2-135m-instruct"
ON_RAY = {
    "id": "on-ray",
    "source": "ray",
    "weights": f"builtin:{MODEL}",
    "model": MODEL,
    "replicas": 2,
    "parallel": 4,
    "context_tokens": 1024,
}
CALLERS = 4
POLL_S = 0.05
RESTORED_S_MAX = 60.0
pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(300)]  # Ray alone is ten processes


class Traffic:
    """Callers who ask without a pause, streams and whole answers in turn."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._stopped = False
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Self:
        self._callers = [asyncio.ensure_future(self._ask_for_ever(number)) for number in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._callers)

    async def _ask_for_ever(self, number: int) -> None:
        async with Caller(self._running.port, self._running.api_key) as caller:
            for turn in range(10**9):
                stream = bool((turn + number) % 2)
                told = chat(f"{number} {turn} Hello", stream=stream, model=MODEL, max_tokens=16 if stream else 4)
                self.seen.append(await caller.ask(PATH, told))
                if self._stopped:
                    return


def ready(running: Service) -> set[str]:
    """The replicas that gateways may ask."""
    return {one["id"] for one in running.get("/v1/replicas", deployment="on-ray")["data"] if one["state"] == "ready"}


async def restored(running: Service, without: str = "") -> set[str]:
    """Both replicas, once there are two again."""
    until_s = time.monotonic() + RESTORED_S_MAX
    while len(now := ready(running)) < 2 or without in now:
        assert time.monotonic() < until_s, running.get("/v1/replicas")
        await asyncio.sleep(POLL_S)
    return now


async def lost(running: Service, before: set[str]) -> str:
    """The replica that is gone."""
    until_s = time.monotonic() + RESTORED_S_MAX
    while not (gone := before - ready(running)):
        assert time.monotonic() < until_s
        await asyncio.sleep(POLL_S)
    return gone.pop()


async def killed(running: Service, pid: int, before: set[str]) -> tuple[set[str], str]:
    """SIGKILL to one process; the replicas when there are two again, and what it cost."""
    killed_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    gone = await lost(running, before)
    lost_s = time.monotonic() - killed_s
    after = await restored(running, gone)
    return after, f"gone after {lost_s:.1f} s, two again after {time.monotonic() - killed_s:.1f} s"


def faults_of(seen: list[Seen]) -> list[str]:
    """What no client may meet: anything but a whole answer, or the honest end of one that had begun."""
    return [f"{one.status} {one.received[-300:]!r}" for one in seen if not (one.answered or honest(one))]


def honest(cut: Seen) -> bool:
    """Whether it says that it broke midway. Of a whole answer nothing had left, yet the engine had begun it."""
    error = cut.received.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
    return not cut.done and bool(error) and msgspec.json.decode(error).get("error", {}).get("code") == "engine_error"


async def test_a_killed_replica_on_ray_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "parvis.toml").write_text("[engines]\n")
    started_s = time.monotonic()
    with ray_cluster(tmp_path) as cluster:
        told = [f"cluster {time.monotonic() - started_s:.1f} s"]
        with service(home, env=cluster.environ) as running:
            made_s = time.monotonic()
            running.operator.post("/v1/deployments", json=ON_RAY).raise_for_status()
            first = await restored(running)
            told.append(f"two replicas {time.monotonic() - made_s:.1f} s")
            seen, last = await under_load(running, cluster, first, told)
            assert faults_of(seen) == []
            assert running.check() == []
        await adopted(home, cluster, running.api_key, last, told)
    print("\nRay: " + "; ".join(told))


async def under_load(
    running: Service, cluster: RayCluster, first: set[str], told: list[str]
) -> tuple[list[Seen], set[str]]:
    """Kill the engine server of one replica, then the actor of another."""
    async with Traffic(running) as traffic:
        second, said = await killed(running, min(cluster.engines()), first)
        told.append(f"engine killed: {said}")
        third, said = await killed(running, min(cluster.engines().values()), second)
        told.append(f"actor killed: {said}")
        await asked_again(running, third)
    broken = sum(not one.answered for one in traffic.seen)
    told.append(f"{len(traffic.seen)} requests, {broken} broke midway")
    return traffic.seen, third


async def asked_again(running: Service, replicas: set[str]) -> None:
    """Return when each of them has answered something."""
    until_s = time.monotonic() + RESTORED_S_MAX
    while True:
        answered = {one["id"] for one in running.get("/v1/replicas")["data"] if one["first_byte_ms"]}
        if replicas <= answered:
            return
        assert time.monotonic() < until_s, f"of {replicas} nobody but {answered} answers"
        await asyncio.sleep(POLL_S)


async def adopted(home: Path, cluster: RayCluster, api_key: str, before: set[str], told: list[str]) -> None:
    """Another run of the service finds the same replicas, asks them, and ends them with their deployment."""
    started_s = time.monotonic()
    with service(home, env=cluster.environ, api_key=api_key) as running:
        assert ready(running) == before
        told.append(f"found again {time.monotonic() - started_s:.1f} s after the start of a service")
        async with Caller(running.port, api_key) as caller:
            assert (await caller.ask(PATH, chat("Hello", model=MODEL, max_tokens=4))).answered
        removed_s = time.monotonic()
        running.operator.delete("/v1/deployments/on-ray").raise_for_status()
        while cluster.engines():
            assert time.monotonic() < removed_s + RESTORED_S_MAX
            await asyncio.sleep(POLL_S)
        told.append(f"ended {time.monotonic() - removed_s:.1f} s after it was removed")
