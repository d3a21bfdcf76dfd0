"""Control follows deployments in its store, whoever changes them, and settles what follows by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.app import deployed as module
from parvis.app.deployed import DRAIN_S_MIN, FORGET_S, KEYS_FOLDER, Deployed, given_deployments
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.deployment import Address, Deployment, DeploymentState, LoadPolicy, Source
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.settings import EngineSettings, Settings
from parvis.testing.empty_store import empty_store

FAR = Deployment(deployment_id="far", pool="chat", addresses=(Address("http://a:1"),), api_key_file="far.key")
NEAR = Deployment(deployment_id="near", pool="chat", source=Source.HERE, weights="builtin:x", slots=3)
HERE = Replica(
    "near-bcdfg", "chat", EngineKind.LLAMA_CPP, "http://h:1", ReplicaState.READY, slots=8, deployment_id="near"
)
LAZY = replace(NEAR, load=LoadPolicy.ON_DEMAND, idle_s=30)
HANG_S = 20.0


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def unix_ms(self) -> int:
        return 1

    def monotonic_s(self) -> float:
        return self.now_s


class House:
    """A store, and what follows it."""

    def __init__(self, folder: Path) -> None:
        self.store = SqlStore(empty_store(folder / "parvis.sqlite"))
        self.clock = Clock()
        self.runs: tuple[Replica, ...] = ()
        self.in_flight: dict[str, int] = {}
        self.announced = asyncio.Event()
        self.told: list[list[tuple[str, ReplicaState]]] = []
        keys = folder / KEYS_FOLDER
        keys.mkdir()
        self.key = keys / "far.key"
        self.key.write_text("secret\n")
        self.deployed = Deployed(
            folder, self.store, self.clock, lambda: self.runs, lambda one: self.in_flight.get(one, 0), self.announce
        )

    async def announce(self) -> None:
        self.told.append(self.seen())
        self.announced.set()

    def seen(self) -> list[tuple[str, ReplicaState]]:
        return [(one.replica_id.partition("-")[0], one.state) for one in self.deployed.replicas]


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.01)
    house = House(tmp_path)
    await house.store.open()
    yield house
    await house.deployed.end()
    await house.store.close()


async def until(house: House, what: str) -> None:
    """Until the only deployment is in this state in the store."""
    async with asyncio.timeout(HANG_S):
        while [one.state for one in (await house.store.fleet_wanted()).deployments] != [what]:
            await asyncio.to_thread(time.sleep, 0.01)


async def test_what_others_change_is_told_to_gateways(house: House) -> None:
    house.deployed.begin()
    await house.store.add_deployment(FAR)
    async with asyncio.timeout(HANG_S):
        await house.announced.wait()
    assert house.told[0] == [("far", ReplicaState.READY)]
    assert [one.api_key for one in house.deployed.replicas] == ["secret"]


async def test_a_key_that_cannot_be_read_is_said_and_hinders_nobody(house: House) -> None:
    await house.store.add_deployment(FAR)
    house.key.unlink()
    assert await house.deployed.look()
    [one] = house.deployed.replicas
    assert one.state is ReplicaState.STARTING
    assert "far.key" in one.why
    with pytest.raises(Misconfigured, match=r"far\.key"):
        await house.deployed.look_at(FAR)
    assert not await house.deployed.look()


async def test_the_supervisor_is_told_what_is_not_at_addresses(house: House) -> None:
    """By one that rests as well: what it never looked at, it reads."""
    for one in (FAR, NEAR, replace(NEAR, deployment_id="ray", source=Source.RAY)):
        await house.store.add_deployment(one)
    await house.store.mark_replica("near-bcdfg", ReplicaState.DRAINING)
    word = await house.deployed.word()
    assert [one["deployment_id"] for one in word["deployments"]] == ["near"]
    assert [one["deployment_id"] for one in word["on_ray"]] == ["ray"]
    assert word["drained"] == ["near-bcdfg"]


async def test_what_runs_is_seen_as_the_operator_wants_it(house: House) -> None:
    await house.store.add_deployment(NEAR)
    house.runs = (HERE,)
    await house.deployed.look()
    assert house.deployed.replicas == (replace(HERE, slots=3),)
    await house.store.mark_replica(HERE.replica_id, ReplicaState.CORDONED)
    await house.deployed.look()
    assert house.seen() == [("near", ReplicaState.CORDONED)]


async def test_a_drained_deployment_is_stopped_when_nothing_runs_on_it(house: House) -> None:
    await house.store.add_deployment(replace(FAR, state=DeploymentState.DRAINING))
    await house.deployed.look()
    [one] = house.deployed.replicas
    house.in_flight[one.replica_id] = 1
    house.deployed.begin()
    await asyncio.sleep(0.1)
    house.clock.now_s += DRAIN_S_MIN
    await asyncio.sleep(0.1)
    await until(house, "draining")
    house.in_flight.clear()
    await until(house, "stopped")


async def test_marks_of_what_is_gone_are_forgotten(house: House) -> None:
    await house.store.add_deployment(FAR)
    await house.deployed.look()
    [one] = house.deployed.replicas
    for replica_id in (one.replica_id, "gone-bcdfg"):
        await house.store.mark_replica(replica_id, ReplicaState.CORDONED)
    house.deployed.begin()
    async with asyncio.timeout(HANG_S):
        while len((await house.store.fleet_wanted()).marks) > 1:
            await asyncio.sleep(0.05)
            house.clock.now_s += FORGET_S
    assert (await house.store.fleet_wanted()).marks == {one.replica_id: ReplicaState.CORDONED}


async def wanted_here(house: House) -> list[int]:
    return [one["replicas"] for one in (await house.deployed.word())["deployments"]]


async def settled(house: House, replicas: int) -> None:
    """Until the supervisor would be told of so many."""
    async with asyncio.timeout(HANG_S):
        while await wanted_here(house) != [replicas]:
            await asyncio.to_thread(time.sleep, 0.02)


async def test_who_sleeps_is_wanted_when_requests_wait(house: House) -> None:
    await house.store.add_deployment(LAZY)
    await house.deployed.look()
    house.deployed.begin()
    [asleep] = house.deployed.told
    assert (asleep.replica_id, asleep.state, asleep.slots) == ("near-asleep", ReplicaState.ASLEEP, 3)
    assert house.deployed.replicas == (asleep,)
    assert await wanted_here(house) == [0]
    house.deployed.waited_for({"other"})
    assert await wanted_here(house) == [0]
    house.deployed.waited_for({"chat"})
    assert await wanted_here(house) == [1]
    loading = replace(HERE, state=ReplicaState.STARTING, address="")
    house.runs = (loading,)
    assert [one.state for one in house.deployed.replicas] == [ReplicaState.STARTING]
    assert [(one.state, one.failed) for one in house.deployed.told] == [(ReplicaState.ASLEEP, False)]
    house.runs = (replace(loading, failed=True),)
    assert [(one.state, one.failed) for one in house.deployed.told] == [(ReplicaState.ASLEEP, True)]
    house.runs = (HERE,)
    assert [one.state for one in house.deployed.told] == [ReplicaState.READY]


async def test_who_is_used_stays_and_who_is_idle_is_unloaded(house: House) -> None:
    await house.store.add_deployment(LAZY)
    house.runs = (HERE,)
    await house.deployed.look()
    house.deployed.begin()
    house.in_flight[HERE.replica_id] = 1
    for _ in range(3):
        house.clock.now_s += 20
        await asyncio.sleep(0.1)
        assert await wanted_here(house) == [1], "a request runs"
    house.in_flight.clear()
    for _ in range(3):
        house.clock.now_s += 20
        house.deployed.answered({HERE.replica_id})
        await asyncio.sleep(0.1)
        assert await wanted_here(house) == [1], "requests have ended meanwhile"
    house.clock.now_s += 31
    await settled(house, 0)


async def test_a_control_that_begins_leaves_alone_what_is_loaded_or_loads(house: House) -> None:
    await house.store.add_deployment(LAZY)
    house.runs = (replace(HERE, state=ReplicaState.STARTING, address=""),)
    assert await wanted_here(house) == [1], "one that rests knows too"
    house.deployed.begin()
    house.clock.now_s += 31
    await asyncio.sleep(0.1)
    assert await wanted_here(house) == [1], "it is not asked to end what it has begun"
    house.runs = (replace(house.runs[0], failed=True),)
    house.clock.now_s += 31
    await settled(house, 0)


async def test_who_was_cordoned_in_its_sleep_sleeps_on(house: House) -> None:
    await house.store.add_deployment(LAZY)
    await house.store.mark_replica("near-asleep", ReplicaState.CORDONED)
    await house.deployed.look()
    house.deployed.begin()
    house.deployed.waited_for({"chat"})
    assert await wanted_here(house) == [0]
    assert house.deployed.told == ()
    assert house.seen() == [("near", ReplicaState.CORDONED)]


def test_engines_of_the_settings_are_deployments_too(tmp_path: Path) -> None:
    engines = {
        "a": EngineSettings(weights="w", replicas=3),
        "b": EngineSettings(addresses=("http://h:1", "http://h:2"), slots=4),
    }
    first, second = given_deployments(Settings(tmp_path, engines=engines))
    assert (first.source, first.replicas, first.pool) == (Source.HERE, 3, "a")
    assert (second.source, second.replicas, second.slots) == (Source.ADDRESSES, 2, 4)
