"""A key whose secret was shown, and all that follows from it, worked out once; or why it opens nothing."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from parvis.domain.billing.transfer import tenant_account
from parvis.domain.catalog.auto import within_reach
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Exhaustion, Standing, Tenant
from parvis.domain.identity.scope import Endpoint, KeyScope, NamePatterns, address_in
from parvis.domain.quota.limit import Level, Limits, subject

NEVER_UNIX_MS = 1 << 62
ADDRESSES_KEPT_MAX = 4096
LimitsOf = Callable[[str], Limits | None]
"""The limits in force of a subject; None where it has none."""


def _unlimited(_: str) -> None:
    """For who decides nothing by limits."""


class Doubt(StrEnum):
    """Why a credential is refused: for the log alone. Its caller gets one answer for all of them."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown id"
    WRONG_SECRET = "wrong secret"  # noqa: S105 - the name of a doubt
    REVOKED = "revoked"
    EXPIRED = "key expired"
    ENDED = "secret ended"
    NOT_ACTIVE = "tenant not active"
    ADDRESS = "address not allowed"


@dataclass(frozen=True, slots=True)
class PreparedKey:
    """What the story reads of a key, again and again."""

    key: ApiKey
    use: tuple[str, int]
    """By which its last use is told: the key's id, and the instant at which the secret was made."""
    model_ids: frozenset[str]
    """Of the served models, those that tenant and key may use."""
    endpoints: frozenset[Endpoint]
    networks: tuple[tuple[str, ...], ...]
    """The tenant's and the key's, where they name any: a caller must be in both."""
    ends_unix_ms: int
    """When the key or its secret ends, whichever is sooner."""
    charged: tuple[str, ...]
    """Who pays: the account of the tenant, then each subject that has a budget for a month."""
    subjects: tuple[str, ...]
    """Those of its subjects that have limits on rates, or on requests at a time."""
    clips: bool
    """Whether an answer is shortened when its worst case is more than is left."""
    cache_salt: str = ""
    """Under which engines keep what they remember of its tenant's prompts apart (`flows.caches`)."""
    alone: bool = False
    """Its tenant is the only one."""
    priority: int = 0
    """Of the tier of its contract: where requests wait, those of a higher one go first."""


def prepare(
    key: ApiKey,
    secret: KeySecret,
    tenant: Tenant,
    model_ids: frozenset[str],
    limits: LimitsOf = _unlimited,
    *,
    cache_salt: str = "",
    alone: bool = False,
) -> PreparedKey:
    """Put together what holds for this key, shown with this secret, under the limits that `limits` finds."""
    ends = [end for end in (key.ends_unix_ms, secret.ends_unix_ms) if end is not None]
    limited = {one: found for one in subjects_of(key) if (found := limits(one)) is not None}
    return PreparedKey(
        key,
        (key.key_id, secret.made_unix_ms),
        model_ids,
        frozenset(key.scope.endpoints),
        networks_of(key, tenant),
        min(ends, default=NEVER_UNIX_MS),
        (tenant_account(key.tenant_id), *(one for one, found in limited.items() if found.monthly is not None)),
        tuple(one for one, found in limited.items() if found.rates or found.concurrent_max is not None),
        tenant.exhaustion is not Exhaustion.REFUSE,
        cache_salt,
        alone,
        max((found.priority for found in limited.values()), default=0),
    )


def subjects_of(key: ApiKey) -> list[str]:
    """All subjects inside whose limits a request of this key is, the widest first."""
    named = (
        (Level.CONTRACT, key.tenant_id),
        (Level.ORGANISATION, key.organisation_id),
        (Level.TENANT, key.tenant_id),
        (Level.PROJECT, key.project_id),
        (Level.USER, key.owner_id),
        (Level.KEY, key.key_id),
    )
    return [subject(level, name) for level, name in named if name]


def networks_of(key: ApiKey, tenant: Tenant) -> tuple[tuple[str, ...], ...]:
    """Each of the lists of networks in which a caller must be."""
    return tuple(tuple(networks) for networks in (tenant.addresses, key.scope.addresses) if networks)


def reach(models: Collection[Model], tenant: Tenant, scope: KeyScope) -> frozenset[str]:
    """The ids of the models that both tenant and key allow and neither denies, by id or alias.

    An entry that chooses is among them if one of its candidates is.
    """
    allowed = [NamePatterns(patterns) for patterns in (tenant.models_allowed, scope.models_allowed)]
    denied = [NamePatterns(patterns) for patterns in (tenant.models_denied, scope.models_denied)]
    names = {model.id: (model.id, *model.aliases) for model in models}
    reached = {
        model_id
        for model_id, known in names.items()
        if all(one.match(known) for one in allowed) and not any(one.match(known) for one in denied)
    }
    return frozenset(within_reach(models, reached))


def doubt_of(
    key: ApiKey, secret: KeySecret | None, tenant: Tenant | None, address: str, now_unix_ms: int
) -> Doubt | None:
    """What speaks against a key that was shown with one of its secrets (None: an ended one); None if nothing does."""
    if not key.active:
        return Doubt.REVOKED
    if key.ends_unix_ms is not None and now_unix_ms >= key.ends_unix_ms:
        return Doubt.EXPIRED
    if secret is None:
        return Doubt.ENDED
    if tenant is None or tenant.standing is not Standing.ACTIVE:
        return Doubt.NOT_ACTIVE
    return None if within(address, networks_of(key, tenant)) else Doubt.ADDRESS


def within(address: str, networks: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a caller at this address is in each of the lists of networks."""
    return all(_in_one(address, one) for one in networks)


_in_one = lru_cache(ADDRESSES_KEPT_MAX)(address_in)
