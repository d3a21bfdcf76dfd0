"""API keys: their text, their digest, and the names that they are given."""

import os
from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, NotAuthenticated, NotFound
from parvis.domain.catalog.builtin import entry
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Project, Tenant
from parvis.domain.identity.rotation import DAY_MS, Schedule
from parvis.domain.identity.scope import Endpoint, KeyScope
from parvis.flows.customers import welcome
from parvis.flows.keys import (
    KeyTerms,
    Mint,
    change_key,
    create_key,
    keys_of_user,
    keys_page,
    list_keys,
    models_named,
    revoke_key,
    swap,
    tenant_named,
    withdraw_keys_of,
)

HERE = "127.0.0.1"


@pytest.fixture
async def tenant(store: SqlStore) -> Tenant:
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("lab", "acme", "Lab", credit_unlimited=False)
    return await tenant_named(store, "lab")


async def test_a_new_key_opens_the_door(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    key, _ = await welcome(store, mint.pepper(), mint.clock, made.text.reveal(), HERE)
    assert key == made.key


async def test_a_key_under_another_pepper_is_none(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    with pytest.raises(NotAuthenticated):
        await welcome(store, b"another pepper", mint.clock, made.text.reveal(), HERE)


async def test_a_revoked_key_is_listed_and_refused(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "notebook")
    await revoke_key(store, made.key.key_id)
    assert [key.active for key in await list_keys(store)] == [False]
    with pytest.raises(NotAuthenticated):
        await welcome(store, mint.pepper(), mint.clock, made.text.reveal(), HERE)


@pytest.mark.parametrize("credential", [None, "", "sk-parvis_x", "Bearer"])
async def test_what_cannot_be_a_key_is_refused_before_anything_is_read(mint: Mint, credential: str | None) -> None:
    never_opened = SqlStore("sqlite:///nowhere/at/all.sqlite")
    with pytest.raises(NotAuthenticated):
        await welcome(never_opened, b"", mint.clock, credential, HERE)


async def test_keys_are_listed_by_tenant(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    await store.create_tenant("other", "acme", "Other", credit_unlimited=False)
    made = await create_key(store, mint, await tenant_named(store, "other"), "other")
    await create_key(store, mint, tenant, "mine")
    assert await list_keys(store, "other") == [made.key]
    assert len(await list_keys(store)) == 2


@pytest.mark.parametrize("name", ["", "x" * 101, "line\nbreak", "\x1b[31m"])
async def test_a_name_that_cannot_be_printed_is_refused(store: SqlStore, mint: Mint, tenant: Tenant, name: str) -> None:
    with pytest.raises(BadRequest):
        await create_key(store, mint, tenant, name)


async def test_revoking_an_unknown_key_says_so(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        await revoke_key(store, "0000000000000000")


async def test_the_only_tenant_needs_no_name(store: SqlStore, tenant: Tenant) -> None:
    assert await tenant_named(store, None) == tenant
    await store.create_tenant("other", "acme", "Other", credit_unlimited=False)
    with pytest.raises(BadRequest):
        await tenant_named(store, None)
    with pytest.raises(NotFound):
        await tenant_named(store, "third")


async def test_a_key_keeps_ids_whatever_names_were_said(store: SqlStore) -> None:
    await store.put_model(entry("smollm2-135m-instruct", engine="smollm2", context_tokens=8192))
    assert await models_named(store, ["default", "smollm2-135m-instruct"]) == ("smollm2-135m-instruct",)
    assert await models_named(store, ["*"]) == ("*",)
    with pytest.raises(BadRequest, match="no model 'gpt'"):
        await models_named(store, ["gpt"])


# ------------------------------------------------------------------------------------------------------- terms


@pytest.fixture
async def catalogue(store: SqlStore) -> None:
    for name in ("eu/large", "eu/small", "us/large"):
        await store.put_model(replace(entry(name, engine="fake", context_tokens=8192), aliases=(f"{name}-latest",)))


@pytest.mark.usefixtures("catalogue")
async def test_a_key_has_the_terms_that_were_said_in_their_canonical_form(
    store: SqlStore, mint: Mint, tenant: Tenant
) -> None:
    await store.add_project(Project("proj", "acme", "lab", "Project"))
    scope = KeyScope(
        ("eu/large-latest", "eu/*", "eu/large"),
        ("*-small",),
        (Endpoint.CHAT, Endpoint.CHAT),
        ("192.0.2.1", "2001:DB8::/32", "192.0.2.1/32"),
    )
    terms = KeyTerms(
        scope=scope,
        ends_unix_ms=mint.clock.unix_ms() + 1,
        schedule=Schedule(),
        project_id="proj",
        tags=("a", "b", "a"),
        owner_id="usr_1",
    )
    key = (await create_key(store, mint, tenant, "app", terms=terms)).key
    assert key.scope == KeyScope(
        ("eu/large", "eu/*"), ("*-small",), (Endpoint.CHAT,), ("192.0.2.1/32", "2001:db8::/32")
    )
    assert (key.project_id, key.tags, key.owner_id) == ("proj", ("a", "b"), "usr_1")
    assert key.due_unix_ms == mint.clock.unix_ms() + 90 * DAY_MS
    assert key.secrets[0].ends_unix_ms == mint.clock.unix_ms() + 104 * DAY_MS
    assert await store.key(key.key_id) == key


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("terms", "param"),
    [
        (KeyTerms(scope=KeyScope(("eu/huge",))), "models"),
        (KeyTerms(scope=KeyScope(("eu/[l]arge",))), "models"),
        (KeyTerms(scope=KeyScope(("eu/?arge*",))), "models"),
        (KeyTerms(scope=KeyScope(("x*",) * 201)), "models"),
        (KeyTerms(scope=KeyScope(("*" * 129,))), "models"),
        (KeyTerms(scope=KeyScope(("*",), ("eu/huge",))), "models_denied"),
        (KeyTerms(scope=KeyScope(endpoints=())), "endpoints"),
        (KeyTerms(scope=KeyScope(addresses=("192.0.2.7/24",))), "addresses"),
        (KeyTerms(scope=KeyScope(addresses=("example.eu",))), "addresses"),
        (KeyTerms(ends_unix_ms=5), "ends_at"),
        (KeyTerms(schedule=Schedule(every_ms=5)), "schedule"),
        (KeyTerms(tags=("",)), "tags"),
        (KeyTerms(tags=tuple(map(str, range(21)))), "tags"),
        (KeyTerms(project_id="nothing"), "project_id"),
    ],
)
async def test_terms_that_cannot_be_are_refused_by_name(
    store: SqlStore, mint: Mint, tenant: Tenant, terms: KeyTerms, param: str
) -> None:
    with pytest.raises((BadRequest, NotFound)) as refused:
        await create_key(store, mint, tenant, "app", terms=terms)
    assert refused.value.param == param
    assert await store.keys() == []


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("allowed", "denied", "asked", "fits"),
    [
        (("*",), (), "us/large", True),
        (("eu/*",), (), "*", True),
        (("eu/*",), (), "eu/large", True),
        (("eu/*",), (), "us/large", False),
        (("eu/*",), (), "us/*", False),
        (("eu/*",), (), "*/new", True),
        (("eu/*",), ("*small*",), "eu/small", False),
        (("*",), ("us/*",), "us/*", False),
        (("*",), ("us/*",), "us/l*e", False),
        (("*",), ("us/*",), "u*", True),
        (("eu/large-latest",), (), "eu/large", True),
        (("eu/large-latest",), (), "eu/l*", True),
        (("eu/large",), (), "*x", False),
    ],
)
async def test_a_key_reaches_no_further_than_its_tenant(
    store: SqlStore,
    mint: Mint,
    tenant: Tenant,
    allowed: tuple[str, ...],
    denied: tuple[str, ...],
    asked: str,
    fits: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    await store.put_tenant(replace(tenant, models_allowed=allowed, models_denied=denied))
    ruled = await tenant_named(store, "lab")
    if fits:
        await create_key(store, mint, ruled, "app", [asked])
        return
    with pytest.raises(BadRequest) as refused:
        await create_key(store, mint, ruled, "app", [asked])
    assert (refused.value.code, refused.value.param) == ("beyond_tenant", "models")


async def test_a_key_is_used_from_no_further_than_its_tenant(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    await store.put_tenant(replace(tenant, addresses=("192.0.2.0/24",)))
    ruled = await tenant_named(store, "lab")
    for network in ("192.0.2.16/28", "192.0.0.0/16"):
        await create_key(store, mint, ruled, "app", terms=KeyTerms(scope=KeyScope(addresses=(network,))))
    for network in ("198.51.100.0/24", "::/0"):
        with pytest.raises(BadRequest):
            await create_key(store, mint, ruled, "app", terms=KeyTerms(scope=KeyScope(addresses=(network,))))


async def test_an_archived_project_takes_no_keys(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    await store.add_project(Project("proj", "acme", "lab", "Project", archived=True))
    with pytest.raises(Conflict):
        await create_key(store, mint, tenant, "app", terms=KeyTerms(project_id="proj"))


@pytest.mark.usefixtures("catalogue")
async def test_all_but_the_secrets_can_be_changed(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "app", ["eu/*"])

    def change(key: ApiKey) -> ApiKey:
        wanted = replace(key, name="renamed", scope=KeyScope(("us/large",)), tags=("t",), schedule=Schedule())
        return replace(wanted, secrets=(), active=False, tenant_id="other", owner_id="thief")

    changed = await change_key(store, mint.clock, made.key.key_id, change)
    assert (changed.name, changed.scope.models_allowed, changed.tags) == ("renamed", ("us/large",), ("t",))
    assert (changed.tenant_id, changed.owner_id, changed.active) == ("lab", "", True)
    assert [secret.digest for secret in changed.secrets] == [secret.digest for secret in made.key.secrets]
    assert changed.due_unix_ms is not None
    assert await store.key(made.key.key_id) == changed
    with pytest.raises(BadRequest):
        await change_key(store, mint.clock, made.key.key_id, lambda key: replace(key, name=""))
    await revoke_key(store, made.key.key_id)
    with pytest.raises(Conflict, match="revoked"):
        await change_key(store, mint.clock, made.key.key_id, lambda key: replace(key, name="x"))


@pytest.mark.usefixtures("catalogue")
async def test_what_could_not_be_made_now_may_stay_as_it_is(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    """A key is renamed though the tenant's rules have become narrower meanwhile."""
    made = await create_key(store, mint, tenant, "app", ["us/large"])
    await store.put_tenant(replace(tenant, models_allowed=("eu/*",)))
    changed = await change_key(store, mint.clock, made.key.key_id, lambda key: replace(key, name="renamed"))
    assert changed.scope == made.key.scope


async def test_two_who_change_a_key_at_once_both_get_their_way(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    made = await create_key(store, mint, tenant, "app")
    asked = 0

    def change(key: ApiKey) -> ApiKey:
        nonlocal asked
        asked += 1
        return replace(key, tags=(*key.tags, "mine"))

    async def somebody_is_faster() -> None:
        await store.swap_key(made.key, replace(made.key, name="theirs"))

    key = await store.key(made.key.key_id)
    assert key is not None
    await somebody_is_faster()
    changed = await swap(store, made.key.key_id, change)
    assert (changed.name, changed.tags, asked) == ("theirs", ("mine",), 1)


async def test_keys_come_in_pages_of_some_tenants(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    await store.create_tenant("other", "acme", "Other", credit_unlimited=False)
    mint = Mint(mint.pepper, mint.clock, os.urandom)
    ids = sorted([(await create_key(store, mint, tenant, "mine")).key.key_id for _ in range(5)])
    theirs = await create_key(store, mint, await tenant_named(store, "other"), "theirs")
    first, after = await keys_page(store, ["lab"], None, 3)
    rest, end = await keys_page(store, ["lab"], after, 3)
    assert ([key.key_id for key in (*first, *rest)], end) == (ids, None)
    assert [key.key_id for key in (await keys_page(store, ["other"], None, 3))[0]] == [theirs.key.key_id]
    assert len((await keys_page(store, None, None, 100))[0]) == 6
    with pytest.raises(BadRequest):
        await keys_page(store, None, None, 0)


async def test_a_person_who_leaves_takes_their_keys_along(store: SqlStore, mint: Mint, tenant: Tenant) -> None:
    own = [await create_key(store, mint, tenant, "own", terms=KeyTerms(owner_id="usr_1")) for _ in range(2)]
    await revoke_key(store, own[0].key.key_id)
    tenants = await create_key(store, mint, tenant, "tenant's")
    assert {key.key_id for key in await keys_of_user(store, "usr_1")} == {key.key.key_id for key in own}
    assert await keys_of_user(store, "") == []
    assert await withdraw_keys_of(store, "usr_1") == [own[1].key.key_id]
    assert [key.key_id for key in await list_keys(store) if key.active] == [tenants.key.key_id]
    assert await withdraw_keys_of(store, "usr_1") == []
