"""Control follows its store: what others change reaches gateways, an outage ends nothing, uses are written down."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.store.store import SqlStore
from parvis.app.announcing import KEYS_AT_ONCE, USES_AT_ONCE, Announcer
from parvis.core.money import ZERO, Money
from parvis.domain.catalog.builtin import entry
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import FIRST_TIERS, NO_LIMITS, Limits, SubjectLimits
from parvis.flows.ports import KeyUse, Snapshot
from parvis.testing.empty_store import empty_store

HANG_S = 20.0
DIGEST = b"d" * 32
MODEL = entry("m", engine="e", context_tokens=100)


def key(number: int) -> ApiKey:
    return ApiKey(f"{number:016}", "org", "t", "made", (KeySecret(DIGEST, 5),), created_unix_ms=5)


class House:
    """A store, the announcer on it, and the link that it tells."""

    def __init__(self, folder: Path) -> None:
        self.url = empty_store(folder / "parvis.sqlite")
        self.store = SqlStore(self.url)
        self.link = ControlLink(b"pepper", self.grant, lambda *_: None, lambda _: None)
        self.announcer = Announcer(self.store, self.link, lambda: ())
        self.path = folder / "control.sock"

    async def grant(self, _account: str, _run: str, _need: Money, wanted: Money, _ask: str) -> LeaseAnswer:
        return LeaseAnswer(wanted, ZERO)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Callable[[], Snapshot]]:
        """What a gateway knows by now."""
        known: list[Snapshot] = []
        link = GatewayLink(self.path, "gw_1", lambda: 1, known.append)
        await self.link.start(bind_link(self.path))
        connecting = asyncio.ensure_future(link.client.keep_connected())
        await until(lambda: bool(known))
        try:
            yield lambda: known[-1]
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await link.client.hang_up()
            self.link.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    await made.store.open()
    await made.store.create_organisation("org", "Organisation")
    await made.store.create_tenant("t", "org", "Tenant", credit_unlimited=True)
    yield made
    await made.announcer.end()
    await made.store.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not true():  # noqa: ASYNC110 - the other end of a socket has no event
            await asyncio.sleep(0.005)


def opens(known: Snapshot, one: ApiKey) -> bool:
    found, proven = known.keys.find(one.key_id, DIGEST)
    return proven and found.active


async def test_what_was_there_is_loaded_in_pages_and_what_others_change_is_followed(house: House) -> None:
    many = [key(number) for number in range(KEYS_AT_ONCE * 2 + 1)]
    for one in many:
        await house.store.add_key(one)
    await house.announcer.load()
    house.announcer.begin()
    other = SqlStore(house.url)
    await other.open()
    async with house.gateway() as known:
        assert all(opens(known(), one) for one in many)
        assert known().tenants.get("t") is not None
        await other.add_key(key(5_000))
        await until(lambda: opens(known(), key(5_000)))
        await other.revoke_key(many[0].key_id)
        await until(lambda: not opens(known(), many[0]))
        assert all(opens(known(), one) for one in many[1:])
    await other.close()


async def test_what_is_announced_is_told_on_return(house: House) -> None:
    await house.announcer.load()
    async with house.gateway() as known:
        await house.store.put_model(MODEL)
        await house.store.add_key(key(1))
        await house.announcer.announce()
        await until(lambda: known().models == (MODEL,))
        assert opens(known(), key(1))  # nobody follows: it was announced, before the model


async def test_an_outage_is_told_once_and_ends_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.announcer.load()
    house.announcer.begin()
    async with house.gateway() as known:
        await house.store.close()
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.5)
        await house.store.open()
        await house.store.add_key(key(1))
        await until(lambda: opens(known(), key(1)))
    told = [record.reason for record in caplog.records]  # type: ignore[attr-defined]  # the fields of `extra`
    assert told == ["follow"]


async def test_the_latest_use_of_each_secret_is_written_down(house: House) -> None:
    many = [key(number) for number in range(USES_AT_ONCE + 1)]
    for one in many:
        await house.store.add_key(one)
    house.announcer.used(KeyUse(one.key_id, 5, 100) for one in many)
    house.announcer.used([KeyUse(many[0].key_id, 5, 200), KeyUse(many[1].key_id, 5, 50)])
    await house.announcer.end()
    uses = {use.key_id: use for use in await house.store.uses([one.key_id for one in many])}
    expected = {one.key_id: KeyUse(one.key_id, 5, 100) for one in many}
    expected[many[0].key_id] = KeyUse(many[0].key_id, 5, 200)
    assert uses == expected


async def test_uses_that_cannot_be_written_wait(house: House) -> None:
    await house.store.add_key(key(1))
    await house.store.close()
    house.announcer.used([KeyUse(key(1).key_id, 5, 100)])
    await house.announcer.end()
    await house.store.open()
    await house.announcer.end()
    assert await house.store.uses([key(1).key_id]) == [KeyUse(key(1).key_id, 5, 100)]


async def test_limits_come_before_whom_they_limit_and_go_when_they_are_taken_away(house: House) -> None:
    narrow = SubjectLimits("key:1", "org", "t", Limits(monthly=Money.euro(5)))
    tier = replace(FIRST_TIERS[0], tier_id="gold")
    await house.store.put_limits(narrow)
    await house.announcer.load()
    house.announcer.begin()
    other = SqlStore(house.url)
    await other.open()
    async with house.gateway() as known:
        assert known().limits.get("key:1") == narrow.limits
        tenant = await other.tenant("t")
        assert tenant is not None
        await other.put_tier(tier)
        await other.put_tenant(replace(tenant, tier_id="gold"))
        await until(lambda: known().limits.get("contract:t") == tier.limits)
        await other.put_tier(replace(tier, limits=narrow.limits))
        await until(lambda: known().limits.get("contract:t") == narrow.limits)
        await other.put_limits(SubjectLimits("key:2", "org", "t", narrow.limits))
        await other.add_key(key(2))
        await until(lambda: opens(known(), key(2)))
        assert known().limits.get("key:2") == narrow.limits  # it was told first
        await other.put_limits(replace(narrow, limits=NO_LIMITS))
        await until(lambda: known().limits.get("key:1") is None)
    await other.close()


async def test_limits_that_ended_while_another_acted_end_here_too(house: House) -> None:
    narrow = SubjectLimits("key:1", "org", "t", Limits(concurrent_max=1))
    await house.store.put_limits(narrow)
    await house.announcer.load()
    await house.store.put_limits(replace(narrow, limits=NO_LIMITS))
    await house.announcer.load()
    assert house.link.limited == []
