"""Double entry in one row: a transfer takes from one account and gives to another, so nothing can be made or lost."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.core.money import Money


class TransferKind(StrEnum):
    """Why money moved. With the request id (or the lease) it is unique."""

    CREDIT = "credit"
    GRANT = "grant"
    SETTLE = "settle"
    WRITE_OFF = "write_off"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One row of the ledger. `reference` is the request id, or the lease or order that caused it."""

    kind: TransferKind
    reference: str
    debit: str
    credit: str
    amount: Money

    def __post_init__(self) -> None:
        if self.amount.pico_euro <= 0:
            raise ValueError("a transfer moves more than nothing")
        if self.debit == self.credit:
            raise ValueError("a transfer needs two accounts")


WORLD_ALLOWANCE = "world:allowance"
"""Where credit comes from. World accounts may be negative: they mirror what is outside the system."""
WORLD_WRITE_OFF = "world:write_off"
REVENUE = "revenue"


def tenant_account(tenant_id: str) -> str:
    """What a tenant may still spend; never negative."""
    return f"tenant:{tenant_id}"


def lease_account(tenant_id: str, incarnation: str) -> str:
    """What one gateway run holds of a tenant's money; never negative."""
    return f"lease:{tenant_id}:{incarnation}"
