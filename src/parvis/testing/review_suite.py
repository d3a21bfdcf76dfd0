"""What every `ReviewStore` promises, as functions that take a store."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.access import Access, Means
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.review import Campaign, Decision, Item, Tally
from parvis.domain.identity.role import Role
from parvis.flows.review_store import ReviewStore

PLACE = Target("org", "tenant")
CAMPAIGN = Campaign("review_1", "Spring", Target("org"), (Role.ORGANISATION_OWNER, Role.TENANT_OWNER), "me", 10, 20)


def item(number: int, means: Means = Means.KEY, review_id: str = "review_1") -> Item:
    """One right; every third key never ends, and was never used."""
    known = None if number % 3 == 0 else number * 100
    access = Access(
        means, f"id{number}", "usr", "who", "what", PLACE, number, "user usr", known, known, number % 2 == 0
    )
    return Item(review_id, f"{means}:id{number}", access, "unused for 90 days" if number % 2 else "")


ITEMS = [item(number) for number in range(1, 8)] + [item(9, Means.GRANT)]


async def open_one(store: ReviewStore) -> None:
    await store.add_campaign(CAMPAIGN, ITEMS)


async def a_campaign_is_kept_with_its_items(store: ReviewStore) -> None:
    await open_one(store)
    assert await store.campaign("review_1") == CAMPAIGN
    assert await store.campaign_items("review_1", None, 100) == sorted(ITEMS, key=lambda one: one.item_id)
    assert await store.campaign_item("review_1", "key:id3") == ITEMS[2]


async def an_id_is_taken_once(store: ReviewStore) -> None:
    await open_one(store)
    with pytest.raises(Conflict):
        await store.add_campaign(CAMPAIGN, ())
    assert (await store.campaign_tally("review_1")).undecided == 8


async def campaigns_are_listed_the_newest_first(store: ReviewStore) -> None:
    await open_one(store)
    later = replace(CAMPAIGN, review_id="review_2", target=INSTALLATION, reviewers=(Role.OPERATOR,))
    await store.add_campaign(later, [])
    assert await store.campaigns() == [later, CAMPAIGN]


async def items_are_read_page_by_page(store: ReviewStore) -> None:
    await open_one(store)
    first = await store.campaign_items("review_1", None, 3)
    rest = await store.campaign_items("review_1", first[-1].item_id, 100)
    assert [one.item_id for one in first + rest] == sorted(one.item_id for one in ITEMS)


async def a_decision_is_kept_with_its_reason(store: ReviewStore) -> None:
    await open_one(store)
    kept = replace(ITEMS[0], decision=Decision.KEEP, reason="é", decided_by="user a", decided_unix_ms=15)
    gone = replace(ITEMS[1], decision=Decision.WITHDRAW, reason="left", decided_by="user b", decided_unix_ms=16)
    await store.decide_item(kept)
    await store.decide_item(gone)
    assert await store.campaign_item("review_1", kept.item_id) == kept
    assert await store.campaign_items("review_1", None, 9, Decision.WITHDRAW) == [gone]
    assert len(await store.campaign_items("review_1", None, 9, open_only=True)) == 6
    assert await store.campaign_tally("review_1") == Tally(6, 1, 1)


async def what_was_kept_may_be_withdrawn_and_not_the_other_way(store: ReviewStore) -> None:
    await open_one(store)
    kept = replace(ITEMS[0], decision=Decision.KEEP, reason="r", decided_by="a", decided_unix_ms=15)
    gone = replace(kept, decision=Decision.WITHDRAW, decided_unix_ms=16)
    await store.decide_item(kept)
    await store.decide_item(gone)
    with pytest.raises(Conflict):
        await store.decide_item(kept)
    assert await store.campaign_item("review_1", gone.item_id) == gone


async def only_the_decision_is_changed(store: ReviewStore) -> None:
    await open_one(store)
    forged = replace(ITEMS[0], access=replace(ITEMS[0].access, who="somebody else"), decision=Decision.KEEP, reason="r")
    await store.decide_item(forged)
    found = await store.campaign_item("review_1", ITEMS[0].item_id)
    assert found is not None
    assert found.access == ITEMS[0].access


async def a_closed_campaign_takes_no_decision(store: ReviewStore) -> None:
    await open_one(store)
    await store.close_campaign("review_1", 30)
    await store.close_campaign("review_1", 40)
    assert (await store.campaigns())[0].closed_unix_ms == 30
    with pytest.raises(Conflict):
        await store.decide_item(replace(ITEMS[0], decision=Decision.KEEP))


async def what_is_not_there_is_said(store: ReviewStore) -> None:
    assert await store.campaign("none") is None
    assert await store.campaign_item("none", "key:id1") is None
    assert await store.campaign_items("none", None, 5) == []
    assert await store.campaign_tally("none") == Tally()
    with pytest.raises(NotFound):
        await store.close_campaign("none", 1)
    with pytest.raises(NotFound):
        await store.decide_item(item(1, review_id="none"))


REVIEW_PROMISES = (
    a_campaign_is_kept_with_its_items,
    an_id_is_taken_once,
    campaigns_are_listed_the_newest_first,
    items_are_read_page_by_page,
    a_decision_is_kept_with_its_reason,
    what_was_kept_may_be_withdrawn_and_not_the_other_way,
    only_the_decision_is_changed,
    a_closed_campaign_takes_no_decision,
    what_is_not_there_is_said,
)
