"""Who used what: `/v1/usage` and `/v1/requests`."""

from typing import Annotated

from fastapi import Query

from parvis.api.operator.answers import RequestInside
from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed, Usage
from parvis.api.web.queries import PageQuery, SpanQuery
from parvis.api.web.shapes import Json, listing, record_shape_inside, total_shape
from parvis.flows.usage import grand_total, one_request


class UsageQuery(SpanQuery):
    """Usage of one tenant, or of all."""

    tenant: str | None = None


class RequestsQuery(PageQuery):
    """Requests of one tenant, or of all."""

    tenant: str | None = None


async def totals(desk: TheDesk, query: Annotated[UsageQuery, Query()]) -> Annotated[Json, Usage]:
    """Sums over the requests started in [since, until), and the sum of these sums."""
    groups = query.groups(allowed=("tenant", "key", "model", "day"))
    rows = await desk.store.usage(query.tenant, groups, query.since_unix_ms(), query.until_unix_ms())
    return {**listing([total_shape(row, groups) for row in rows]), "total": total_shape(grand_total(rows), ())}


async def requests(desk: TheDesk, query: Annotated[RequestsQuery, Query()]) -> Annotated[Json, Listed[RequestInside]]:
    """One page of requests, newest first."""
    found = await desk.store.requests(query.tenant, query.after, query.limit)
    return listing([record_shape_inside(record) for record in found.records], found.after)


async def one(desk: TheDesk, request_id: str) -> Annotated[Json, RequestInside]:
    """One request, of any tenant."""
    return record_shape_inside(await one_request(desk.store, request_id, None))
