"""Prepaid credit: each order has its time, and what expires first is spent first."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from parvis.core.money import ZERO, Money
from parvis.domain.billing.transfer import TransferKind

_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Order:
    """Credit that a tenant has bought (or got back: a refund is an order that never expires)."""

    order_id: str
    tenant_id: str
    amount: Money
    note: str = ""
    expires_unix_ms: int | None = None
    """From then on nothing of it can be spent; None: never."""
    made_unix_ms: int = 0
    kind: TransferKind = TransferKind.CREDIT
    unspent: Money = ZERO
    """Of what was neither spent nor has expired."""
    expired: Money = ZERO
    """What went back unspent."""
    closed_unix_ms: int | None = None
    """When it had expired and its last part went back."""


def spend_in_order(orders: Iterable[Order], left: Money) -> list[Order]:
    """The open orders of one tenant when this much credit is left of all: what is gone is of those that expire first.

    Sorted so that what is spent next comes first. Never changes more than `unspent`, and never makes it more.
    """
    queue = sorted(orders, key=_turn)
    gone = max(ZERO, sum((order.unspent for order in queue), ZERO) - left)
    after = []
    for order in queue:
        of_it = min(order.unspent, gone)
        gone -= of_it
        after.append(replace(order, unspent=order.unspent - of_it))
    return after


def _turn(order: Order) -> tuple[int, int, str]:
    expires = _NEVER if order.expires_unix_ms is None else order.expires_unix_ms
    return expires, order.made_unix_ms, order.order_id
