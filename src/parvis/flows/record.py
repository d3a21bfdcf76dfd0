"""The record of privileged acts: a line before the effect and a line after it.

    intent = await recorder.intend(actor, "api_key.deleted", place, {"key_id": key_id})
    ...                                    # only now may it happen
    await recorder.outcome(intent)

No intent, no act: `intend` raises Unavailable when its line is not on disk.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from parvis.core.clock import Clock
from parvis.core.ids import Randomness, new_id
from parvis.domain.audit.entry import Actor, Entry, Step
from parvis.domain.audit.query import EntryPage, EntryQuery
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.flows.record_store import RecordStore

OK = "ok"
TEXT_CHARS_MAX = 200
TEXTS_MAX = 30
Texts = Mapping[str, str]
NONE: Texts = {}


class Recorder:
    """Writes lines. Each is durable when a method returns; what cannot be written raises Unavailable."""

    def __init__(self, store: RecordStore, clock: Clock, randomness: Randomness = os.urandom) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    async def intend(
        self, actor: Actor, action: str, place: Target = INSTALLATION, objects: Texts = NONE, details: Texts = NONE
    ) -> Entry:
        """Say what is about to happen. The line's id names the act."""
        intent = self._line(Step.INTENT, actor, action, place, objects, details)
        await self._store.append([intent])
        return intent

    async def outcome(
        self,
        intent: Entry,
        result: str = OK,
        place: Target | None = None,
        objects: Texts = NONE,
        details: Texts = NONE,
    ) -> None:
        """Say how it ended: `ok` or the code of a refusal. What is known of it only now is added to the intent's."""
        now = self._clock.unix_ms()
        organisation_id, tenant_id = place or (intent.organisation_id, intent.tenant_id)
        line = replace(
            intent,
            entry_id=new_id("log", max(now, intent.at_unix_ms + 1), self._randomness),  # sorts after the intent's
            at_unix_ms=now,
            step=Step.OUTCOME,
            organisation_id=organisation_id,
            tenant_id=tenant_id,
            objects=_bounded({**intent.objects, **objects}),
            details=_bounded({**intent.details, **details}),
            result=result,
        )
        await self._store.append([line])

    async def note(
        self,
        actor: Actor,
        action: str,
        place: Target = INSTALLATION,
        objects: Texts = NONE,
        details: Texts = NONE,
        result: str = OK,
    ) -> None:
        """Say what has happened already, or by itself: `login.failed`, `api_key.expired`. One line is the whole act."""
        line = self._line(Step.OUTCOME, actor, action, place, objects, details)
        await self._store.append([replace(line, result=result)])

    def _line(self, step: Step, actor: Actor, action: str, place: Target, objects: Texts, details: Texts) -> Entry:
        now = self._clock.unix_ms()
        line_id = new_id("log", now, self._randomness)
        return Entry(
            entry_id=line_id,
            at_unix_ms=now,
            step=step,
            act_id=line_id,
            action=action,
            actor_kind=actor.kind,
            actor=actor.name,
            address=actor.address,
            request_id=actor.request_id,
            organisation_id=place.organisation_id,
            tenant_id=place.tenant_id,
            objects=_bounded(objects),
            details=_bounded(details),
        )


async def organisation_entries(
    store: RecordStore, organisation_id: str, tenant_ids: tuple[str, ...] | None, query: EntryQuery
) -> EntryPage:
    """What stands in the record of one organisation, or of some of its tenants, whatever the query says of places."""
    return await store.entries(replace(query, organisation_id=organisation_id, tenant_ids=tenant_ids))


def _bounded(texts: Texts) -> dict[str, str]:
    """Names and public words, never a document."""
    return {name[:TEXT_CHARS_MAX]: text[:TEXT_CHARS_MAX] for name, text in list(texts.items())[:TEXTS_MAX]}
