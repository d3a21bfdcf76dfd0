"""Whether the prompts of one tenant can be told from the prefix cache by another. Pure; see docs/adr/0017.

An engine that has read a prompt before answers sooner, and says so in `cached_tokens`. Who may find the prompts of
others can therefore guess them, a block at a time.
"""

from enum import StrEnum

from parvis.domain.fleet.profile import EngineProfile
from parvis.domain.fleet.replica import CacheSharing


class Caching(StrEnum):
    """What is in force for the requests of a tenant on a replica."""

    SALTED = "salted"
    """Each tenant has its own cache: the engine is given a salt."""
    ALONE = "alone"
    """One cache, and no second tenant in the service."""
    OFF = "off"
    """Nothing is found again."""
    SHARED = "shared"
    """One cache for all tenants, as declared."""
    REFUSED = "refused"
    """The engine would share it and nobody has declared that: generation is refused."""


def caching_in_force(profile: EngineProfile, declared: CacheSharing, *, alone: bool) -> Caching:
    """What follows from the kind of engine, the declaration, and whether there is one tenant only."""
    if declared is CacheSharing.SHARED:
        return Caching.SHARED
    if declared is CacheSharing.OFF:
        return Caching.OFF
    if profile.salt:
        return Caching.SALTED
    if alone:
        return Caching.ALONE
    return Caching.OFF if profile.cache_switch else Caching.REFUSED
