"""`/v1/organization/audit_logs`: the record of what was done in and to the caller's organisation."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Query
from pydantic import Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers_reports import AuditLines
from parvis.api.console.organization.lists import MS_PER_S, unix_s
from parvis.api.web.queries import NoQuery
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest
from parvis.domain.audit.entry import Entry, Step
from parvis.domain.audit.query import EntryPage, EntryQuery
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Realm, same_email
from parvis.domain.identity.principal import Kind, Principal
from parvis.flows.reach import only_tenants
from parvis.flows.record import organisation_entries

Names = Annotated[list[str] | None, Field(max_length=100)]
Seconds = Annotated[int | None, Field(ge=0, le=253_402_300_799)]
_NOBODY = ("",)
_IDS = {"invite": "invitation_id", "api_key": "key_id", "service_account": "key_id"}
"""What we call the ids of their objects, where it is not `<object>_id`."""


class AuditQuery(NoQuery):
    """Which lines. `steps[]`: by default `outcome`, one for each act; `intent` are the lines before them."""

    after: str | None = Field(default=None, max_length=100)
    before: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=20, ge=1, le=100)
    actor_ids: Names = Field(default=None, alias="actor_ids[]")
    actor_emails: Names = Field(default=None, alias="actor_emails[]")
    event_types: Names = Field(default=None, alias="event_types[]")
    project_ids: Names = Field(default=None, alias="project_ids[]")
    resource_ids: Names = Field(default=None, alias="resource_ids[]")
    steps: list[Step] = Field(default=[Step.OUTCOME], alias="steps[]", min_length=1, max_length=2)
    later_than: Seconds = Field(default=None, alias="effective_at[gt]")
    not_before: Seconds = Field(default=None, alias="effective_at[gte]")
    earlier_than: Seconds = Field(default=None, alias="effective_at[lt]")
    not_after: Seconds = Field(default=None, alias="effective_at[lte]")

    def asked(self, actors: tuple[str, ...]) -> EntryQuery:
        """As the record reads it. Raises BadRequest for what cannot be asked together."""
        if self.after is not None and self.before is not None:
            raise BadRequest("Say 'after' or 'before', not both.", param="before")
        if self.project_ids is not None and self.resource_ids is not None:
            raise BadRequest("Say 'project_ids[]' or 'resource_ids[]', not both.", param="resource_ids[]")
        return EntryQuery(
            actors=actors,
            actions=tuple(self.event_types or ()),
            object_ids=tuple(self.project_ids or self.resource_ids or ()),
            steps=tuple(self.steps),
            since_unix_ms=_latest(self.not_before, None if self.later_than is None else self.later_than + 1),
            until_unix_ms=_earliest(self.earlier_than, None if self.not_after is None else self.not_after + 1),
            after=self.after,
            before=self.before,
            limit=self.limit,
        )


async def all_entries(
    desk: TheDesk, actor: TheActor, query: Annotated[AuditQuery, Query()]
) -> Annotated[Json, AuditLines]:
    """One page of the record, newest first: of the organisation, or of the tenants that the caller may audit."""
    emails = {p.user_id: p.email for p in await desk.store.people(Realm.CUSTOMER).people(actor.organisation_id)}
    page = await _page(desk, actor, query.asked(_actors(query, emails)))
    shown = [entry_shape(entry, emails) for entry in page.entries]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": page.after is not None,
    }


def entry_shape(entry: Entry, emails: Mapping[str, str]) -> Json:
    """A line. The act stands under its own type; ours beside it: `result`, `step`, `act_id`, `objects`, `details`."""
    project_id = entry.objects.get("project_id")
    return {
        "id": entry.entry_id,
        "object": "organization.audit_log",
        "type": entry.action,
        "effective_at": unix_s(entry.at_unix_ms),
        "actor": _actor(entry, emails),
        "project": None if project_id is None else {"id": project_id, "name": None},
        entry.action: {"id": _object_id(entry)},
        "result": entry.result or None,
        "step": entry.step,
        "act_id": entry.act_id,
        "request_id": entry.request_id,
        "tenant_id": entry.tenant_id or None,
        "objects": dict(entry.objects),
        "details": dict(entry.details),
    }


async def _page(desk: ConsoleDesk, actor: Principal, query: EntryQuery) -> EntryPage:
    tenant_ids = only_tenants(actor, Permission.AUDIT_READ, actor.organisation_id)
    return await organisation_entries(desk.store, actor.organisation_id, tenant_ids, query)


def _actors(query: AuditQuery, emails: Mapping[str, str]) -> tuple[str, ...]:
    """The names of those who are asked about; nobody's when an e-mail is nobody's."""
    asked = [f"{kind} {one}" for one in query.actor_ids or () for kind in (Kind.USER, Kind.KEY)]
    wanted = {same_email(email) for email in query.actor_emails or ()}
    asked += [f"{Kind.USER} {user_id}" for user_id, email in emails.items() if same_email(email) in wanted]
    narrowed = query.actor_ids is not None or query.actor_emails is not None
    return tuple(asked) or (_NOBODY if narrowed else ())


def _actor(entry: Entry, emails: Mapping[str, str]) -> Json:
    """Who did it: an API key, or somebody in a session, who is nobody's when the operator or the service did it.

    From where is said of the organisation's own people and keys alone.
    """
    subject = entry.actor.rpartition(" ")[2]
    if entry.actor_kind == Kind.KEY:
        key = {"id": subject, "type": "service_account", "ip_address": entry.address}
        return {"type": "api_key", "session": None, "api_key": key, "name": entry.actor}
    known = entry.actor_kind == Kind.USER
    user = {"id": subject if known else None, "email": emails.get(subject) if known else None}
    session = {"user": user, "ip_address": entry.address if known else None}
    return {"type": "session", "session": session, "api_key": None, "name": entry.actor}


def _object_id(entry: Entry) -> str | None:
    """What the act is about, if the record names it."""
    kind = entry.action.partition(".")[0]
    for name in (f"{kind}_id", _IDS.get(kind, "")):
        if name in entry.objects:
            return entry.objects[name]
    return next(iter(entry.objects.values()), None)


def _latest(*seconds: int | None) -> int | None:
    known = [one * MS_PER_S for one in seconds if one is not None]
    return max(known, default=None)


def _earliest(*seconds: int | None) -> int | None:
    known = [one * MS_PER_S for one in seconds if one is not None]
    return min(known, default=None)
