"""The record of privileged acts: `/v1/audit_logs`."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from parvis.api.operator.answers import RecordLine
from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed
from parvis.api.web.instants import read_instant, write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.shapes import Json, listing
from parvis.domain.audit.entry import Entry, Step
from parvis.domain.audit.query import EntryQuery

Name = Annotated[str, Field(max_length=200)]


class AuditQuery(PageQuery):
    """Which lines: of a place, by somebody, of a kind, about something, in [since, until)."""

    organisation: Name | None = None
    tenant: Name | None = None
    actor: Name | None = None
    action: Name | None = None
    object: Name | None = None
    step: Step | None = None
    since: str | None = None
    until: str | None = None

    def asked(self) -> EntryQuery:
        """As the store reads it. Raises BadRequest for an instant that is none."""
        return EntryQuery(
            organisation_id=self.organisation,
            tenant_ids=None if self.tenant is None else (self.tenant,),
            actors=_some(self.actor),
            actions=_some(self.action),
            object_ids=_some(self.object),
            steps=() if self.step is None else (self.step,),
            since_unix_ms=read_instant(self.since, "since"),
            until_unix_ms=read_instant(self.until, "until"),
            after=self.after,
            limit=self.limit,
        )


async def entries(desk: TheDesk, query: Annotated[AuditQuery, Query()]) -> Annotated[Json, Listed[RecordLine]]:
    """One page of the record, newest first: an `intent` before each act, its `outcome` after it."""
    found = await desk.store.entries(query.asked())
    return listing([entry_shape(entry) for entry in found.entries], found.after)


def entry_shape(entry: Entry) -> Json:
    """One line."""
    return {
        "object": "audit_log",
        "id": entry.entry_id,
        "at": write_instant(entry.at_unix_ms),
        "at_unix_ms": entry.at_unix_ms,
        "step": entry.step,
        "act_id": entry.act_id,
        "action": entry.action,
        "actor": {"kind": entry.actor_kind, "name": entry.actor, "address": entry.address},
        "request_id": entry.request_id,
        "organisation_id": entry.organisation_id,
        "tenant_id": entry.tenant_id,
        "objects": dict(entry.objects),
        "details": dict(entry.details),
        "result": entry.result,
    }


def _some(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)
