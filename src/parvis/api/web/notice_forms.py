"""Notices and where they go, as both administration listeners show them."""

from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.web.admission import checked_tenant
from parvis.api.web.answers import Listed
from parvis.api.web.answers_keys import NewNoticeTarget, NoticeTargetRemoved
from parvis.api.web.answers_keys import Notice as NoticeShown
from parvis.api.web.answers_keys import NoticeTarget as NoticeTargetShown
from parvis.api.web.desk import FrontDesk, front_desk
from parvis.api.web.instants import write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route, TheActor
from parvis.api.web.shapes import Json, listing, money_shape
from parvis.core.errors import Unavailable
from parvis.core.money import Money
from parvis.domain.identity.notice import Dispatch, Notice, NoticeTarget, TargetKind
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.flows.notices import PostOffice, add_target, notices_page
from parvis.flows.reach import tenants_reached


def post_office_of(request: Request) -> PostOffice | None:
    """Where notices are sent from; None where none are."""
    office: PostOffice | None = request.app.state.desk.post_office
    return office


TheDesk = Annotated[FrontDesk, Depends(front_desk)]
ThePostOffice = Annotated[PostOffice | None, Depends(post_office_of)]


class TargetForm(BaseModel):
    """Somewhere where the notices of a tenant are to go: a mail address, or the URL of a webhook."""

    model_config = ConfigDict(extra="forbid")
    kind: TargetKind
    address: str = Field(max_length=500)
    language: Literal["en", "fr"] = "en"
    tenant_id: str | None = Field(default=None, max_length=100)


async def notices(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[NoticeShown]]:
    """What was told of the keys of the tenants that the caller reaches, newest first, and how it fared."""
    page, following = await notices_page(desk.store, await _reached(desk, actor), query.after, query.limit)
    return listing([_notice_shape(*one) for one in page], following)


async def targets(desk: TheDesk, actor: TheActor) -> Annotated[Json, Listed[NoticeTargetShown]]:
    """Where the notices of these tenants go."""
    found = await desk.store.targets(await _reached(desk, actor))
    return listing([_target_shape(target) for target in found])


async def add(
    desk: TheDesk, office: ThePostOffice, actor: TheActor, form: TargetForm
) -> Annotated[Json, NewNoticeTarget]:
    """Send them there too, from now on. `secret`, of a webhook, is what it is signed with: shown this once."""
    tenant = await checked_tenant(desk.store, actor, May.NOTICES_WRITE, form.tenant_id)
    if office is None:
        raise Unavailable("Notices cannot be sent from here.")
    made = await add_target(office, tenant, form.kind, form.address, form.language)
    shape = _target_shape(made.target)
    return shape if made.secret is None else {**shape, "secret": made.secret.reveal()}


async def remove(desk: TheDesk, target_id: str) -> Annotated[Json, NoticeTargetRemoved]:
    """Send nothing there any more, not even what was on its way."""
    await desk.store.remove_target(target_id)
    return {"object": "notice_target", "id": target_id, "deleted": True}


async def target_place(request: Request) -> Target | None:
    """Of `{target_id}`."""
    wanted = request.path_params["target_id"]
    known = await front_desk(request).store.targets(None)
    return next((Target(one.organisation_id, one.tenant_id) for one in known if one.target_id == wanted), None)


async def _reached(desk: FrontDesk, actor: Principal) -> list[str] | None:
    """None: all of them."""
    if actor.may(May.NOTICES_READ, INSTALLATION):
        return None
    return [tenant.tenant_id for tenant in await tenants_reached(desk.store, actor, May.NOTICES_READ)]


def _notice_shape(notice: Notice, dispatches: list[Dispatch]) -> Json:
    return {
        "object": "notice",
        "id": notice.notice_id,
        "kind": notice.kind,
        "organisation_id": notice.organisation_id,
        "tenant_id": notice.tenant_id,
        "subject": f"key:{notice.subject}" if notice.is_of_a_key else notice.subject,
        "name": notice.name,
        "key_id": notice.subject if notice.is_of_a_key else None,
        "key_name": notice.name if notice.is_of_a_key else None,
        "amount": _amount(notice.amount_pico_euro),
        "limit": _amount(notice.limit_pico_euro),
        "due_at": _instant(notice.due_unix_ms),
        "ends_at": _instant(notice.ends_unix_ms),
        "created_at": write_instant(notice.created_unix_ms),
        "dispatches": [
            {
                "target_id": one.target_id,
                "state": "sent" if one.sent_unix_ms is not None else "waiting" if one.next_unix_ms else "given_up",
                "attempts": one.attempts,
                "sent_at": _instant(one.sent_unix_ms),
                "next_at": _instant(one.next_unix_ms),
                "problem": one.problem or None,
            }
            for one in dispatches
        ],
    }


def _target_shape(target: NoticeTarget) -> Json:
    return {
        "object": "notice_target",
        "id": target.target_id,
        "organisation_id": target.organisation_id,
        "tenant_id": target.tenant_id,
        "kind": target.kind,
        "address": target.address,
        "language": target.language,
        "created_at": write_instant(target.created_unix_ms),
    }


def _amount(pico_euro: int | None) -> Json | None:
    return None if pico_euro is None else money_shape(Money(pico_euro))


def _instant(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else write_instant(unix_ms)


NOTICES = (
    Route("GET", "/v1/notices", notices, May.NOTICES_READ),
    Route("GET", "/v1/notice-targets", targets, May.NOTICES_READ),
    Route(
        "POST",
        "/v1/notice-targets",
        add,
        May.NOTICES_WRITE,
        201,
        action="notice_target.created",
        secret_answer=True,
    ),
    Route(
        "DELETE",
        "/v1/notice-targets/{target_id}",
        remove,
        May.NOTICES_WRITE,
        target=target_place,
        action="notice_target.deleted",
    ),
)
"""The same at both listeners: what differs is how far the caller's rights reach."""
