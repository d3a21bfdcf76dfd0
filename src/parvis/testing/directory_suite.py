"""What every store promises to those who follow its keys and tenants (`parvis.flows.store.IdentityStore`)."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

from collections.abc import Awaitable, Callable
from dataclasses import replace

from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Organisation, Standing
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.scope import KeyScope
from parvis.flows.ports import KeyUse
from parvis.flows.store import Store

KEY = ApiKey("k1", "org", "one", "first", (KeySecret(b"\1" * 32, 5),), created_unix_ms=5)
OTHER = ApiKey("k2", "org", "two", "second", (KeySecret(b"\2" * 32, 6),), created_unix_ms=6)


async def settle_in(store: Store) -> int:
    """Two tenants of an organisation, one of another, and a key in each of the first two; the version then."""
    for organisation in ("org", "rival"):
        await store.create_organisation(organisation, organisation)
    for tenant, organisation in (("one", "org"), ("two", "org"), ("three", "rival")):
        await store.create_tenant(tenant, organisation, tenant, credit_unlimited=True)
    await store.add_key(KEY)
    await store.add_key(OTHER)
    return await store.directory_version()


async def every_change_has_a_number_of_its_own(store: Store) -> None:
    assert await store.directory_version() == 0
    seen = [await settle_in(store)]
    await store.swap_key(KEY, replace(KEY, scope=KeyScope(("m",))))
    seen.append(await store.directory_version())
    await store.revoke_key("k2")
    seen.append(await store.directory_version())
    await store.put_tenant(replace((await store.tenants())[0], models_denied=("m",)))
    seen.append(await store.directory_version())
    await store.put_organisation(Organisation("rival", "rival", Standing.SUSPENDED))
    seen.append(await store.directory_version())
    assert seen == sorted(set(seen))


async def what_changed_is_told_once_its_number_is_passed(store: Store) -> None:
    settled = await settle_in(store)
    everything = await store.changes(-1)
    assert everything.version == settled
    assert everything.keys == (KEY, OTHER)
    assert [tenant.tenant_id for tenant in everything.tenants] == ["one", "three", "two"]
    assert (await store.changes(settled)).keys == ()
    await store.revoke_key("k1")
    changed = await store.changes(settled)
    assert (changed.keys, changed.tenants) == ((replace(KEY, active=False),), ())
    assert changed.version == await store.directory_version()


async def an_organisation_that_is_suspended_takes_its_tenants_with_it(store: Store) -> None:
    settled = await settle_in(store)
    await store.put_organisation(Organisation("org", "org", Standing.SUSPENDED))
    told = (await store.changes(settled)).tenants
    assert {tenant.tenant_id: tenant.standing for tenant in told} == dict.fromkeys(("one", "two"), Standing.SUSPENDED)
    in_force = {tenant.tenant_id: tenant.standing for tenant in await store.tenants_in_force()}
    assert in_force == {"one": Standing.SUSPENDED, "two": Standing.SUSPENDED, "three": Standing.ACTIVE}
    assert [tenant.tenant_id for tenant in await store.tenants_in_force(["two", "nobody"])] == ["two"]
    own = await store.tenant("one")
    assert own is not None
    assert own.standing is Standing.ACTIVE


async def pages_of_keys_follow_one_another(store: Store) -> None:
    await settle_in(store)
    assert await store.keys_page(None, None, 1) == [KEY]
    assert await store.keys_page(None, "k1", 5) == [OTHER]
    assert await store.keys_page(["one"], None, 5) == [KEY]
    assert await store.keys_page([], None, 5) == []


async def keys_of_a_suspended_person_rest(store: Store) -> None:
    await settle_in(store)
    person = Person("usr_1", "org", "a@example.org", "A")
    await store.people(Realm.CUSTOMER).add_person(person)
    own = replace(KEY, key_id="k3", owner_id=person.user_id)
    await store.add_key(own)
    before = await store.directory_version()
    assert await store.keys_in_force("k1", 5) == [OTHER, own]
    await store.people(Realm.CUSTOMER).put_person(replace(person, standing=Standing.SUSPENDED))
    resting = replace(own, active=False)
    assert await store.keys_in_force(None, 5) == [KEY, OTHER, resting]
    assert (await store.changes(before)).keys == (resting,)
    suspended = await store.directory_version()
    await store.people(Realm.CUSTOMER).put_person(person)
    assert await store.keys_in_force("k2", 5) == [own]
    assert (await store.changes(suspended)).keys == (own,)


async def the_latest_use_of_each_secret_stays(store: Store) -> None:
    await settle_in(store)
    await store.note_uses([KeyUse("k1", 5, 100), KeyUse("k2", 6, 50), KeyUse("nobody", 1, 1)])
    await store.note_uses([KeyUse("k1", 5, 90), KeyUse("k2", 6, 60), KeyUse("k1", 4, 10)])
    assert await store.uses(["k1", "k2", "nobody"]) == [KeyUse("k1", 4, 10), KeyUse("k1", 5, 100), KeyUse("k2", 6, 60)]


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    every_change_has_a_number_of_its_own,
    what_changed_is_told_once_its_number_is_passed,
    an_organisation_that_is_suspended_takes_its_tenants_with_it,
    pages_of_keys_follow_one_another,
    keys_of_a_suspended_person_rest,
    the_latest_use_of_each_secret_stays,
)
