"""Organisations, tenants and projects as the flows change them: who may, what is refused, what gateways learn."""

from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, NotFound, NotPermitted
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Kind, Principal, operator, rights_of
from parvis.domain.identity.role import Grant, Role
from parvis.flows import organisations as flow
from parvis.flows.keys import Mint, create_key
from parvis.flows.organisations import Office, TenantChange

OPERATOR = operator()


def person(role: Role, target: Target) -> Principal:
    return Principal("user usr_1", Kind.USER, "usr_1", "acme", rights_of([Grant("g", "usr_1", role, target, "x", 0)]))


OWNER = person(Role.ORGANISATION_OWNER, Target("acme"))
TENANT_OWNER = person(Role.TENANT_OWNER, Target("acme", "prod"))


@pytest.fixture
async def office(store: SqlStore, mint: Mint) -> Office:
    """With the organisation `acme` and its tenant `prod`."""
    office = Office(store, mint.clock, mint.randomness)
    await flow.create_organisation(office, OPERATOR, "Acme", "acme")
    await flow.create_tenant(office, OPERATOR, "acme", "Production", "prod")
    return office


async def standing_at_gateways(store: SqlStore, tenant_id: str) -> Standing:
    known = {tenant.tenant_id: tenant.standing for tenant in (await store.changes(-1)).tenants}
    return known[tenant_id]


async def test_a_tenant_begins_with_a_project_and_nothing_to_spend(office: Office) -> None:
    tenant = await flow.tenant_of(office.store, "prod")
    assert not tenant.credit_unlimited
    [project] = await flow.projects_of(office.store, "prod")
    assert (project.name, project.project_id) == ("Default", flow.default_project_id("prod"))
    assert await flow.default_project(office, tenant) == project


async def test_a_tenant_of_an_older_release_gets_its_project(office: Office) -> None:
    await office.store.create_tenant("old", "acme", "Old", credit_unlimited=True)
    made = await flow.default_project(office, await flow.tenant_of(office.store, "old"))
    assert await flow.projects_of(office.store, "old") == [made]


async def test_a_suspended_organisation_is_served_nowhere(office: Office, store: SqlStore) -> None:
    before = (await store.changes(-1)).version
    await flow.suspend_organisation(office, OPERATOR, "acme")
    assert (await store.changes(before)).tenants[0].standing is Standing.SUSPENDED
    assert (await flow.tenant_of(store, "prod")).standing is Standing.ACTIVE
    await flow.resume_organisation(office, OPERATOR, "acme")
    assert await standing_at_gateways(store, "prod") is Standing.ACTIVE


async def test_again_is_no_error_and_no_news(office: Office, store: SqlStore) -> None:
    await flow.suspend_tenant(office, OPERATOR, "prod")
    before = (await store.changes(-1)).version
    await flow.suspend_tenant(office, OPERATOR, "prod")
    assert (await store.changes(-1)).version == before


@pytest.mark.parametrize("what", ["organisation", "tenant"])
async def test_only_what_is_suspended_can_be_removed_and_for_good(office: Office, what: str) -> None:
    named = {"organisation": "acme", "tenant": "prod"}[what]
    remove, suspend, resume = (getattr(flow, f"{verb}_{what}") for verb in ("remove", "suspend", "resume"))
    with pytest.raises(Conflict, match="Suspend it first"):
        await remove(office, OPERATOR, named)
    await suspend(office, OPERATOR, named)
    removed = await remove(office, OPERATOR, named)
    assert removed.standing is Standing.REMOVED
    assert await remove(office, OPERATOR, named) == removed
    for act in (suspend, resume):
        with pytest.raises(Conflict, match="for good"):
            await act(office, OPERATOR, named)


async def test_the_keys_of_what_is_removed_go_with_it(office: Office, store: SqlStore, mint: Mint) -> None:
    await flow.create_tenant(office, OPERATOR, "acme", "Other", "other")
    keys = [await create_key(store, mint, await flow.tenant_of(store, name), name) for name in ("prod", "other")]
    await flow.suspend_tenant(office, OPERATOR, "prod")
    await flow.remove_tenant(office, OPERATOR, "prod")
    found = [await store.key(made.key.key_id) for made in keys]
    assert [key.active for key in found if key] == [False, True]


async def test_nothing_of_what_was_removed_can_be_changed(office: Office) -> None:
    await flow.suspend_organisation(office, OPERATOR, "acme")
    await flow.remove_organisation(office, OPERATOR, "acme")
    with pytest.raises(Conflict):
        await flow.change_organisation(office, "acme", name="Again")
    with pytest.raises(Conflict):
        await flow.create_tenant(office, OPERATOR, "acme", "More")


async def test_customers_do_not_decide_whether_they_are_served(office: Office) -> None:
    await flow.suspend_tenant(office, OPERATOR, "prod")
    with pytest.raises(NotPermitted, match=r"tenants\.write"):
        await flow.resume_tenant(office, OWNER, "prod")
    with pytest.raises(NotPermitted, match=r"organisations\.write"):
        await flow.suspend_organisation(office, OWNER, "acme")
    with pytest.raises(NotPermitted):
        await flow.create_organisation(office, OWNER, "Mine")
    with pytest.raises(NotPermitted):
        await flow.create_tenant(office, OWNER, "acme", "Free", credit_unlimited=True)
    await flow.create_tenant(office, OWNER, "acme", "Paid")


async def test_who_has_less_than_all_may_narrow_and_never_widen(office: Office) -> None:
    rules = TenantChange(models_allowed=("small*", "fast"), models_denied=("*-beta",))
    await flow.change_tenant(office, OPERATOR, "prod", rules)
    for narrower in (
        TenantChange(models_allowed=("small-1*", "fast")),
        TenantChange(models_denied=("*-beta", "fast")),
        TenantChange(addresses=("192.0.2.0/24",), name="P"),
    ):
        await flow.change_tenant(office, TENANT_OWNER, "prod", narrower)
    for wider in (
        TenantChange(models_allowed=("*",)),
        TenantChange(models_allowed=("small*", "other")),
        TenantChange(models_denied=()),
        TenantChange(models_denied=("small-beta",)),
        TenantChange(credit_unlimited=True),
    ):
        with pytest.raises(NotPermitted, match="Only the operator"):
            await flow.change_tenant(office, OWNER, "prod", wider)
    await flow.change_tenant(office, OPERATOR, "prod", TenantChange(models_allowed=("*",), models_denied=()))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (TenantChange(models_allowed=("a b",)), "models_allowed"),
        (TenantChange(models_denied=("[ab]",)), "models_denied"),
        (TenantChange(addresses=("192.0.2.7/24",)), "addresses"),
        (TenantChange(addresses=("here",)), "addresses"),
        (TenantChange(models_allowed=("x",) * 201), "models_allowed"),
        (TenantChange(addresses=("192.0.2.0/24",) * 201), "addresses"),
        (TenantChange(name="a\nb"), "name"),
        (TenantChange(name=""), "name"),
    ],
)
async def test_rules_that_cannot_be_are_named(office: Office, change: TenantChange, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await flow.change_tenant(office, OPERATOR, "prod", change)
    assert refused.value.param == param


@pytest.mark.parametrize("wanted", ["", "A", "a b", "-a", "a:b", "a" * 65, "é", "a/b"])
async def test_an_id_is_plain(office: Office, wanted: str) -> None:
    for make in (
        flow.create_organisation(office, OPERATOR, "x", wanted),
        flow.create_tenant(office, OPERATOR, "acme", "x", wanted),
        flow.create_project(office, "prod", "x", wanted),
    ):
        with pytest.raises(BadRequest, match="cannot be an id"):
            await make


async def test_pages_show_what_somebody_may_read(office: Office) -> None:
    await flow.create_organisation(office, OPERATOR, "Zeta", "zeta")
    await flow.create_tenant(office, OPERATOR, "acme", "Test", "test")
    store = office.store
    found, following = await flow.organisation_page(store, OPERATOR, None, 1)
    assert ([one.organisation_id for one in found], following) == (["acme"], "acme")
    rest, end = await flow.organisation_page(store, OPERATOR, following, 1)
    assert ([one.organisation_id for one in rest], end) == (["zeta"], None)
    assert [o.organisation_id for o in (await flow.organisation_page(store, OWNER, None, 9))[0]] == ["acme"]
    assert [t.tenant_id for t in (await flow.tenant_page(store, OWNER, None, None, 9))[0]] == ["prod", "test"]
    assert [t.tenant_id for t in (await flow.tenant_page(store, TENANT_OWNER, "acme", None, 9))[0]] == ["prod"]
    assert [p.tenant_id for p in (await flow.project_page(store, TENANT_OWNER, None, None, 9))[0]] == ["prod"]


async def test_projects_are_renamed_archived_and_taken_up_again(office: Office) -> None:
    made = await flow.create_project(office, "prod", " Search ", "search")
    assert made.name == "Search"
    assert (await flow.change_project(office, "search", name="Find", archived=True)).archived
    assert await flow.change_project(office, "search", archived=False) == replace(made, name="Find")
    with pytest.raises(Conflict):
        await flow.create_project(office, "prod", "x", "search")
    with pytest.raises(NotFound):
        await flow.change_project(office, "none", name="x")
    with pytest.raises(NotFound):
        await flow.create_project(office, "none", "x")
    with pytest.raises(NotFound):
        await flow.organisation_of(office.store, "none")
