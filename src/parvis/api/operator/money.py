"""Prices, credit and the books: `/v1/prices`, `/v1/credits`, `/v1/balances`, `/v1/check`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers import Balances, Check, Credit, PriceListInForce
from parvis.api.operator.desk import TheDesk
from parvis.api.operator.price_form import PriceFields
from parvis.api.web.answers import Listed
from parvis.api.web.answers import PriceList as PriceListShown
from parvis.api.web.instants import read_instant
from parvis.api.web.shapes import Json, listing, money_shape, price_shape
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.domain.billing.price import price_in_force
from parvis.domain.billing.transfer import REVENUE, WORLD_ALLOWANCE, WORLD_WRITE_OFF, tenant_account
from parvis.flows.catalogue import PRICES_ALL, add_prices

Name = Annotated[str, Field(min_length=1, max_length=100)]
Euro = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$", description="decimal euro, like 200.00")]


class PriceForm(PriceFields):
    """Prices of one model, or of all (`*`), from a date on: by default from now."""

    model_config = ConfigDict(extra="forbid")
    version: Name | None = None
    model_id: Name = PRICES_ALL
    valid_from: str | None = None


class CreditForm(BaseModel):
    """Credit for a tenant. A `reference` is credited once, however often it is sent."""

    model_config = ConfigDict(extra="forbid")
    tenant_id: Name
    euro: Euro
    reference: Name | None = None


async def all_prices(desk: TheDesk) -> Annotated[Json, Listed[PriceListInForce]]:
    """Every price list that ever was, by the time from which it holds, and which ones are in force."""
    lists, now = await desk.store.prices(), desk.clock.unix_ms()
    current = {model_id: price_in_force(lists, model_id, now) for model_id in {p.model_id for p in lists}}
    return listing([{**price_shape(p), "in_force": current[p.model_id] == p} for p in lists])


async def add_price_list(desk: TheDesk, form: PriceForm) -> Annotated[Json, PriceListShown]:
    """Append a price list. None is ever changed: requests are billed by the version that they started under."""
    now = desk.clock.unix_ms()
    starts = read_instant(form.valid_from, "valid_from")
    version = form.version or new_id("prices", now, desk.randomness)
    prices = form.price_list(version, form.model_id, now if starts is None else starts)
    await add_prices(desk.store, prices)
    await desk.announce()
    return price_shape(prices)


async def credit(desk: TheDesk, form: CreditForm) -> Annotated[Json, Credit]:
    """Add to what a tenant may spend."""
    amount = Money.euro(form.euro)
    reference = form.reference or new_id("credit", desk.clock.unix_ms(), desk.randomness)
    await desk.store.credit(form.tenant_id, amount, reference)
    balance = await desk.store.balance(tenant_account(form.tenant_id))
    return {
        "object": "credit",
        "tenant_id": form.tenant_id,
        "reference": reference,
        "amount": money_shape(amount),
        "balance": money_shape(balance),
    }


async def balances(desk: TheDesk) -> Annotated[Json, Balances]:
    """What each tenant may still spend (what gateways hold is not in it), and the accounts of the house."""
    tenants = [
        {
            "object": "balance",
            "tenant_id": tenant.tenant_id,
            "organisation_id": tenant.organisation_id,
            "name": tenant.name,
            "credit_unlimited": tenant.credit_unlimited,
            "balance": money_shape(await desk.store.balance(tenant_account(tenant.tenant_id))),
        }
        for tenant in await desk.store.tenants()
    ]
    house = (REVENUE, WORLD_ALLOWANCE, WORLD_WRITE_OFF)
    return {**listing(tenants), "house": {name: money_shape(await desk.store.balance(name)) for name in house}}


async def check(desk: TheDesk) -> Annotated[Json, Check]:
    """Add everything up again. Reads every row: minutes for ten million."""
    differences = await desk.store.check()
    return {"object": "check", "ok": not differences, "differences": differences}
