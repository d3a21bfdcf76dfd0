"""Orders, corrections, and what became of money that gateways held: `/v1/orders`, `/v1/refunds`, `/v1/ledger/*`."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers_books import Dismissal, Loss, Order, Refund, Run, SelfCheck, Unbookable
from parvis.api.operator.desk import TheDesk
from parvis.api.operator.money import Euro, Name
from parvis.api.web.answers import Listed
from parvis.api.web.instants import read_instant, write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json, listing, money_shape, page
from parvis.core.errors import BadRequest
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.domain.billing.books import Unbooked
from parvis.domain.billing.order import Order as Ordered
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.identity.permission import Permission as May
from parvis.flows.bookkeeping import declare_lost

Note = Annotated[str, Field(max_length=500)]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="why, for whoever reads the books")]


class OrderForm(BaseModel):
    """Credit that a tenant has bought. An `order_id` is credited once, however often it is sent."""

    model_config = ConfigDict(extra="forbid")
    tenant_id: Name
    euro: Euro
    order_id: Name | None = None
    expires_at: str | None = None
    note: Note = ""


class RefundForm(BaseModel):
    """A correction: money that a tenant was billed comes back. A `reference` is refunded once."""

    model_config = ConfigDict(extra="forbid")
    tenant_id: Name
    euro: Euro
    reference: Name | None = None
    note: Reason


class LossForm(BaseModel):
    """A run whose journal nobody can read any more. `dry_run` shows what would come back."""

    model_config = ConfigDict(extra="forbid")
    run: Name
    note: Reason
    dry_run: bool = False


class DismissalForm(BaseModel):
    """A request that was set aside, and somebody has looked into it."""

    model_config = ConfigDict(extra="forbid")
    request_id: Name
    note: Reason


class OrdersQuery(PageQuery):
    """Orders of one tenant, or of all."""

    tenant: str | None = None


async def all_orders(desk: TheDesk, query: Annotated[OrdersQuery, Query()]) -> Annotated[Json, Listed[Order]]:
    """Orders and refunds, by their ids. What expires first is spent first."""
    found = await desk.store.orders_page(query.tenant, query.after, query.limit + 1)
    following = found[query.limit - 1].order_id if len(found) > query.limit else None
    return listing([_order_shape(order) for order in found[: query.limit]], following)


async def add_order(desk: TheDesk, form: OrderForm) -> Annotated[Json, Order]:
    """Add to what a tenant may spend, for a time or for good."""
    now = desk.clock.unix_ms()
    expires = read_instant(form.expires_at, "expires_at")
    if expires is not None and expires <= now:
        raise BadRequest("'expires_at' must be in the future.", param="expires_at")
    order_id = form.order_id or new_id("order", now, desk.randomness)
    ordered = Ordered(order_id, form.tenant_id, Money.euro(form.euro), form.note, expires)
    return _order_shape(await desk.store.add_order(ordered))


async def refund(desk: TheDesk, form: RefundForm) -> Annotated[Json, Refund]:
    """Give back what a tenant was billed, at most all of it. It never expires."""
    amount = Money.euro(form.euro)
    reference = form.reference or new_id("refund", desk.clock.unix_ms(), desk.randomness)
    await desk.store.refund(form.tenant_id, amount, reference, form.note)
    balance = await desk.store.balance(tenant_account(form.tenant_id))
    return {
        "object": "refund",
        "tenant_id": form.tenant_id,
        "reference": reference,
        "amount": money_shape(amount),
        "note": form.note,
        "balance": money_shape(balance),
    }


async def open_runs(desk: TheDesk, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[Run]]:
    """Runs of gateways that hold money, by their ids. Of one without a journal at hand see `/v1/ledger/losses`."""
    now = desk.status()
    runs = await desk.store.open_incarnations()
    shown = page(runs, str, lambda run: {"id": run}, query.after, query.limit)
    shown["data"] = [
        {
            "object": "ledger.run",
            "id": one["id"],
            "connected": one["id"] in now["gateways"],
            "journal_at_hand": one["id"] in now["open_runs"],
            "holds": _holdings(await desk.store.held_by(one["id"])),
        }
        for one in shown["data"]
    ]
    return shown


async def lose(desk: TheDesk, form: LossForm) -> Annotated[Json, Loss]:
    """Give back what a run held whose journal nobody can read any more. What it has spent is billed to nobody."""
    now = desk.status()
    at_hand = {*now["gateways"], *now["open_runs"]}
    back = await declare_lost(desk.store, at_hand, form.run, form.note, dry=form.dry_run)
    return {"object": "ledger.loss", "run": form.run, "dry_run": form.dry_run, "returned": _holdings(back)}


async def unbookable(desk: TheDesk, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[Unbookable]]:
    """Requests that the books refused, by their ids. They are in no sum."""
    found = await desk.store.unbookable(query.after, query.limit + 1)
    following = found[query.limit - 1].request_id if len(found) > query.limit else None
    return listing([_unbookable_shape(one) for one in found[: query.limit]], following)


async def dismiss(desk: TheDesk, form: DismissalForm) -> Annotated[Json, Dismissal]:
    """Say what you have found out about a request that was set aside: it is no difference any more."""
    await desk.store.dismiss(form.request_id, form.note)
    return {"object": "ledger.dismissal", "id": form.request_id, "note": form.note}


async def last_check(desk: TheDesk) -> Annotated[Json, SelfCheck]:
    """What the books found when they last checked themselves, which they do every minute, and once a day as a whole."""
    last = await desk.store.last_check()
    return {
        "object": "self_check",
        "ok": last is None or not last.differences,
        "checked_at": None if last is None else write_instant(last.at_unix_ms),
        "checked_whole_at": None if last is None else write_instant(last.whole_unix_ms),
        "differences": [] if last is None else list(last.differences),
    }


def _order_shape(order: Ordered) -> Json:
    return {
        "object": "order",
        "id": order.order_id,
        "tenant_id": order.tenant_id,
        "kind": order.kind,
        "amount": money_shape(order.amount),
        "unspent": money_shape(order.unspent),
        "expired": money_shape(order.expired),
        "note": order.note,
        "made_at": write_instant(order.made_unix_ms),
        "expires_at": None if order.expires_unix_ms is None else write_instant(order.expires_unix_ms),
        "closed_at": None if order.closed_unix_ms is None else write_instant(order.closed_unix_ms),
    }


def _unbookable_shape(one: Unbooked) -> Json:
    return {
        "object": "ledger.unbookable",
        "id": one.request_id,
        "run": one.incarnation,
        "tenant_id": one.tenant_id,
        "reason": one.reason,
        "set_aside_at": write_instant(one.at_unix_ms),
        "note": one.note,
        "record": one.record,
    }


def _holdings(held: Mapping[str, Money]) -> list[Json]:
    return [{"account": account, "amount": money_shape(amount)} for account, amount in held.items()]


ROUTES = (
    Route("GET", "/v1/orders", all_orders, May.BALANCES_READ),
    Route("POST", "/v1/orders", add_order, May.CREDITS_WRITE, 201, action="order.created"),
    Route("POST", "/v1/refunds", refund, May.CREDITS_WRITE, 201, action="refund.created"),
    Route("GET", "/v1/ledger/runs", open_runs, May.BALANCES_READ),
    Route("POST", "/v1/ledger/losses", lose, May.CREDITS_WRITE, action="ledger_run.lost"),
    Route("GET", "/v1/ledger/unbookable", unbookable, May.BALANCES_READ),
    Route("POST", "/v1/ledger/dismissals", dismiss, May.CREDITS_WRITE, action="ledger_request.dismissed"),
    Route("GET", "/v1/check/last", last_check, May.LEDGER_CHECK),
)
