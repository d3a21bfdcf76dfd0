"""What this month will have cost: `/v1/forecast`. And the limits of the key that asks: `/v1/me/limits`."""

from typing import Annotated

from fastapi import Query

from parvis.api.console.desk import TheDesk, TheKey
from parvis.api.web.answers import Listed
from parvis.api.web.answers_limits import Forecast, KeyLimits
from parvis.api.web.limit_forms import key_limits
from parvis.api.web.limit_shapes import month_text
from parvis.api.web.places import own_tenant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route, TheActor
from parvis.api.web.shapes import Json, listing, money_shape
from parvis.domain.identity.permission import Permission as May
from parvis.flows.limit_states import Expectation, forecasts


async def forecast(
    desk: TheDesk, actor: TheActor, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Forecast]]:
    """Of each tenant whose costs the caller may read: what it has spent in this month, and what is expected."""
    found, following = await forecasts(desk.store, desk.clock, actor, query.after, query.limit)
    return listing([_shape(one) for one in found], following)


async def own_limits(desk: TheDesk, key: TheKey) -> Annotated[Json, KeyLimits]:
    """All that the requests of this key are inside of, the widest first."""
    return await key_limits(desk, key)


def _shape(one: Expectation) -> Json:
    return {
        "object": "forecast",
        "tenant_id": one.tenant_id,
        "month": month_text(one.month),
        "spent": money_shape(one.spent),
        "expected": money_shape(one.expected),
    }


ROUTES = (
    Route("GET", "/v1/forecast", forecast, May.COSTS_READ),
    Route("GET", "/v1/me/limits", own_limits, May.OWN_ACCOUNT_READ, target=own_tenant),
)
