"""What every store promises of the record and of repeated requests, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import BadRequest, Conflict
from parvis.domain.audit.entry import Entry, Step
from parvis.domain.audit.once import Claim, Earlier, Kept
from parvis.domain.audit.query import ENTRIES_MAX, EntryQuery
from parvis.flows.store import Store

LINE = Entry(
    entry_id="log_0001",
    at_unix_ms=1_000,
    step=Step.INTENT,
    act_id="log_0001",
    action="api_key.created",
    actor_kind="user",
    actor="user usr_1",
    address="192.0.2.1",
    request_id="req_1",
    organisation_id="org",
    tenant_id="limited",
    objects={"key_id": "k1", "project_id": "proj_1"},
    details={"fields": "ö, 'name'"},
)
CLAIM = Claim("user usr_1", "once", "f1", 10_000)
ANSWER = Kept(201, b'{"id": "k1"}', "k1")


def line(number: int, **changed: object) -> Entry:
    """The one of this number, a millisecond after the one before."""
    return replace(LINE, entry_id=f"log_{number:04d}", at_unix_ms=1_000 + number, **changed)  # type: ignore[arg-type]


async def found(store: Store, **asked: object) -> list[str]:
    """The numbers of what a query finds."""
    page = await store.entries(EntryQuery(**asked))  # type: ignore[arg-type]  # named by the test
    return [entry.entry_id.removeprefix("log_") for entry in page.entries]


# ------------------------------------------------------------------------------------------------- the record


async def lines_come_back_as_they_were(store: Store) -> None:
    outcome = line(2, step=Step.OUTCOME, act_id="log_0001", result="ok")
    operators = line(3, organisation_id="", tenant_id="", objects={}, details={}, result="conflict")
    await store.append([LINE, outcome])
    await store.append([operators])
    page = await store.entries(EntryQuery())
    assert page.entries == (operators, outcome, LINE)
    assert page.after is None


async def a_line_is_written_once(store: Store) -> None:
    await store.append([LINE])
    with pytest.raises(Conflict):
        await store.append([line(2), replace(LINE, action="other")])
    assert (await store.entries(EntryQuery())).entries == (LINE,)


async def lines_are_found_by_what_they_say(store: Store) -> None:
    await store.append([line(1)])
    await store.append([line(2, tenant_id="", objects={"key_id": "k2"})])
    await store.append([line(3, organisation_id="other", actor="operator token", step=Step.OUTCOME)])
    await store.append([line(4, organisation_id="", tenant_id="", action="model.created", objects={"same": "k1"})])
    assert await found(store) == ["0004", "0003", "0002", "0001"]
    assert await found(store, organisation_id="org") == ["0002", "0001"]
    assert await found(store, organisation_id="org", tenant_ids=("limited",)) == ["0001"]
    assert await found(store, organisation_id="org", tenant_ids=()) == []
    assert await found(store, actors=("operator token", "nobody")) == ["0003"]
    assert await found(store, actions=("model.created",)) == ["0004"]
    assert await found(store, object_ids=("k1",)) == ["0004", "0003", "0001"]
    assert await found(store, object_ids=("k2", "proj_1")) == ["0003", "0002", "0001"]
    assert await found(store, steps=(Step.OUTCOME,)) == ["0003"]
    assert await found(store, since_unix_ms=1_002, until_unix_ms=1_004) == ["0003", "0002"]


async def lines_come_in_pages(store: Store) -> None:
    await store.append([line(number) for number in range(5)])
    seen, after = [], None
    while True:
        page = await store.entries(EntryQuery(after=after, limit=2))
        seen.append(len(page.entries))
        after = page.after
        if after is None:
            break
    assert seen == [2, 2, 1]
    for limit in (0, ENTRIES_MAX + 1):
        with pytest.raises(BadRequest):
            await store.entries(EntryQuery(limit=limit))


async def pages_lead_back_to_the_newest(store: Store) -> None:
    await store.append([line(number) for number in range(5)])
    ids = [entry.entry_id for entry in (await store.entries(EntryQuery())).entries]
    page = await store.entries(EntryQuery(before=ids[-1], limit=2))
    assert ([entry.entry_id for entry in page.entries], page.after) == (ids[2:4], ids[2])
    page = await store.entries(EntryQuery(before=page.after, limit=2))
    assert ([entry.entry_id for entry in page.entries], page.after) == (ids[:2], None)


# -------------------------------------------------------------------------------------------- repeated requests


async def claim(store: Store, wanted: Claim, forget_unix_ms: int = 0, lost_unix_ms: int = 0) -> Earlier | None:
    return await store.claim(wanted, forget_unix_ms=forget_unix_ms, lost_unix_ms=lost_unix_ms)


async def a_key_is_claimed_once(store: Store) -> None:
    claims = [store.claim(CLAIM, forget_unix_ms=0, lost_unix_ms=0) for _ in range(20)]
    earlier = await asyncio.gather(*claims)
    assert sorted(one is None for one in earlier) == [False] * 19 + [True]
    assert await claim(store, replace(CLAIM, principal="user usr_2")) is None
    assert await claim(store, replace(CLAIM, idempotency_key="twice")) is None
    assert await claim(store, replace(CLAIM, fingerprint="f2")) == Earlier("f1", None)


async def an_answer_is_kept(store: Store) -> None:
    await claim(store, CLAIM)
    await store.keep_answer(CLAIM, ANSWER)
    await store.keep_answer(CLAIM, Kept(500, None))
    assert await claim(store, CLAIM) == Earlier("f1", ANSWER)
    await store.release(CLAIM)
    assert await claim(store, CLAIM, lost_unix_ms=20_000) == Earlier("f1", ANSWER)
    secret = replace(CLAIM, idempotency_key="secret")
    await claim(store, secret)
    await store.keep_answer(secret, Kept(201, None, "k1"))
    assert await claim(store, secret) == Earlier("f1", Kept(201, None, "k1"))


async def a_released_key_is_free(store: Store) -> None:
    await claim(store, CLAIM)
    await store.release(CLAIM)
    assert await claim(store, CLAIM) is None


async def what_is_old_is_forgotten(store: Store) -> None:
    await claim(store, CLAIM)
    await store.keep_answer(CLAIM, ANSWER)
    assert await claim(store, CLAIM, forget_unix_ms=10_000) is not None
    later = replace(CLAIM, at_unix_ms=20_000)
    assert await claim(store, later, forget_unix_ms=10_001) is None


async def who_lost_a_key_does_not_answer_for_its_successor(store: Store) -> None:
    await claim(store, CLAIM)
    later = replace(CLAIM, at_unix_ms=20_000)
    assert await claim(store, later, lost_unix_ms=10_000) is not None
    assert await claim(store, later, lost_unix_ms=10_001) is None
    await store.keep_answer(CLAIM, ANSWER)
    await store.release(CLAIM)
    assert await claim(store, later) == Earlier("f1", None)


PROMISES: list[Callable[[Store], Awaitable[None]]] = [
    lines_come_back_as_they_were,
    a_line_is_written_once,
    lines_are_found_by_what_they_say,
    lines_come_in_pages,
    pages_lead_back_to_the_newest,
    a_key_is_claimed_once,
    an_answer_is_kept,
    a_released_key_is_free,
    what_is_old_is_forgotten,
    who_lost_a_key_does_not_answer_for_its_successor,
]

FORGERIES = (
    "UPDATE record SET actor = 'somebody else'",
    "UPDATE record SET organisation_id = ''",
    "DELETE FROM record WHERE entry_id = 'log_0001'",
    "UPDATE record_objects SET object_id = 'k9'",
    "DELETE FROM record_objects",
)
"""What the database itself refuses, whoever asks."""
