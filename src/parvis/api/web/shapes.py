"""How values of the domain look in JSON. Money is exact twice: as a text to read and as a whole number to add."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from parvis.api.web.instants import write_instant
from parvis.core.errors import BadRequest
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, batch_prices
from parvis.domain.billing.price_text import write_price, write_unit_price
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsageTotal

T = TypeVar("T")
Json = dict[str, Any]
PAGE_MAX = 1000


def listing(data: list[Json], following: str | None = None) -> Json:
    """One page. `next` is what to send as `after` for the following one."""
    return {"object": "list", "data": data, "has_more": following is not None, "next": following}


def page(
    items: Sequence[T], id_of: Callable[[T], str], shape: Callable[[T], Json], after: str | None, limit: int
) -> Json:
    """A page of a list that is sorted by id and whole in memory."""
    if not 0 < limit <= PAGE_MAX:
        raise BadRequest(f"'limit' must be 1 to {PAGE_MAX}.", param="limit")
    rest = [item for item in items if after is None or id_of(item) > after]
    shown = rest[:limit]
    return listing([shape(item) for item in shown], id_of(shown[-1]) if len(rest) > limit else None)


def money_shape(amount: Money) -> Json:
    """`{"text": "0.9 €", "pico_euro": 900000000000}`."""
    return {"text": str(amount), "pico_euro": amount.pico_euro}


def token_shape(tokens: TokenCount) -> Json:
    """The four classes, and their sum."""
    return {**tokens._asdict(), "total": tokens.total}


def total_shape(total: UsageTotal, group_by: Sequence[GroupBy]) -> Json:
    """One line of a report."""
    return {
        "group": dict(zip(group_by, total.group, strict=True)),
        "requests": total.requests,
        "estimated_requests": total.estimated_requests,
        "tokens": token_shape(total.tokens),
        "units": total.units._asdict(),
        "billed": money_shape(total.billed),
        "written_off": money_shape(total.written_off),
    }


def record_shape(record: UsageRecord) -> Json:
    """What a tenant may know of its request: users name models, never machines."""
    started, settled = record.started, record.settled
    return {
        "object": "request",
        "id": started.request_id,
        "tenant_id": started.tenant_id,
        "key_id": started.key_id,
        "model": started.model_id,
        "operation": started.operation,
        "streamed": started.streamed,
        "started_at": write_instant(started.started_unix_ms),
        "started_unix_ms": started.started_unix_ms,
        "outcome": settled.outcome,
        "tokens": token_shape(settled.tokens),
        "quantities": None if settled.quantities is None else settled.quantities._asdict(),
        "estimated": settled.estimated,
        "price_version": started.price_version,
        "billed": money_shape(Money(settled.billed_pico_euro)),
        "written_off": money_shape(Money(settled.written_off_pico_euro)),
        "first_byte_ms": settled.first_byte_ms,
        "total_ms": settled.total_ms,
    }


def record_shape_inside(record: UsageRecord) -> Json:
    """What the operator may know besides."""
    started = record.started
    return {
        **record_shape(record),
        "organisation_id": started.organisation_id,
        "replica_id": started.replica_id,
        "held": money_shape(Money(started.held_pico_euro)),
        "quarantined": record.settled.quarantined or None,
    }


def key_shape(key: ApiKey) -> Json:
    """A key without its digests."""
    return {
        "object": "key",
        "id": key.key_id,
        "name": key.name,
        "tenant_id": key.tenant_id,
        "organisation_id": key.organisation_id,
        "models": list(key.scope.models_allowed),
        "active": key.active,
    }


def tenant_shape(one: Tenant) -> Json:
    """A tenant with its rules. `standing` is its own, whatever its organisation's is."""
    return {
        "object": "tenant",
        "id": one.tenant_id,
        "organisation_id": one.organisation_id,
        "name": one.name,
        "standing": one.standing,
        "credit_unlimited": one.credit_unlimited,
        "models_allowed": list(one.models_allowed),
        "models_denied": list(one.models_denied),
        "addresses": list(one.addresses),
        "tier_id": one.tier_id or None,
        "exhaustion": one.exhaustion,
        "created_at": write_instant(one.created_unix_ms),
    }


def price_shape(prices: PriceList) -> Json:
    """A price list: whole micro-euro for a million tokens, whole pico-euro for a unit, and the same as texts."""
    return {
        "object": "price_list",
        **asdict(prices),
        "valid_from": write_instant(prices.valid_from_unix_ms),
        "per_mtoken": _per_mtoken(prices),
        "batch_per_mtoken": _per_mtoken(batch_prices(prices)),
        "per_unit": {
            "audio_minute": write_unit_price(prices.audio_pico_euro_per_minute),
            "document": write_unit_price(prices.rerank_pico_euro_per_document),
            "image": write_unit_price(prices.image_pico_euro_each),
        },
    }


def _per_mtoken(prices: PriceList) -> Json:
    return {
        "input": write_price(prices.input_microeuro_per_mtoken),
        "cached": write_price(prices.cached_microeuro_per_mtoken),
        "output": write_price(prices.output_microeuro_per_mtoken),
        "reasoning": write_price(prices.reasoning_microeuro_per_mtoken),
    }
