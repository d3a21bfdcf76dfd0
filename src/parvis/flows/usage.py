"""Usage as it is read: by whom, and how far."""

from collections.abc import Iterable

from parvis.core.errors import NotFound
from parvis.core.money import ZERO
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import UsageTotal
from parvis.flows.store import UsageStore


async def one_request(store: UsageStore, request_id: str, tenant_id: str | None) -> UsageRecord:
    """One request, of this tenant or (None) of any. What another tenant asked does not exist. Raises NotFound."""
    record = await store.request(request_id)
    if record is None or tenant_id not in (None, record.started.tenant_id):
        raise NotFound(f"There is no request '{request_id[:100]}'.")
    return record


def grand_total(totals: Iterable[UsageTotal]) -> UsageTotal:
    """The sum of the groups, so that a report and its last line cannot disagree."""
    groups = list(totals)
    return UsageTotal(
        group=(),
        requests=sum(total.requests for total in groups),
        tokens=TokenCount(
            input=sum(total.tokens.input for total in groups),
            cached=sum(total.tokens.cached for total in groups),
            output=sum(total.tokens.output for total in groups),
            reasoning=sum(total.tokens.reasoning for total in groups),
        ),
        billed=sum((total.billed for total in groups), ZERO),
        written_off=sum((total.written_off for total in groups), ZERO),
        estimated_requests=sum(total.estimated_requests for total in groups),
    )
