"""What a receipt says of one request: everything by which its price can be worked out again, and nothing else."""

from dataclasses import dataclass
from typing import Any

from parvis.core.money import Money
from parvis.core.quantities import Quantities
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import UNIT_PRICES, PriceList, whole_cost

Facts = dict[str, Any]
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One request, as it was booked."""

    request_id: str
    tenant_id: str
    key_id: str
    model_id: str
    operation: str
    outcome: str
    started_unix_ms: int
    first_byte_ms: int
    total_ms: int
    tokens: TokenCount
    estimated: bool
    prices: PriceList
    billed: Money
    written_off: Money
    quantities: Quantities | None = None


def facts_of(row: ReceiptRow) -> Facts:
    """The row as JSON. Amounts are texts: they may be beyond what a reader of JSON keeps exact.

    Of what was used beside tokens it speaks where there is any: all other rows stay as they were always spelt.
    """
    prices = row.prices
    facts: Facts = {
        "request_id": row.request_id,
        "tenant_id": row.tenant_id,
        "key_id": row.key_id,
        "model": row.model_id,
        "operation": row.operation,
        "outcome": row.outcome,
        "started_unix_ms": row.started_unix_ms,
        "first_byte_ms": row.first_byte_ms,
        "total_ms": row.total_ms,
        "tokens": row.tokens._asdict(),
        "estimated": row.estimated,
        "price_version": prices.version,
        "microeuro_per_mtoken": {
            "input": prices.input_microeuro_per_mtoken,
            "cached": prices.cached_microeuro_per_mtoken,
            "output": prices.output_microeuro_per_mtoken,
            "reasoning": prices.reasoning_microeuro_per_mtoken,
        },
        "billed_pico_euro": str(row.billed.pico_euro),
        "written_off_pico_euro": str(row.written_off.pico_euro),
    }
    if row.quantities is not None:
        facts["quantities"] = row.quantities._asdict()
        facts["pico_euro_per_unit"] = {name: str(getattr(prices, name) or 0) for name in UNIT_PRICES}
    return facts


def salted(salt: bytes, spelt: bytes) -> bytes:
    """The data of a leaf. Without the salt, which is on this receipt alone, nobody can guess a neighbour's row."""
    return salt + spelt


def amounts_due(facts: Facts) -> tuple[Money, Money]:
    """What it all costs at the prices, and what was billed and written off together; equal on an honest receipt.

    Raises KeyError, TypeError or ValueError for facts that are none of a receipt.
    """
    named = {f"{name}_microeuro_per_mtoken": price for name, price in facts["microeuro_per_mtoken"].items()}
    if "quantities" in facts:
        named |= {name: int(facts["pico_euro_per_unit"][name]) for name in UNIT_PRICES}
    prices = PriceList(facts["price_version"], facts["model"], 0, **named)
    due = whole_cost(TokenCount(**facts["tokens"]), Quantities(**facts.get("quantities", {})), prices)
    booked = int(facts["billed_pico_euro"]) + int(facts["written_off_pico_euro"])
    return due, Money(booked)
