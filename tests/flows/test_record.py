"""The record of privileged acts, on a real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.core.errors import Unavailable
from parvis.domain.audit.entry import SERVICE, Actor, Entry, Step
from parvis.domain.audit.query import EntryQuery
from parvis.domain.identity.place import Target
from parvis.flows.record import TEXT_CHARS_MAX, TEXTS_MAX, Recorder, organisation_entries
from parvis.testing.empty_store import empty_store

ACTOR = Actor("user", "user usr_1", "192.0.2.1", "req_1")
PLACE = Target("org", "tenant")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(empty_store(tmp_path / "store.db"))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def recorder(store: SqlStore) -> Recorder:
    return Recorder(store, SystemClock())


async def lines(store: SqlStore, query: EntryQuery | None = None) -> list[Entry]:
    """Oldest first."""
    return list(reversed((await store.entries(query or EntryQuery())).entries))


async def test_an_act_is_two_lines_of_one_name(recorder: Recorder, store: SqlStore) -> None:
    intent = await recorder.intend(ACTOR, "api_key.deleted", PLACE, {"key_id": "k1"}, {"fields": "name"})
    assert await lines(store) == [intent]
    await recorder.outcome(intent, "conflict", None, {"other_id": "o1"}, {"why": "two of them"})
    outcome = (await lines(store))[-1]
    assert (intent.act_id, outcome.act_id) == (intent.entry_id, intent.entry_id)
    assert intent.entry_id < outcome.entry_id
    assert outcome == replace(
        intent,
        entry_id=outcome.entry_id,
        at_unix_ms=outcome.at_unix_ms,
        step=Step.OUTCOME,
        objects={"key_id": "k1", "other_id": "o1"},
        details={"fields": "name", "why": "two of them"},
        result="conflict",
    )


async def test_the_place_may_be_known_only_afterwards(recorder: Recorder, store: SqlStore) -> None:
    intent = await recorder.intend(ACTOR, "api_key.created")
    await recorder.outcome(intent, place=PLACE)
    assert [(line.organisation_id, line.tenant_id) for line in await lines(store)] == [("", ""), PLACE]


async def test_what_happens_by_itself_is_one_line(recorder: Recorder, store: SqlStore) -> None:
    await recorder.note(SERVICE, "api_key.expired", PLACE, {"key_id": "k1"})
    await recorder.note(replace(ACTOR, kind="nobody", name="anybody"), "login.failed", result="sign_in_refused")
    found = [(line.step, line.actor, line.act_id == line.entry_id, line.result) for line in await lines(store)]
    assert found == [("outcome", "service", True, "ok"), ("outcome", "anybody", True, "sign_in_refused")]


async def test_a_line_is_never_a_document(recorder: Recorder, store: SqlStore) -> None:
    many = {f"{number:03d}": "x" * 10_000 for number in range(100)}
    await recorder.note(ACTOR, "thing.done", PLACE, {}, many)
    (line,) = await lines(store)
    assert len(line.details) == TEXTS_MAX
    assert {len(text) for text in line.details.values()} == {TEXT_CHARS_MAX}


async def test_without_a_store_there_is_no_intent(recorder: Recorder, store: SqlStore) -> None:
    await store.close()
    with pytest.raises(Unavailable):
        await recorder.intend(ACTOR, "thing.done")


async def test_an_organisation_sees_its_own_lines(recorder: Recorder, store: SqlStore) -> None:
    for place in (PLACE, Target("org", "other"), Target("org"), Target("elsewhere", "tenant"), Target()):
        await recorder.note(ACTOR, "thing.done", place)
    whole = await organisation_entries(store, "org", None, EntryQuery(organisation_id="elsewhere"))
    assert {(line.organisation_id, line.tenant_id) for line in whole.entries} == {PLACE, ("org", "other"), ("org", "")}
    part = await organisation_entries(store, "org", ("tenant",), EntryQuery(tenant_ids=None))
    assert [(line.organisation_id, line.tenant_id) for line in part.entries] == [PLACE]
