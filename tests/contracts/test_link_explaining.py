"""Control asks its gateways how they route: all that answer in time are heard, and who does not is counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parvis.adapters.link import explaining
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.messages import ExplainWanted
from parvis.core.money import ZERO, Money
from parvis.domain.fleet.explained import Candidate, Explained
from parvis.domain.fleet.hearing import Hearing, Supposed, Told
from parvis.domain.fleet.routing import Weights
from parvis.domain.quota.budget import LeaseAnswer

SEEN = Explained(
    "req_1", "pool", "a", "Equals take turns.", (Candidate("a", total=0.5), Candidate("b", "full")), Weights()
)


async def nothing(*_: object) -> LeaseAnswer:
    return LeaseAnswer(Money(0), ZERO)


@asynccontextmanager
async def control(path: Path) -> AsyncIterator[ControlLink]:
    link = ControlLink(b"pepper", nothing, lambda *_: None, lambda _: None)
    await link.start(bind_link(path))
    try:
        yield link
    finally:
        link.close()


@asynccontextmanager
async def gateway(path: Path, name: str, hub: ControlLink) -> AsyncIterator[GatewayLink]:
    link = GatewayLink(path, name, lambda: 1, lambda _: None)
    connecting = asyncio.ensure_future(link.client.keep_connected())
    for _ in range(500):
        if name in hub.gateways:
            break
        await asyncio.sleep(0.01)
    try:
        yield link
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await link.client.hang_up()


async def test_who_remembers_tells(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with control(path) as hub, gateway(path, "gw_1", hub) as one, gateway(path, "gw_2", hub):
        one.explain = lambda asked: SEEN if asked.request_id == "req_1" else None
        assert await hub.witnesses.of_request("req_1") == Hearing(2, 0, (Told("gw_1", SEEN),))
        assert await hub.witnesses.of_request("req_2") == Hearing(2, 0, ())


async def test_a_supposed_request_arrives_whole(tmp_path: Path) -> None:
    path, heard = tmp_path / "control.sock", []
    supposed = Supposed("pool", "tenant", 77, ("one", "two"))

    def explain(asked: ExplainWanted) -> Explained:
        heard.append(Supposed(asked.pool, asked.tenant_id, asked.tokens, asked.texts))
        return SEEN

    async with control(path) as hub, gateway(path, "gw_1", hub) as one:
        one.explain = explain
        assert (await hub.witnesses.of_supposed(supposed)).told == (Told("gw_1", SEEN),)
    assert heard == [supposed]


async def test_who_is_silent_or_leaves_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    async with control(path) as hub:
        assert await hub.witnesses.of_request("req_1") == Hearing(0, 0, ())
        async with gateway(path, "gw_1", hub) as one:
            monkeypatch.setattr(one.client, "send", lambda _: None)
            monkeypatch.setattr(explaining, "ANSWER_S_MAX", 0.05)
            assert await hub.witnesses.of_request("req_1") == Hearing(1, 1, ())
            monkeypatch.setattr(explaining, "ANSWER_S_MAX", 30.0)
            asking = asyncio.ensure_future(hub.witnesses.of_request("req_1"))
            await asyncio.sleep(0.05)
            one.client.drop()
            assert (await asyncio.wait_for(asking, 5)).told == ()
