"""Where claims of inference requests are kept. Suite: `parvis.testing.claim_suite`."""

from typing import Protocol

from parvis.domain.metering.claim import Claim, Verdict


class ClaimStore(Protocol):
    """At most one claim for each tenant and key."""

    async def take_claim(self, claim: Claim) -> Verdict:
        """Look and take in one step: of any number at the same moment one gets `RUN`. Raises Conflict for no tenant."""

    async def claim_of(self, ask: str) -> Claim | None:
        """The claim that this attempt holds and that still runs."""

    async def keep_claimed(self, claim: Claim, sealed: bytes | None) -> None:
        """Its request has ended with this answer, or (None) with one that is not kept. A lost claim stays lost."""

    async def free_claim(self, claim: Claim) -> None:
        """Its request has failed: the key is free. A lost claim stays lost."""

    async def answer_claimed(self, claim: Claim) -> bytes | None:
        """The sealed answer under the key of this claim."""

    async def forget_claims(self, before_unix_ms: int, limit: int) -> int:
        """Remove some of those that were made before; return how many. What they kept is overwritten."""
