"""Who pays: a part of an organisation with an account of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as the store keeps it."""

    tenant_id: str
    organisation_id: str
    name: str
    credit_unlimited: bool
    """Its account is filled from the allowance whenever a lease asks for more than is left."""
