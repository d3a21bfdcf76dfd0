"""Double entry in one row: a transfer takes from one account and gives to another, so nothing can be made or lost."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.core.money import Money


class TransferKind(StrEnum):
    """Why money moved. With the request id (or the lease) it is unique."""

    CREDIT = "credit"
    """Allowance to tenant: an order."""
    GRANT = "grant"
    """Tenant to the lease of a gateway run."""
    SETTLE = "settle"
    """Lease to revenue: what a request was billed."""
    WRITE_OFF = "write_off"
    """Write-off to revenue: what a request cost beyond its bill."""
    RETURN = "return"
    """Lease to tenant."""
    LOST = "lost"
    """Lease to tenant, of a run whose journal nobody can read any more: what cannot be known is never billed."""
    REFUND = "refund"
    """Revenue to tenant: a correction."""
    EXPIRY = "expiry"
    """Tenant to allowance: what was not spent of an order in its time."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One row of the ledger. `reference` is the request id, or the lease or order that caused it."""

    kind: TransferKind
    reference: str
    debit: str
    credit: str
    amount: Money
    note: str = ""
    """Why, in the words of who did it by hand."""

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


def tenant_of_account(account: str) -> str:
    """Whose account it is. Raises ValueError for another kind of account."""
    kind, _, tenant_id = account.partition(":")
    if kind != "tenant" or not tenant_id:
        raise ValueError(f"{account!r} is not the account of a tenant")
    return tenant_id


def lease_account(tenant_id: str, incarnation: str) -> str:
    """What one gateway run holds of a tenant's money; never negative."""
    return f"lease:{tenant_id}:{incarnation}"
