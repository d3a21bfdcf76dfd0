"""Who used what: `/v1/usage` and `/v1/requests`."""

from typing import Annotated

from fastapi import Query

from parvis.api.operator.answers import RequestInside
from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed, Usage
from parvis.api.web.exports import ExportQuery, TableFile, export_requests, export_usage
from parvis.api.web.queries import ALL_GROUPS, PageQuery, SpanQuery
from parvis.api.web.shapes import Json, listing, record_shape_inside, total_shape
from parvis.flows.usage import one_request, usage_report


class UsageQuery(SpanQuery):
    """Usage of one tenant, or of all."""

    tenant: str | None = None


class RequestsQuery(PageQuery):
    """Requests of one tenant, or of all."""

    tenant: str | None = None


async def totals(desk: TheDesk, query: Annotated[UsageQuery, Query()]) -> Annotated[Json, Usage]:
    """Sums over the requests started in [since, until), and the sum of these sums."""
    groups = query.groups(allowed=ALL_GROUPS)
    report = await usage_report(desk.store, query.tenant, groups, *query.span_unix_ms)
    return {**listing([total_shape(row, groups) for row in report.groups]), "total": total_shape(report.total, ())}


class ExportedQuery(ExportQuery):
    """What of one tenant, or of all."""

    tenant: str | None = None

    @property
    def tenant_ids(self) -> tuple[str, ...] | None:
        return None if self.tenant is None else (self.tenant,)


async def usage_file(desk: TheDesk, query: Annotated[ExportedQuery, Query()]) -> TableFile:
    """Sums over the requests started in [since, until), every group of them, as a CSV or Parquet file."""
    return await export_usage(desk.store, query.tenant_ids, query, ALL_GROUPS)


async def requests_file(desk: TheDesk, query: Annotated[ExportedQuery, Query()]) -> TableFile:
    """All requests of a span, oldest first, as a CSV or Parquet file."""
    return await export_requests(desk.store, query.tenant_ids, query)


async def requests(desk: TheDesk, query: Annotated[RequestsQuery, Query()]) -> Annotated[Json, Listed[RequestInside]]:
    """One page of requests, newest first."""
    found = await desk.store.requests(query.tenant, query.after, query.limit)
    return listing([record_shape_inside(record) for record in found.records], found.after)


async def one(desk: TheDesk, request_id: str) -> Annotated[Json, RequestInside]:
    """One request, of any tenant."""
    return record_shape_inside(await one_request(desk.store, request_id, None))
