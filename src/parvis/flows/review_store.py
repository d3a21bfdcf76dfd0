"""What access reviews need from the store. The promises of `parvis.flows.store` hold here too.

The conformance suite is `parvis.testing.review_suite`.
"""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.identity.review import Campaign, Decision, Item, Tally


class ReviewStore(Protocol):
    """Campaigns and what was decided in them. Nothing is ever removed: they are evidence."""

    async def add_campaign(self, campaign: Campaign, items: Sequence[Item]) -> None:
        """Keep a campaign with all of its items. Raises Conflict when the id is taken."""

    async def campaigns(self) -> list[Campaign]:
        """All, the newest first."""

    async def campaign(self, review_id: str) -> Campaign | None:
        """One, by id."""

    async def campaign_tally(self, review_id: str) -> Tally:
        """How many items stand how; all zero for a campaign that does not exist."""

    async def campaign_item(self, review_id: str, item_id: str) -> Item | None:
        """One item of a campaign."""

    async def campaign_items(
        self,
        review_id: str,
        after: str | None,
        limit: int,
        decision: Decision | None = None,
        *,
        open_only: bool = False,
    ) -> list[Item]:
        """The next ones after an item's id, sorted by it; of one decision, or only those without one."""

    async def decide_item(self, item: Item) -> None:
        """Keep what an item now says. Raises NotFound; Conflict when its campaign is closed, or it was withdrawn."""

    async def close_campaign(self, review_id: str, at_unix_ms: int) -> None:
        """No more decisions. Raises NotFound; again is no error and changes nothing."""
