"""Access review as a story: decisions act through the flows, and the report can be believed."""

import json
import os
from dataclasses import replace

import pytest

from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, NotFound, NotPermitted
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.identity.access import Access
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Principal, operator, rights_of
from parvis.domain.identity.review import Decision, Item
from parvis.domain.identity.role import Grant, Role
from parvis.domain.identity.scope import KeyScope
from parvis.domain.vault.signed_document import verified
from parvis.flows import grants, people, review
from parvis.flows import organisations as flow
from parvis.flows.access_report import access_report
from parvis.flows.keys import KeyTerms, Mint, create_key, tenant_named
from parvis.flows.organisations import Office
from parvis.flows.ports import KeyUse
from parvis.flows.review import DAY_MS, Plan
from parvis.flows.signing import installation_id, signing_seed

OPERATOR = operator()
ACME, PROD = Target("acme"), Target("acme", "prod")
SIGNER = Ed25519Signer(signing_seed(bytes(32)))
MODEL = Model(
    id="small", engine="e", engine_model="e", context_tokens=100, capabilities=(Capability.CHAT,), aliases=("s",)
)


@pytest.fixture
async def ada(store: SqlStore, mint: Mint) -> Person:
    """The owner of `acme`, which has the tenant `prod` with two keys, and the developer Bob."""
    office = Office(store, mint.clock, mint.randomness)
    await store.put_model(MODEL)
    await store.add_prices(PriceList("p", "*", 0, 1, 1, 1, 1))
    await flow.create_organisation(office, OPERATOR, "Acme", "acme")
    await flow.create_tenant(office, OPERATOR, "acme", "Production", "prod")
    ada = await people.create_person(store, mint, Realm.CUSTOMER, "acme", "ada@acme.example", "Ada")
    bob = await people.create_person(store, mint, Realm.CUSTOMER, "acme", "bob@acme.example", "Bob")
    await grants.grant(store, mint, OPERATOR, ada.user_id, Role.ORGANISATION_OWNER, ACME)
    await grants.grant(store, mint, OPERATOR, bob.user_id, Role.DEVELOPER, PROD)
    tenant = await tenant_named(store, "prod")
    await create_key(store, mint, tenant, "used", terms=KeyTerms(owner_id=ada.user_id))
    await create_key(store, mint, tenant, "narrow", terms=KeyTerms(scope=KeyScope(models_denied=("s",))))
    return ada


def as_person(person: Person, role: Role = Role.ORGANISATION_OWNER, target: Target = ACME) -> Principal:
    given = Grant("g", person.user_id, role, target, "x", 0)
    return Principal(f"user {person.user_id}", Kind.USER, person.user_id, "acme", rights_of([given]))


def named(found: list[Access]) -> list[str]:
    return sorted(access.who for access in found)


async def items_by_who(store: SqlStore, review_id: str) -> dict[str, Item]:
    found, _ = await review.items_page(store, review_id, None, 100)
    return {item.access.who: item for item in found}


async def test_who_may_do_what(store: SqlStore, mint: Mint, ada: Person) -> None:
    everything = await review.access_of(store, mint.clock)
    assert named(everything) == ["ada@acme.example", "bob@acme.example", "narrow", "used"]
    assert named(await review.access_of(store, mint.clock, ACME, ada.user_id)) == ["ada@acme.example", "used"]
    assert named(await review.access_of(store, mint.clock, Target("other"))) == []
    by = {access.who: access.granted_by for access in everything}
    assert by["bob@acme.example"] == "operator token"


async def test_who_can_use_a_model_of_a_tenant(store: SqlStore, mint: Mint, ada: Person) -> None:
    for name in ("small", "s"):
        can = named(await review.who_can_use(store, mint.clock, "prod", name))
        assert can == ["ada@acme.example", "bob@acme.example", "used"]
    office = Office(store, mint.clock, mint.randomness)
    await people.suspend(store, Realm.CUSTOMER, (await items_bob(store)).user_id)
    assert "bob@acme.example" not in named(await review.who_can_use(store, mint.clock, "prod", "small"))
    await flow.suspend_organisation(office, OPERATOR, "acme")
    assert await review.who_can_use(store, mint.clock, "prod", "small") == []
    with pytest.raises(NotFound):
        await review.who_can_use(store, mint.clock, "prod", "none")
    with pytest.raises(NotFound):
        await review.who_can_use(store, mint.clock, "none", "small")


async def items_bob(store: SqlStore) -> Person:
    found = await store.people(Realm.CUSTOMER).person_by_email("bob@acme.example")
    assert found
    return found


async def test_customers_do_not_see_the_operators_people(store: SqlStore, mint: Mint, ada: Person) -> None:
    own = await people.create_person(store, mint, Realm.OPERATOR, "", "op@host.example", "Op")
    await grants.grant(store, mint, OPERATOR, own.user_id, Role.OPERATOR, INSTALLATION)
    assert "op@host.example" in named(await review.access_of(store, mint.clock))
    assert "op@host.example" not in named(await review.access_of(store, mint.clock, ACME))
    assert "op@host.example" in named(await review.access_of(store, mint.clock, ACME, operators=True))
    assert "op@host.example" not in named(await review.who_can_use(store, mint.clock, "prod", "s"))
    assert "op@host.example" in named(await review.who_can_use(store, mint.clock, "prod", "s", operators=True))
    for actor, told in ((OPERATOR, True), (as_person(ada), False)):
        file = await access_report(store, mint.clock, SIGNER, actor, PROD, "s")
        report = verified(file, SIGNER.public_key)
        for table in ("access", "answer"):
            assert ("op@host.example" in [line["who"] for line in report[table]]) is told


async def test_keys_that_nobody_uses_are_proposed_for_removal(store: SqlStore, mint: Mint, ada: Person) -> None:
    later = replace(mint, clock=Later(mint.clock.unix_ms() + 100 * DAY_MS))
    used = next(key for key in await store.keys() if key.name == "used")
    await store.note_uses([KeyUse(used.key_id, used.secrets[0].made_unix_ms, later.clock.unix_ms() - 5 * DAY_MS)])
    assert named(await review.unused_keys(store, later.clock, 90)) == ["narrow"]
    assert named(await review.unused_keys(store, later.clock, 4)) == ["narrow", "used"]
    assert named(await review.unused_keys(store, later.clock, 101)) == []
    plan = Plan("Summer", ACME, later.clock.unix_ms() + 1)
    opened = await review.open_campaign(store, later, OPERATOR, plan)
    proposed = {who: item.proposal for who, item in (await items_by_who(store, opened.review_id)).items()}
    assert {who for who, why in proposed.items() if why} == {"narrow"}
    for days in (0, -1, 10**6):
        with pytest.raises(BadRequest):
            await review.unused_keys(store, later.clock, days)


class Later:
    """Another moment."""

    def __init__(self, unix_ms: int) -> None:
        self._unix_ms = unix_ms

    def unix_ms(self) -> int:
        return self._unix_ms

    def monotonic_s(self) -> float:
        return 0.0


async def opened(store: SqlStore, mint: Mint, **differing: object) -> str:
    plan = Plan("Spring", ACME, mint.clock.unix_ms() + DAY_MS)
    made = await review.open_campaign(store, mint, OPERATOR, replace(plan, **differing))  # type: ignore[arg-type]  # fields
    return made.review_id


async def test_decisions_act_at_once(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    items = await items_by_who(store, review_id)
    for who in ("bob@acme.example", "narrow"):
        item_id = items[who].item_id
        await review.decide(store, mint.clock, OPERATOR, review_id, item_id, Decision.WITHDRAW, "left the team")
    assert await store.people(Realm.CUSTOMER).grants((await items_bob(store)).user_id) == []
    assert [key.name for key in await store.keys() if key.active] == ["used"]
    kept = await review.decide(store, mint.clock, OPERATOR, review_id, items["used"].item_id, Decision.KEEP, " needed ")
    assert (kept.reason, kept.decided_by) == ("needed", "operator token")
    tally = await store.campaign_tally(review_id)
    assert (tally.undecided, tally.kept, tally.withdrawn) == (1, 1, 2)


async def test_what_is_gone_already_counts_as_withdrawn(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    item = (await items_by_who(store, review_id))["bob@acme.example"]
    await grants.withdraw(store, OPERATOR, item.access.object_id)
    done = await review.decide(store, mint.clock, OPERATOR, review_id, item.item_id, Decision.WITHDRAW, "gone")
    assert done.decision is Decision.WITHDRAW


async def test_what_cannot_be_withdrawn_is_not_decided(store: SqlStore, mint: Mint, ada: Person) -> None:
    """The last owner stays, and the question stays open."""
    review_id = await opened(store, mint)
    item = (await items_by_who(store, review_id))["ada@acme.example"]
    with pytest.raises(Conflict) as refused:
        await review.decide(store, mint.clock, OPERATOR, review_id, item.item_id, Decision.WITHDRAW, "why not")
    assert refused.value.code == "last_owner"
    assert (await items_by_who(store, review_id))["ada@acme.example"].decision is None


async def test_who_decides(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    items = await items_by_who(store, review_id)
    owner = as_person(ada)

    async def decide(actor: Principal, who: str) -> Item:
        return await review.decide(store, mint.clock, actor, review_id, items[who].item_id, Decision.KEEP, "fine")

    with pytest.raises(NotPermitted, match="own rights"):
        await decide(owner, "used")
    with pytest.raises(NotPermitted, match="organisation_owner"):
        await decide(as_person(ada, Role.TENANT_OWNER, PROD), "narrow")
    assert (await decide(owner, "narrow")).decided_by == owner.name


async def test_after_its_end_nothing_is_decided(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    items = await items_by_who(store, review_id)
    closed = await review.close_campaign(store, mint.clock, review_id)
    assert await review.close_campaign(store, mint.clock, review_id) == closed
    with pytest.raises(Conflict, match="closed"):
        await review.decide(store, mint.clock, OPERATOR, review_id, items["narrow"].item_id, Decision.WITHDRAW, "late")
    assert next(key for key in await store.keys() if key.name == "narrow").active
    unanswered, _ = await review.items_page(store, review_id, None, 100, open_only=True)
    assert len(unanswered) == len(items)


async def test_a_right_is_withdrawn_once(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    item = (await items_by_who(store, review_id))["narrow"]
    await review.decide(store, mint.clock, OPERATOR, review_id, item.item_id, Decision.WITHDRAW, "x")
    with pytest.raises(Conflict, match="already"):
        await review.decide(store, mint.clock, OPERATOR, review_id, item.item_id, Decision.KEEP, "x")


@pytest.mark.parametrize(
    ("differing", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"due_unix_ms": 0}, "due_at"),
        ({"due_unix_ms": 10**15}, "due_at"),
        ({"reviewers": (Role.BILLING_READER,)}, "reviewers"),
        ({"unused_days": 0}, "unused_days"),
    ],
)
async def test_a_review_that_cannot_be_is_refused(
    store: SqlStore, mint: Mint, ada: Person, differing: dict[str, object], param: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        await opened(store, mint, **differing)
    assert refused.value.param == param
    assert await store.campaigns() == []


async def test_a_decision_has_a_reason_and_an_object(store: SqlStore, mint: Mint, ada: Person) -> None:
    review_id = await opened(store, mint)
    item = (await items_by_who(store, review_id))["narrow"]
    for reason in ("", " ", "a" * 501, "a\x00"):
        with pytest.raises(BadRequest):
            await review.decide(store, mint.clock, OPERATOR, review_id, item.item_id, Decision.KEEP, reason)
    for unknown in ((review_id, "key:none"), ("review_none", item.item_id)):
        with pytest.raises(NotFound):
            await review.decide(store, mint.clock, OPERATOR, *unknown, Decision.KEEP, "x")


async def test_reviews_are_seen_by_who_may(store: SqlStore, mint: Mint, ada: Person) -> None:
    for place in (ACME, INSTALLATION, PROD):
        await opened(store, replace(mint, randomness=os.urandom), target=place)
    assert len(await review.campaigns_of(store, OPERATOR)) == 3
    assert {c.target for c in await review.campaigns_of(store, as_person(ada))} == {ACME, PROD}
    assert {c.reviewers for c in await store.campaigns()} == {
        (Role.OPERATOR,),
        (Role.ORGANISATION_OWNER,),
        (Role.TENANT_OWNER,),
    }


# The report


async def test_the_report_says_who_and_is_signed(store: SqlStore, mint: Mint, ada: Person) -> None:
    file = await access_report(store, mint.clock, SIGNER, OPERATOR, PROD, "s")
    report = verified(file, SIGNER.public_key)
    assert report["installation"] == installation_id(SIGNER.public_key)
    assert (report["made_by"], report["made_at"]) == ("operator token", "2026-07-14T03:33:20Z")
    models = {line["who"]: line["models"] for line in report["access"]}
    assert models == {"ada@acme.example": ["small"], "bob@acme.example": ["small"], "used": ["small"], "narrow": []}
    assert sorted(line["who"] for line in report["answer"]) == ["ada@acme.example", "bob@acme.example", "used"]
    assert [tenant["id"] for tenant in report["tenants"]] == ["prod"]


async def test_a_report_of_everything_and_of_nothing(store: SqlStore, mint: Mint) -> None:
    report = verified(await access_report(store, mint.clock, SIGNER, OPERATOR), SIGNER.public_key)
    assert report["access"] == []
    assert "answer" not in report
    assert b"." not in json.dumps(report["made_unix_ms"]).encode()


def test_the_key_follows_from_the_root_key_alone() -> None:
    assert Ed25519Signer(signing_seed(bytes(32))).public_key == SIGNER.public_key
    assert Ed25519Signer(signing_seed(b"\x01" * 32)).public_key != SIGNER.public_key
