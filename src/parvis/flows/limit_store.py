"""What stories need to remember of tiers and limits. The promises of `parvis.flows.store` hold here too."""

from collections.abc import Sequence
from typing import Protocol

from parvis.core.money import Money
from parvis.domain.identity.notice import Notice
from parvis.domain.identity.place import Target
from parvis.domain.quota.limit import Limits, SubjectLimits, Tier


class LimitStore(Protocol):
    """Tiers and limits. Gateways learn of each change. The conformance suite: `parvis.testing.limit_suite`.

    A change goes before all that waits to be written: it may take something away.
    """

    async def tiers(self) -> list[Tier]:
        """All, sorted by id."""

    async def put_tier(self, tier: Tier) -> None:
        """Add it, or replace the one of this id: for all contracts of it, at once."""

    async def put_limits(self, limits: SubjectLimits) -> None:
        """Replace what is set on this subject; `NO_LIMITS` takes them away."""

    async def limits_set(self, subjects: Sequence[str]) -> dict[str, Limits]:
        """What is set on these subjects, where something is. Of a contract: what was agreed beside its tier."""

    async def limits_page(self, places: Sequence[Target] | None, after: str | None, limit: int) -> list[SubjectLimits]:
        """The next ones after a subject in these places or anywhere, sorted; subjects without limits are not there."""

    async def limits_in_force(self, subjects: Sequence[str] | None = None) -> dict[str, Limits]:
        """What holds for these subjects or for all, where something does: of a contract its tier and what was agreed.

        Of a subject that is not there, nothing holds.
        """

    async def limits_watched(self) -> list[SubjectLimits]:
        """Those in force of which somebody wants to be told how much of a month's money is spent."""

    async def thresholds_told(self, month: int) -> set[tuple[str, Money]]:
        """The subjects and amounts of this month (of credit: of month 0) of which notice was given."""

    async def tell_threshold(
        self, subject: str, month: int, amounts: Sequence[Money], notices: Sequence[Notice], now_unix_ms: int
    ) -> int:
        """Keep that these amounts were told of, and the notices, each with a dispatch to every target of its tenant.

        Returns how many notices were made: none, and none is kept, when all of these amounts had been told of.
        """
