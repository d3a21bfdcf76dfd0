"""Access reviews."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.review_tables import review_items, reviews
from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.access import Access, Means
from parvis.domain.identity.place import Target
from parvis.domain.identity.review import Campaign, Decision, Item, Tally
from parvis.domain.identity.role import Role

_UNDECIDED = ""


class Reviews(Room):
    """`ReviewStore` on SQL."""

    async def add_campaign(self, campaign: Campaign, items: Sequence[Item]) -> None:
        """See the port."""
        await self.database.run(_add_campaign, campaign, items)

    async def campaigns(self) -> list[Campaign]:
        """See the port."""
        return await self.database.read(_campaigns)

    async def campaign(self, review_id: str) -> Campaign | None:
        """See the port."""
        return await self.database.read(_campaign_of, review_id)

    async def campaign_tally(self, review_id: str) -> Tally:
        """See the port."""
        return await self.database.read(_tally, review_id)

    async def campaign_item(self, review_id: str, item_id: str) -> Item | None:
        """See the port."""
        return await self.database.read(_found, review_id, item_id)

    async def campaign_items(
        self,
        review_id: str,
        after: str | None,
        limit: int,
        decision: Decision | None = None,
        *,
        open_only: bool = False,
    ) -> list[Item]:
        """See the port."""
        wanted = _UNDECIDED if open_only else decision
        return await self.database.read(_items, review_id, after, limit, wanted)

    async def decide_item(self, item: Item) -> None:
        """See the port."""
        await self.database.run(_decide, item)

    async def close_campaign(self, review_id: str, at_unix_ms: int) -> None:
        """See the port."""
        await self.database.run(_close_campaign, review_id, at_unix_ms)


def _add_campaign(connection: Connection, campaign: Campaign, items: Sequence[Item]) -> None:
    if _campaign_of(connection, campaign.review_id):
        raise Conflict(f"There is a review '{campaign.review_id}' already.")
    values = {column.name: getattr(campaign, column.name) for column in reviews.c if hasattr(campaign, column.name)}
    connection.execute(insert(reviews).values(**values, **campaign.target._asdict()))
    if items:
        connection.execute(insert(review_items), [_values(item) for item in items])


def _campaigns(connection: Connection) -> list[Campaign]:
    rows = select(reviews).order_by(reviews.c.review_id.desc())
    return [_campaign(row) for row in connection.execute(rows).mappings()]


def _campaign_of(connection: Connection, review_id: str) -> Campaign | None:
    row = connection.execute(select(reviews).where(reviews.c.review_id == review_id)).mappings().one_or_none()
    return None if row is None else _campaign(row)


def _tally(connection: Connection, review_id: str) -> Tally:
    counted = (
        select(review_items.c.decision, func.count())
        .where(review_items.c.review_id == review_id)
        .group_by(review_items.c.decision)
    )
    counts = {str(decision): int(count) for decision, count in connection.execute(counted)}
    return Tally(counts.get(_UNDECIDED, 0), counts.get(Decision.KEEP, 0), counts.get(Decision.WITHDRAW, 0))


def _found(connection: Connection, review_id: str, item_id: str) -> Item | None:
    same = (review_items.c.review_id == review_id) & (review_items.c.item_id == item_id)
    row = connection.execute(select(review_items).where(same)).mappings().one_or_none()
    return None if row is None else _item(row)


def _items(connection: Connection, review_id: str, after: str | None, limit: int, decision: str | None) -> list[Item]:
    rows = select(review_items).where(review_items.c.review_id == review_id)
    if after is not None:
        rows = rows.where(review_items.c.item_id > after)
    if decision is not None:
        rows = rows.where(review_items.c.decision == decision)
    ordered = rows.order_by(review_items.c.item_id).limit(limit)
    return [_item(row) for row in connection.execute(ordered).mappings()]


def _decide(connection: Connection, item: Item) -> None:
    campaign, before = _campaign_of(connection, item.review_id), _found(connection, item.review_id, item.item_id)
    if campaign is None or before is None:
        raise NotFound(f"There is no item '{item.item_id}' in a review '{item.review_id}'.")
    if campaign.closed_unix_ms is not None:
        raise Conflict(f"The review '{item.review_id}' is closed.")
    if before.decision is Decision.WITHDRAW:
        raise Conflict("This right was withdrawn in this review already.")
    same = (review_items.c.review_id == item.review_id) & (review_items.c.item_id == item.item_id)
    decided = {name: value for name, value in _values(item).items() if name in ("decision", "reason")}
    who = {"decided_by": item.decided_by, "decided_unix_ms": item.decided_unix_ms}
    connection.execute(update(review_items).where(same).values(**decided, **who))


def _close_campaign(connection: Connection, review_id: str, at_unix_ms: int) -> None:
    campaign = _campaign_of(connection, review_id)
    if campaign is None:
        raise NotFound(f"There is no review '{review_id}'.")
    if campaign.closed_unix_ms is None:
        connection.execute(update(reviews).where(reviews.c.review_id == review_id).values(closed_unix_ms=at_unix_ms))


def _campaign(row: RowMapping) -> Campaign:
    return Campaign(
        row["review_id"],
        row["name"],
        Target(row["organisation_id"], row["tenant_id"]),
        tuple(Role(word) for word in row["reviewers"]),
        row["opened_by"],
        row["opened_unix_ms"],
        row["due_unix_ms"],
        row["closed_unix_ms"],
    )


def _values(item: Item) -> dict[str, Any]:
    access = item.access
    return {
        "review_id": item.review_id,
        "item_id": item.item_id,
        "means": access.means,
        "object_id": access.object_id,
        "who_id": access.who_id,
        "who": access.who,
        "what": access.what,
        **access.target._asdict(),
        "since_unix_ms": access.since_unix_ms,
        "granted_by": access.granted_by,
        "last_used_unix_ms": access.last_used_unix_ms,
        "ends_unix_ms": access.ends_unix_ms,
        "works": access.works,
        "proposal": item.proposal,
        "decision": _UNDECIDED if item.decision is None else item.decision,
        "reason": item.reason,
        "decided_by": item.decided_by,
        "decided_unix_ms": item.decided_unix_ms,
    }


def _item(row: RowMapping) -> Item:
    access = Access(
        Means(row["means"]),
        row["object_id"],
        row["who_id"],
        row["who"],
        row["what"],
        Target(row["organisation_id"], row["tenant_id"]),
        row["since_unix_ms"],
        row["granted_by"],
        row["last_used_unix_ms"],
        row["ends_unix_ms"],
        row["works"],
    )
    return Item(
        row["review_id"],
        row["item_id"],
        access,
        row["proposal"],
        Decision(row["decision"]) if row["decision"] else None,
        row["reason"],
        row["decided_by"],
        row["decided_unix_ms"],
    )
