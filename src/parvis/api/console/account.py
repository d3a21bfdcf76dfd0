"""A customer's own account, usage and requests. The tenant is always the key's; nobody can name another."""

from typing import Annotated

from fastapi import Query

from parvis.api.console.desk import TheDesk, TheKey
from parvis.api.web.answers import Listed, Request, Usage
from parvis.api.web.answers_keys import Account
from parvis.api.web.exports import ExportQuery, TableFile, export_requests, export_usage
from parvis.api.web.queries import OWN_GROUPS, PageQuery, SpanQuery
from parvis.api.web.shapes import Json, key_shape, listing, money_shape, record_shape, total_shape
from parvis.domain.billing.transfer import tenant_account
from parvis.flows.keys import tenant_named
from parvis.flows.usage import one_request, usage_report


async def me(desk: TheDesk, key: TheKey) -> Annotated[Json, Account]:
    """Who this key belongs to, and what may still be spent (what gateways hold is not in it)."""
    tenant = await tenant_named(desk.store, key.tenant_id)
    return {
        "object": "account",
        "organisation_id": tenant.organisation_id,
        "tenant_id": tenant.tenant_id,
        "name": tenant.name,
        "credit_unlimited": tenant.credit_unlimited,
        "balance": money_shape(await desk.store.balance(tenant_account(tenant.tenant_id))),
        "key": key_shape(key),
    }


async def usage(desk: TheDesk, key: TheKey, query: Annotated[SpanQuery, Query()]) -> Annotated[Json, Usage]:
    """Sums over the tenant's requests started in [since, until), and the sum of these sums."""
    groups = query.groups(allowed=OWN_GROUPS)
    report = await usage_report(desk.store, key.tenant_id, groups, *query.span_unix_ms)
    return {**listing([total_shape(row, groups) for row in report.groups]), "total": total_shape(report.total, ())}


async def usage_file(desk: TheDesk, key: TheKey, query: Annotated[ExportQuery, Query()]) -> TableFile:
    """Sums over the tenant's requests started in [since, until), every group of them, as a CSV or Parquet file."""
    return await export_usage(desk.store, (key.tenant_id,), query, OWN_GROUPS)


async def requests_file(desk: TheDesk, key: TheKey, query: Annotated[ExportQuery, Query()]) -> TableFile:
    """All of the tenant's requests of a span, oldest first, as a CSV or Parquet file."""
    return await export_requests(desk.store, (key.tenant_id,), query)


async def requests(
    desk: TheDesk, key: TheKey, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Request]]:
    """One page of the tenant's requests, newest first."""
    found = await desk.store.requests(key.tenant_id, query.after, query.limit)
    return listing([record_shape(record) for record in found.records], found.after)


async def one(desk: TheDesk, key: TheKey, request_id: str) -> Annotated[Json, Request]:
    """One of the tenant's requests. Another tenant's does not exist."""
    return record_shape(await one_request(desk.store, request_id, key.tenant_id))
