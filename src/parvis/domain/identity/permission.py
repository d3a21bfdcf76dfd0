"""What somebody may do, by name. A route of the administration names the one that it needs."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.api_key import ApiKey


class Permission(StrEnum):
    """Room and verb. `own.*` is a tenant's sight of itself; the others are the operator's."""

    HEALTH_READ = "health.read"
    METRICS_READ = "metrics.read"
    STATUS_READ = "status.read"
    OPENAPI_READ = "openapi.read"
    MODELS_READ = "models.read"
    MODELS_WRITE = "models.write"
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    PRICES_READ = "prices.read"
    PRICES_WRITE = "prices.write"
    USAGE_READ = "usage.read"
    REQUESTS_READ = "requests.read"
    BALANCES_READ = "balances.read"
    CREDITS_WRITE = "credits.write"
    LEDGER_CHECK = "ledger.check"
    OWN_ACCOUNT_READ = "own.account.read"
    OWN_USAGE_READ = "own.usage.read"
    OWN_REQUESTS_READ = "own.requests.read"
    OWN_MODELS_READ = "own.models.read"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credential was right. `key` is a customer's; the operator has none."""

    name: str
    permissions: frozenset[Permission]
    key: ApiKey | None = None


CUSTOMER_PERMISSIONS = frozenset(
    {
        Permission.OPENAPI_READ,
        Permission.OWN_ACCOUNT_READ,
        Permission.OWN_USAGE_READ,
        Permission.OWN_REQUESTS_READ,
        Permission.OWN_MODELS_READ,
    }
)
OPERATOR_PERMISSIONS = frozenset(Permission) - {p for p in Permission if p.startswith("own.")}


ANYBODY = Principal("anybody", frozenset({Permission.HEALTH_READ}))
"""Who has shown no credential. Probes of a machine have none; what they learn is a word."""


def operator() -> Principal:
    """Who holds the operator's token."""
    return Principal("operator", OPERATOR_PERMISSIONS)


def customer(key: ApiKey) -> Principal:
    """Who holds an API key: sees its tenant, changes nothing."""
    return Principal(f"key {key.key_id}", CUSTOMER_PERMISSIONS, key)
