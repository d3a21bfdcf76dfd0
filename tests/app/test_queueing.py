"""What the operator reads of queues: sums over gateways, which a gateway that leaves takes with it."""

import asyncio
from dataclasses import replace

from parvis.adapters.link.messages import PoolBacklog
from parvis.adapters.link.slots import GatewaySlots
from parvis.adapters.telemetry.exposition import Exposition
from parvis.app.queueing import Queueing
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.flows.fleet import LocalFleet


def busy_fleet() -> LocalFleet:
    fleet = LocalFleet()
    ready = EngineKind.VLLM, "http://a", ReplicaState.READY
    fleet.load((Replica("r1", "pool", *ready, slots=1), Replica("r2", "endless", *ready)))
    return fleet


async def test_what_waits_for_a_sleeper_is_told() -> None:
    fleet = LocalFleet()
    asleep = Replica("r-asleep", "pool", EngineKind.LLAMA_CPP, "", ReplicaState.ASLEEP, slots=1)
    fleet.load((asleep,))
    queueing = Queueing(fleet, GatewaySlots(lambda _: None))
    assert queueing.pools() == []
    waiting = asyncio.ensure_future(fleet.place(Ask("pool", "b", 70)))
    await asyncio.sleep(0)
    assert queueing.pools() == [PoolBacklog("pool", 0, 1, 70, 1)]
    fleet.load((replace(asleep, state=ReplicaState.READY),))
    await waiting
    assert queueing.pools() == [PoolBacklog("pool", 1, 0, 0, 0)]


async def test_waits_are_told_of_and_counted() -> None:
    fleet, metrics = busy_fleet(), Exposition()
    queueing = Queueing(fleet, GatewaySlots(lambda _: None))
    first = await fleet.place(Ask("pool", "a"))
    await fleet.place(Ask("endless", "a"))
    waiting = asyncio.ensure_future(fleet.place(Ask("pool", "b", 70)))
    await asyncio.sleep(0)
    assert queueing.in_flight() == {"r1": 1}
    assert queueing.pools() == [PoolBacklog("pool", 1, 1, 70, 1)]
    for gateway in ("gw_1", "gw_2"):
        metrics.add(gateway, queueing.take_waits(), queueing.gauges())
    assert 'parvis_queue_waiting{pool="pool"} 2.0' in metrics.text()
    fleet.release(first)
    await waiting
    metrics.add("gw_1", queueing.take_waits(), queueing.gauges())
    metrics.gone("gw_2")
    told = metrics.text()
    assert 'parvis_queue_waiting{pool="pool"} 0.0' in told
    assert 'parvis_queue_wait_seconds_count{pool="pool"} 2.0' in told, "one of them found room at once"
