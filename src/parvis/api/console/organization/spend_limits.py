"""Budgets of an organisation and of a project, as OpenAI calls them: `.../spend_limit`. Amounts are whole cents.

What else can be limited, and amounts finer than a cent, are at `/v1/limits`.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers_reports import SpendLimit, SpendLimitDeleted
from parvis.api.web.places import own_organisation, project_place
from parvis.api.web.routes import Route, TheActor
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, NotFound
from parvis.core.money import PICO_PER_EURO, ZERO, Money
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.principal import Principal
from parvis.domain.quota.limit import NO_LIMITS, Level, subject
from parvis.flows.limit_states import state_of
from parvis.flows.limited import limited
from parvis.flows.limits import set_limits

CENT = Money(PICO_PER_EURO // 100)


class SpendLimitForm(BaseModel):
    """No more than so many cents in a month."""

    model_config = ConfigDict(extra="forbid")
    currency: Annotated[str, Field(max_length=10)]
    interval: Literal["month"]
    threshold_amount: Annotated[StrictInt, Field(ge=0, le=10**9)]


async def of_organisation(desk: TheDesk, actor: TheActor) -> Annotated[Json, SpendLimit]:
    """The organisation's budget of a month. There is none unless one was set."""
    return await _shown(desk, _whole(actor))


async def set_of_organisation(desk: TheDesk, actor: TheActor, form: SpendLimitForm) -> Annotated[Json, SpendLimit]:
    """Another budget of the organisation, at every gateway within a second. Other limits stay."""
    return await _put(desk, actor, _whole(actor), form)


async def clear_of_organisation(desk: TheDesk, actor: TheActor) -> Annotated[Json, SpendLimitDeleted]:
    """No budget of the organisation any more. Other limits stay."""
    return await _delete(desk, actor, _whole(actor))


async def of_project(desk: TheDesk, project_id: str) -> Annotated[Json, SpendLimit]:
    """A project's budget of a month. There is none unless one was set."""
    return await _shown(desk, subject(Level.PROJECT, project_id))


async def set_of_project(
    desk: TheDesk, actor: TheActor, project_id: str, form: SpendLimitForm
) -> Annotated[Json, SpendLimit]:
    """Another budget of a project, at every gateway within a second. Other limits stay."""
    return await _put(desk, actor, subject(Level.PROJECT, project_id), form)


async def clear_of_project(desk: TheDesk, actor: TheActor, project_id: str) -> Annotated[Json, SpendLimitDeleted]:
    """No budget of a project any more. Other limits stay."""
    return await _delete(desk, actor, subject(Level.PROJECT, project_id))


def _whole(actor: Principal) -> str:
    return subject(Level.ORGANISATION, actor.organisation_id)


async def _shown(desk: ConsoleDesk, named: str) -> Json:
    state = await state_of(desk.store, desk.clock, await limited(desk.store, named))
    if state.limits.monthly is None:
        raise NotFound("There is no spend limit here.", param="spend_limit")
    return {
        "object": _object(named),
        "currency": "EUR",
        "interval": "month",
        "threshold_amount": state.limits.monthly.pico_euro // CENT.pico_euro,
        "enforcement": {"status": "enforcing" if state.left == ZERO else "inactive"},
    }


async def _put(desk: ConsoleDesk, actor: Principal, named: str, form: SpendLimitForm) -> Json:
    if form.currency.upper() != "EUR":
        raise BadRequest("Money is counted in euro here: say 'EUR'.", param="currency")
    await _set(desk, actor, named, CENT * form.threshold_amount)
    return await _shown(desk, named)


async def _delete(desk: ConsoleDesk, actor: Principal, named: str) -> Json:
    await _set(desk, actor, named, None)
    return {"object": f"{_object(named)}.deleted", "deleted": True}


async def _set(desk: ConsoleDesk, actor: Principal, named: str, monthly: Money | None) -> None:
    held = (await desk.store.limits_set([named])).get(named, NO_LIMITS)
    await set_limits(desk.store, actor, named, replace(held, monthly=monthly))
    await desk.announce()


def _object(named: str) -> str:
    return "project.spend_limit" if named.startswith(f"{Level.PROJECT}:") else "organization.spend_limit"


_WHOLE, _PROJECT = "/v1/organization/spend_limit", "/v1/organization/projects/{project_id}/spend_limit"
ROUTES = (
    Route("GET", _WHOLE, of_organisation, May.LIMITS_READ, target=own_organisation),
    Route("POST", _WHOLE, set_of_organisation, May.LIMITS_WRITE, target=own_organisation, action="limits.updated"),
    Route("DELETE", _WHOLE, clear_of_organisation, May.LIMITS_WRITE, target=own_organisation, action="limits.deleted"),
    Route("GET", _PROJECT, of_project, May.LIMITS_READ, target=project_place),
    Route("POST", _PROJECT, set_of_project, May.LIMITS_WRITE, target=project_place, action="limits.updated"),
    Route("DELETE", _PROJECT, clear_of_project, May.LIMITS_WRITE, target=project_place, action="limits.deleted"),
)
