"""What every store promises of notices, as functions that take an open, empty store."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.notice import Dispatch, Notice, NoticeKind, NoticeTarget, TargetKind, after_attempt
from parvis.domain.identity.rotation import DAY_MS, Schedule
from parvis.domain.identity.succession import first_secret, moments, without_old
from parvis.flows.store import Store
from parvis.testing.store_suite import SECRETS, settle_in

MADE = 1_000 * DAY_MS
DUE = MADE + 76 * DAY_MS
"""When the first notice of a key with the usual schedule comes."""
NOTICE = Notice("ntc_1", NoticeKind.ROTATION_DUE, "org", "limited", "k1", "Né à Ürümqi", DUE, DUE, None, DUE)
TARGET = NoticeTarget("ntt_1", "org", "limited", TargetKind.WEBHOOK, "https://x.example/", "en", b"\x00sealed", MADE)


def scheduled(key_id: str = "k1", tenant_id: str = "limited", made: int = MADE) -> ApiKey:
    key = ApiKey(key_id, "org", tenant_id, "notebook", (), schedule=Schedule(), owner_id=f"usr_{tenant_id}")
    return first_secret(key, key_id.encode() * 16, made)


async def keys_come_back_with_their_schedule_and_their_owner(store: Store) -> None:
    await settle_in(store)
    key, other = scheduled(), scheduled("k2", "unlimited")
    for one in (other, key):
        await store.add_key(one)
    assert await store.key("k1") == key
    assert await store.keys_owned("usr_limited") == [key]
    assert await store.keys_owned("usr_nobody") == []


async def what_is_to_be_told_is_found_when_its_moment_comes(store: Store) -> None:
    await settle_in(store)
    for number, made in enumerate((MADE, MADE + 5, MADE - 5)):
        await store.add_key(scheduled(f"k{number}", made=made))
    await store.add_key(ApiKey("plain", "org", "limited", "", SECRETS))
    assert await store.keys_to_tell(DUE - 6, 10) == []
    assert [key.key_id for key in await store.keys_to_tell(DUE, 10)] == ["k2", "k0"]
    assert [key.key_id for key in await store.keys_to_tell(DUE + 5, 2)] == ["k2", "k0"]
    await store.revoke_key("k2")
    assert [key.key_id for key in await store.keys_to_tell(DUE, 10)] == ["k0"]


async def a_notice_is_made_once_whatever_becomes_of_its_key(store: Store) -> None:
    await settle_in(store)
    key = scheduled()
    await store.add_key(key)
    assert await store.tell("k1", [NOTICE], DUE) == 1
    assert await store.keys_to_tell(DUE, 10) == []
    renamed = replace(key, name="another")
    await store.swap_key(key, renamed)
    assert await store.keys_to_tell(DUE, 10) == [renamed]
    assert await store.tell("k1", [replace(NOTICE, notice_id="ntc_2")], DUE) == 0
    assert await store.notices_page(None, None, 10) == [NOTICE]
    following = next(at for at, _ in moments(key) if at > DUE)
    assert await store.keys_to_tell(following - 1, 10) == []
    assert await store.keys_to_tell(following, 10) == [renamed]


async def telling_does_not_change_a_key(store: Store) -> None:
    """Neither for gateways nor for who swaps it."""
    await settle_in(store)
    key = scheduled()
    await store.add_key(key)
    version = (await store.changes(-1)).version
    await store.tell("k1", [NOTICE], DUE)
    assert (await store.changes(version)).keys == ()
    await store.swap_key(key, without_old(replace(key, name="x")))


async def notices_come_newest_first_in_pages_of_some_tenants(store: Store) -> None:
    await settle_in(store)
    for number in range(5):
        tenant_id = "unlimited" if number == 2 else "limited"
        one = replace(NOTICE, notice_id=f"ntc_{number}", tenant_id=tenant_id, moment_unix_ms=number)
        await store.tell("k1", [one], DUE)
    assert [n.notice_id for n in await store.notices_page(None, None, 2)] == ["ntc_4", "ntc_3"]
    assert [n.notice_id for n in await store.notices_page(None, "ntc_3", 2)] == ["ntc_2", "ntc_1"]
    assert [n.notice_id for n in await store.notices_page(["unlimited"], None, 9)] == ["ntc_2"]
    assert await store.notices_page([], None, 9) == []


async def each_target_gets_its_dispatch_until_it_has_arrived(store: Store) -> None:
    await settle_in(store)
    mail = replace(TARGET, target_id="ntt_2", kind=TargetKind.MAIL, address="a@b.example", sealed=b"")
    elsewhere = replace(TARGET, target_id="ntt_3", tenant_id="unlimited")
    for target in (TARGET, mail, elsewhere):
        await store.add_target(target, 2)
    await store.tell("k1", [NOTICE], DUE)
    waiting = Dispatch("ntc_1", "ntt_1", 0, DUE)
    assert await store.dispatches_due(DUE - 1, 10) == []
    due = await store.dispatches_due(DUE, 10)
    assert sorted(one[2].target_id for one in due) == ["ntt_1", "ntt_2"]
    assert [one for one in due if one[0] == waiting] == [(waiting, NOTICE, TARGET)]
    failed = after_attempt(waiting, DUE, "nobody answers")
    await store.put_dispatch(failed)
    await store.put_dispatch(after_attempt(Dispatch("ntc_1", "ntt_2"), DUE))
    assert await store.dispatches_due(DUE, 10) == []
    assert [one[0] for one in await store.dispatches_due(failed.next_unix_ms or 0, 10)] == [failed]
    assert await store.dispatches(["ntc_1"]) == [failed, Dispatch("ntc_1", "ntt_2", 1, None, DUE)]


async def targets_are_few_and_go_with_what_was_on_its_way(store: Store) -> None:
    await settle_in(store)
    await store.add_target(TARGET, 2)
    with pytest.raises(Conflict, match="already"):
        await store.add_target(replace(TARGET, target_id="ntt_2"), 2)
    second = replace(TARGET, target_id="ntt_2", address="https://y.example/")
    await store.add_target(second, 2)
    with pytest.raises(Conflict, match="more cannot be"):
        await store.add_target(replace(TARGET, target_id="ntt_3", address="https://z.example/"), 2)
    with pytest.raises(NotFound):
        await store.add_target(replace(TARGET, tenant_id="nobody"), 2)
    await store.tell("k1", [NOTICE], DUE)
    await store.remove_target("ntt_1")
    with pytest.raises(NotFound):
        await store.remove_target("ntt_1")
    await store.put_dispatch(Dispatch("ntc_1", "ntt_1", 1, DUE))
    assert [one[2] for one in await store.dispatches_due(DUE, 10)] == [second]
    assert await store.targets(["limited"]) == [second]
    assert await store.targets(["unlimited"]) == []


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    keys_come_back_with_their_schedule_and_their_owner,
    what_is_to_be_told_is_found_when_its_moment_comes,
    a_notice_is_made_once_whatever_becomes_of_its_key,
    telling_does_not_change_a_key,
    notices_come_newest_first_in_pages_of_some_tenants,
    each_target_gets_its_dispatch_until_it_has_arrived,
    targets_are_few_and_go_with_what_was_on_its_way,
)
