"""Rotation, as who holds a key and who owns it sees it, on a real store and a clock that is moved by hand."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, NotAuthenticated, TooManyAttempts
from parvis.domain.identity.key_text import read_key
from parvis.domain.identity.rotation import DAY_MS, Phase, Schedule
from parvis.flows.customers import welcome
from parvis.flows.keys import KeyTerms, Mint, NewKey, change_key, create_key, key_named, revoke_key, tenant_named
from parvis.flows.ports import KeyUse
from parvis.flows.reports import ADDRESS_BURST, ADDRESS_EVERY_MS, ADDRESSES_MAX, ALL_BURST, ReportCounter, report_key
from parvis.flows.rotation import (
    end_old_secret,
    extend_grace,
    next_secret,
    note_use,
    start_rotation,
    state_of,
)
from parvis.testing.empty_store import empty_store

NOW = 1_784_000_000_000
HERE = "127.0.0.1"


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def unix_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqlStore]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"), clock)
    await store.open()
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("lab", "acme", "Lab", credit_unlimited=False)
    yield store
    await store.close()


@pytest.fixture
def mint(clock: HandClock) -> Mint:
    drawn = iter(range(1, 10_000))
    return Mint(lambda: b"pepper", clock, lambda count: bytes((next(drawn) * 7 + i) & 255 for i in range(count)))


@pytest.fixture
async def made(store: SqlStore, mint: Mint) -> NewKey:
    return await create_key(store, mint, await tenant_named(store, "lab"), "app", terms=KeyTerms(schedule=Schedule()))


async def works(store: SqlStore, mint: Mint, key: NewKey) -> bool:
    try:
        await welcome(store, mint.pepper(), mint.clock, key.text.reveal(), HERE)
    except NotAuthenticated:
        return False
    return True


def newest(key: NewKey) -> int:
    return key.key.secrets[0].made_unix_ms


async def test_a_key_that_is_due_is_followed_and_both_work_for_the_overlap(
    store: SqlStore, mint: Mint, clock: HandClock, made: NewKey
) -> None:
    key_id = made.key.key_id
    with pytest.raises(Conflict) as early:
        await next_secret(store, mint, key_id, newest(made))
    assert early.value.code == "rotation_not_due"
    clock.now_ms += 91 * DAY_MS
    assert (await state_of(store, clock, made.key)).phase is Phase.DUE
    second = await next_secret(store, mint, key_id, newest(made))
    assert second.text.reveal() != made.text.reveal()
    assert (text := read_key(second.text.reveal())) is not None
    assert text.key_id == key_id
    clock.now_ms += 7 * DAY_MS - 1
    assert [await works(store, mint, one) for one in (made, second)] == [True, True]
    clock.now_ms += 1
    assert [await works(store, mint, one) for one in (made, second)] == [False, True]


async def test_an_answer_that_was_lost_is_given_anew_until_it_was_used(
    store: SqlStore, mint: Mint, clock: HandClock, made: NewKey
) -> None:
    key_id = made.key.key_id
    lost = await next_secret(store, mint, key_id, newest(made), early=True)
    clock.now_ms += 5
    found = await next_secret(store, mint, key_id, newest(made), early=True)
    assert [await works(store, mint, one) for one in (made, lost, found)] == [True, False, True]
    assert len((await key_named(store, key_id)).secrets) == 2
    await note_use(store, clock, key_id, newest(found))
    with pytest.raises(Conflict) as refused:
        await next_secret(store, mint, key_id, newest(made), early=True)
    assert refused.value.code == "secret_followed"
    with pytest.raises(Conflict) as third:
        await next_secret(store, mint, key_id, newest(found), early=True)
    assert third.value.code == "rotation_under_way"


async def test_the_old_secret_is_ended_by_hand(store: SqlStore, mint: Mint, clock: HandClock, made: NewKey) -> None:
    second = await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    await end_old_secret(store, clock, made.key.key_id)
    assert [await works(store, mint, one) for one in (made, second)] == [False, True]
    with pytest.raises(Conflict, match="needs 'overlap'"):
        await end_old_secret(store, clock, made.key.key_id)
    with pytest.raises(Conflict) as ended:
        await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    assert ended.value.code == "secret_ended"


async def test_what_nobody_fetches_ends_with_the_grace_which_owners_can_extend(
    store: SqlStore, mint: Mint, clock: HandClock, made: NewKey
) -> None:
    key_id, ends = made.key.key_id, NOW + 104 * DAY_MS
    for wrong in (ends, NOW, NOW + 10_000 * DAY_MS):
        with pytest.raises(BadRequest):
            await extend_grace(store, clock, key_id, wrong)
    await extend_grace(store, clock, key_id, ends + DAY_MS)
    clock.now_ms = ends + DAY_MS - 1
    assert await works(store, mint, made)
    clock.now_ms += 1
    assert not await works(store, mint, made)
    for act in (start_rotation(store, clock, key_id), extend_grace(store, clock, key_id, ends + 9 * DAY_MS)):
        with pytest.raises(Conflict, match="'expired'"):
            await act
    await change_key(store, clock, key_id, lambda key: replace(key, schedule=None))
    assert not await works(store, mint, made)


async def test_owners_can_ask_for_the_next_secret_now(store: SqlStore, mint: Mint, clock: HandClock) -> None:
    """Also of a key without a schedule, whose current secret ends with the grace from then on."""
    plain = await create_key(store, mint, await tenant_named(store, "lab"), "plain")
    with pytest.raises(Conflict, match="no end"):
        await extend_grace(store, clock, plain.key.key_id, NOW + 400 * DAY_MS)
    pushed = await start_rotation(store, clock, plain.key.key_id)
    assert pushed.secrets[0].ends_unix_ms == NOW + 14 * DAY_MS
    state = await state_of(store, clock, pushed)
    assert (state.phase, state.due_unix_ms, state.ends_unix_ms) == (Phase.DUE, NOW, NOW + 14 * DAY_MS)
    second = await next_secret(store, mint, plain.key.key_id, newest(plain))
    assert second.key.secrets[0].ends_unix_ms is None
    clock.now_ms += 7 * DAY_MS
    assert [await works(store, mint, one) for one in (plain, second)] == [False, True]


async def test_the_last_use_of_each_secret_is_shown(
    store: SqlStore, mint: Mint, clock: HandClock, made: NewKey
) -> None:
    second = await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    await store.note_uses([KeyUse(made.key.key_id, newest(made), NOW + 7)])
    state = await state_of(store, clock, second.key)
    assert [secret.last_used_unix_ms for secret in state.secrets] == [None, NOW + 7]


async def test_a_use_is_written_down_once_a_minute(store: SqlStore, clock: HandClock, made: NewKey) -> None:
    key_id = made.key.key_id
    for passed_ms, last in ((0, 0), (59_999, 0), (60_000, 60_000)):
        clock.now_ms = NOW + passed_ms
        await note_use(store, clock, key_id, newest(made))
        assert await store.uses([key_id]) == [KeyUse(key_id, newest(made), NOW + last)]


async def test_a_revoked_key_is_not_followed(store: SqlStore, mint: Mint, clock: HandClock, made: NewKey) -> None:
    await revoke_key(store, made.key.key_id)
    with pytest.raises(Conflict, match="revoked"):
        await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    assert (await state_of(store, clock, await key_named(store, made.key.key_id))).phase is None


async def test_a_reported_key_is_revoked_and_its_owners_are_told(store: SqlStore, mint: Mint, made: NewKey) -> None:
    text = made.text.reveal()
    second = await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    wrong = await create_key(store, mint, await tenant_named(store, "lab"), "other")
    for nothing in ("", "sk-parvis", text[:-1], text.replace(text[-9:], "_00000000"), "sk-parvis_é"):
        assert await report_key(store, mint, nothing) is None
    assert await works(store, mint, made)
    assert await report_key(store, mint, text) == made.key.key_id
    assert [await works(store, mint, one) for one in (made, second, wrong)] == [False, False, True]
    assert await report_key(store, mint, text) is None
    [notice] = await store.notices_page(None, None, 10)
    assert (notice.kind, notice.subject) == ("key_reported", made.key.key_id)


async def test_a_secret_that_has_ended_revokes_nothing(
    store: SqlStore, mint: Mint, clock: HandClock, made: NewKey
) -> None:
    second = await next_secret(store, mint, made.key.key_id, newest(made), early=True)
    await end_old_secret(store, clock, made.key.key_id)
    assert await report_key(store, mint, made.text.reveal()) is None
    assert await works(store, mint, second)


def test_reports_of_one_address_are_bounded_and_those_of_others_are_not() -> None:
    counter = ReportCounter()
    for _ in range(ADDRESS_BURST):
        counter.count("2001:db8::1", 0.0)
    with pytest.raises(TooManyAttempts) as refused:
        counter.count("2001:db8::2", 0.0)
    assert refused.value.retry_after_s == ADDRESS_EVERY_MS // 1000
    counter.count("192.0.2.1", 0.0)
    counter.count("2001:db8::2", ADDRESS_EVERY_MS / 1000)


def test_reports_of_all_addresses_are_bounded_and_so_is_what_is_remembered() -> None:
    counter = ReportCounter()
    for number in range(ALL_BURST):
        counter.count(f"192.0.2.{number}", 0.0)
    with pytest.raises(TooManyAttempts):
        counter.count("198.51.100.1", 0.0)
    for number in range(2 * ADDRESSES_MAX):
        counter.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 100.0 + number)
    assert len(counter._empty_at_ms) <= ADDRESSES_MAX
