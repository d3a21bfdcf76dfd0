"""Who may do what: worked out from grants and keys, for a user, a tenant and a model."""

from dataclasses import replace

from parvis.domain.identity.access import (
    Access,
    Census,
    accesses,
    of_model,
    of_place,
    of_user,
    scope_words,
    unused,
)
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Organisation, Standing, Tenant
from parvis.domain.identity.person import Person
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Principal, operator, rights_of
from parvis.domain.identity.review import Campaign, Decision, Item, Tally, is_own, items_of, may_decide, overdue
from parvis.domain.identity.role import Grant, Role
from parvis.domain.identity.scope import Endpoint, KeyScope

ACME, PROD, TEST = Target("acme"), Target("acme", "prod"), Target("acme", "test")
NOW = 1_000_000
NAMES = ("model-1", "fast")


def key(key_id: str, target: Target = PROD, **differing: object) -> ApiKey:
    plain = ApiKey(key_id, target.organisation_id, target.tenant_id, key_id, (), created_unix_ms=500)
    return replace(plain, **differing)  # type: ignore[arg-type]  # each test names fields of a key


def grant(user_id: str, role: Role, target: Target) -> Grant:
    return Grant(f"{user_id}-{role}", user_id, role, target, "user boss", 100)


CENSUS = Census(
    NOW,
    [Organisation("acme", "Acme"), Organisation("zeta", "Zeta")],
    [Tenant("prod", "acme", "P", credit_unlimited=False), Tenant("test", "acme", "T", credit_unlimited=False)],
    [
        Person("ada", "acme", "ada@x", "Ada", last_seen_unix_ms=900),
        Person("bob", "acme", "bob@x", "Bob", Standing.SUSPENDED),
        Person("eve", "acme", "eve@x", "Eve"),
    ],
    [
        grant("ada", Role.ORGANISATION_OWNER, ACME),
        grant("bob", Role.DEVELOPER, PROD),
        grant("eve", Role.BILLING_READER, PROD),
        grant("eve", Role.DEVELOPER, TEST),
    ],
    [
        key("all"),
        key("one", scope=KeyScope(("model-1",)), owner_id="eve"),
        key("alias", scope=KeyScope(("fast",))),
        key("other", scope=KeyScope(("model-2*",))),
        key("denied", scope=KeyScope(models_denied=("fast",))),
        key("nowhere", scope=KeyScope(endpoints=())),
        key("gone", active=False),
        key("over", ends_unix_ms=NOW),
        key("elsewhere", TEST),
    ],
    {"all": 990},
)


def ids(found: list[Access]) -> set[str]:
    return {access.object_id for access in found}


def test_every_grant_and_every_key_that_was_not_revoked_is_a_right() -> None:
    found = {access.object_id: access for access in accesses(CENSUS)}
    assert len(found) == 4 + 8
    ada = found["ada-organisation_owner"]
    assert (ada.who, ada.what, ada.since_unix_ms, ada.granted_by) == ("ada@x", "organisation_owner", 100, "user boss")
    assert (ada.last_used_unix_ms, found["all"].last_used_unix_ms, found["one"].last_used_unix_ms) == (900, 990, None)
    assert (found["one"].granted_by, found["one"].who_id) == ("user eve", "eve")
    assert [found[name].works for name in ("bob-developer", "over", "all")] == [False, False, True]


def test_they_are_found_by_user_and_by_place() -> None:
    found = accesses(CENSUS)
    assert ids(of_user(found, "eve")) == {"eve-billing_reader", "eve-developer", "one"}
    assert ids(of_place(found, TEST)) == {"ada-organisation_owner", "eve-developer", "elsewhere"}
    assert ids(of_place(found, INSTALLATION)) == ids(found)
    assert ids(of_place(found, Target("zeta"))) == set()


def test_who_can_use_a_model() -> None:
    prod = CENSUS.tenants[0]
    assert ids(of_model(CENSUS, prod, NAMES)) == {"all", "one", "alias", "ada-organisation_owner"}
    narrow = replace(prod, models_allowed=("other",))
    assert of_model(CENSUS, narrow, NAMES) == []
    assert of_model(CENSUS, replace(prod, models_denied=("fast",)), NAMES) == []


def test_nobody_uses_what_is_suspended() -> None:
    organisations = [replace(one, standing=Standing.SUSPENDED) for one in CENSUS.organisations]
    tenants = [replace(one, standing=Standing.SUSPENDED) for one in CENSUS.tenants]
    for census in (replace(CENSUS, organisations=organisations), replace(CENSUS, tenants=tenants)):
        assert of_model(census, CENSUS.tenants[0], NAMES) == []


def test_keys_that_nobody_uses() -> None:
    found = accesses(CENSUS)
    assert ids(unused(found, 501)) == {"one", "alias", "other", "denied", "nowhere", "over", "elsewhere"}
    assert ids(unused(found, 991)) - ids(unused(found, 501)) == {"all"}
    assert unused(found, 500) == []


def test_a_scope_is_said_in_words() -> None:
    scope = KeyScope(("a", "b*"), ("bc",), (Endpoint.CHAT,), ("192.0.2.0/24",))
    assert scope_words(key("k", scope=scope)) == "models a, b* but not bc; at chat; from 192.0.2.0/24"


# Campaigns


CAMPAIGN = Campaign("review_1", "Spring", PROD, (Role.TENANT_OWNER,), "me", 10, 20)


def test_a_campaign_asks_about_what_lies_in_its_place() -> None:
    items = items_of(CAMPAIGN, accesses(CENSUS), {"one": "unused for 90 days"})
    assert {item.access.target for item in items} == {PROD}
    assert {item.item_id: item.proposal for item in items if item.proposal} == {"key:one": "unused for 90 days"}
    whole = items_of(replace(CAMPAIGN, target=INSTALLATION), accesses(CENSUS), {})
    assert len(whole) == len(accesses(CENSUS))


def test_reviewers_have_what_the_role_gives() -> None:
    item = items_of(CAMPAIGN, accesses(CENSUS), {})[0]

    def whoever(role: Role, target: Target) -> Principal:
        return Principal("user x", Kind.USER, "x", "acme", rights_of([Grant("g", "x", role, target, "y", 0)]))

    assert may_decide(operator(), CAMPAIGN, item)
    assert may_decide(whoever(Role.TENANT_OWNER, PROD), CAMPAIGN, item)
    assert may_decide(whoever(Role.ORGANISATION_OWNER, ACME), CAMPAIGN, item)
    assert not may_decide(whoever(Role.TENANT_OWNER, TEST), CAMPAIGN, item)
    assert not may_decide(whoever(Role.DEVELOPER, PROD), CAMPAIGN, item)


def test_ones_own_right_is_told() -> None:
    items = {item.item_id: item for item in items_of(CAMPAIGN, accesses(CENSUS), {})}
    eve = Principal("user eve", Kind.USER, "eve", "acme")
    assert is_own(eve, items["key:one"])
    assert not is_own(eve, items["key:all"])
    assert not is_own(operator(), items["key:all"])


def test_late_is_what_was_not_answered_in_time() -> None:
    assert overdue(CAMPAIGN, Tally(1, 2, 3), 20)
    assert not overdue(CAMPAIGN, Tally(1), 19)
    assert not overdue(CAMPAIGN, Tally(0, 9), 30)
    assert not overdue(replace(CAMPAIGN, closed_unix_ms=25), Tally(1), 30)


def test_a_decision_is_a_word() -> None:
    assert [Item("r", "i", accesses(CENSUS)[0], decision=Decision(word)).decision for word in ("keep", "withdraw")] == [
        Decision.KEEP,
        Decision.WITHDRAW,
    ]
