"""Limits of all subjects, as both administration listeners set and show them: `/v1/limits`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request

from parvis.api.web.answers import Listed
from parvis.api.web.answers_limits import KeyLimits, LimitsSet, LimitsState
from parvis.api.web.desk import FrontDesk, front_desk
from parvis.api.web.limit_shapes import LimitsForm, limits_shape, state_shape, tightest_shape
from parvis.api.web.places import key_place
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route, TheActor, actor_of
from parvis.api.web.shapes import Json, listing
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.quota.limit import Level
from parvis.flows.keys import key_named
from parvis.flows.limit_states import limits_page, state_of, states_around, tightest
from parvis.flows.limited import Limited, find_limited, limited, place_to_limit
from parvis.flows.limits import clear_limits, set_limits


def announce_of(request: Request) -> Callable[[], Awaitable[None]]:
    """What tells gateways of a change."""
    announce: Callable[[], Awaitable[None]] = request.app.state.desk.announce
    return announce


TheDesk = Annotated[FrontDesk, Depends(front_desk)]
TheAnnounce = Annotated[Callable[[], Awaitable[None]], Depends(announce_of)]


async def all_limits(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[LimitsSet]]:
    """What was set where the caller may read it, sorted by subject. What a tier gives is not set, but sold."""
    found, following = await limits_page(desk.store, actor, query.after, query.limit)
    return listing([limits_shape(one) for one in found], following)


async def one(desk: TheDesk, subject: str) -> Annotated[Json, LimitsState]:
    """What was set on a subject, what holds for it, and how its month stands."""
    return await _shown(desk, await limited(desk.store, subject))


async def put(
    desk: TheDesk, actor: TheActor, announce: TheAnnounce, subject: str, form: LimitsForm
) -> Annotated[Json, LimitsState]:
    """All limits of a subject, at every gateway within a second. What is not said is not limited any more."""
    found = await set_limits(desk.store, actor, subject, form.limits())
    await announce()
    return await _shown(desk, found)


async def clear(desk: TheDesk, actor: TheActor, announce: TheAnnounce, subject: str) -> Annotated[Json, LimitsState]:
    """Nothing is set on a subject any more. Wider limits go on holding."""
    found = await clear_limits(desk.store, actor, subject)
    await announce()
    return await _shown(desk, found)


async def of_key(desk: TheDesk, key_id: str) -> Annotated[Json, KeyLimits]:
    """All that the requests of a key are inside of, the widest first."""
    return await key_limits(desk, await key_named(desk.store, key_id))


async def key_limits(desk: FrontDesk, key: ApiKey) -> Json:
    """The answer about one key."""
    states = await states_around(desk.store, desk.clock, key)
    shown = listing([state_shape(state) for state in states])
    return {**shown, "tightest": [tightest_shape(one) for one in tightest(states)]}


async def read_place(request: Request) -> Target | None:
    """Of `{subject}`: where it lies; of a user, for who sees less of them, a tenant in which both are."""
    found = await find_limited(front_desk(request).store, request.path_params["subject"])
    return None if found is None else await _place_seen(request, found)


async def write_place(request: Request) -> Target | None:
    """Of `{subject}`: over what somebody must have a right to limit it; None for who cannot see it."""
    store = front_desk(request).store
    found = await find_limited(store, request.path_params["subject"])
    if found is None or await _place_seen(request, found) is None:
        return None
    return await place_to_limit(store, found)


async def _place_seen(request: Request, found: Limited) -> Target | None:
    if found.level is not Level.USER:
        return found.place
    grants = await front_desk(request).store.people(Realm.CUSTOMER).grants(found.object_id)
    places = [found.place, *(grant.target for grant in grants)]
    return next((place for place in places if actor_of(request).may(May.LIMITS_READ, place)), None)


async def _shown(desk: FrontDesk, found: Limited) -> Json:
    return state_shape(await state_of(desk.store, desk.clock, found))


_LIMITS = "/v1/limits/{subject}"
LIMITS = (
    Route("GET", "/v1/limits", all_limits, May.LIMITS_READ),
    Route("GET", _LIMITS, one, May.LIMITS_READ, target=read_place),
    Route("PUT", _LIMITS, put, May.LIMITS_WRITE, target=write_place, action="limits.updated"),
    Route("DELETE", _LIMITS, clear, May.LIMITS_WRITE, target=write_place, action="limits.deleted"),
    Route("GET", "/v1/keys/{key_id}/limits", of_key, May.LIMITS_READ, target=key_place),
)
"""The same at both listeners: what differs is how far the caller's rights reach."""
