"""Projects, their keys and service accounts, and personal tokens: through the official client."""

from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, NotFoundError, PermissionDeniedError

from parvis.domain.identity.key_text import read_key

PROJECT = "proj-acme-a"


async def all_of(pages: Any) -> list[Any]:
    return [thing async for thing in pages]


async def test_projects_are_those_that_one_may_read(town: Any) -> None:
    for who, seen in (("owner", 2), ("boss", 1), ("developer", 1), ("auditor", 2), ("foreigner", 1)):
        projects = await all_of(town.admin(who).projects.list(limit=1))
        own = [project.id for project in projects if project.id.startswith("proj-")]
        assert len(own) == seen, who
    with pytest.raises(PermissionDeniedError, match=r"projects\.read"):
        await town.admin("payer").projects.list()


async def test_a_project_is_made_renamed_and_archived(town: Any) -> None:
    projects = town.admin("boss").projects
    made = await projects.create(name="Chatbot")
    assert (made.name, made.status, made.tenant_id, made.object) == (
        "Chatbot",
        "active",
        "acme-a",
        "organization.project",
    )
    assert (await projects.update(made.id, name="Helper")).name == "Helper"
    assert (await projects.retrieve(made.id)).name == "Helper"
    assert (await projects.archive(made.id)).status == "archived"
    assert made.id not in [project.id for project in await all_of(projects.list())]
    assert made.id in [project.id for project in await all_of(projects.list(include_archived=True))]


async def test_who_has_several_tenants_says_which(town: Any) -> None:
    projects = town.admin("owner").projects
    with pytest.raises(APIStatusError, match="acme-a, acme-b") as caught:
        await projects.create(name="Chatbot")
    assert (caught.value.status_code, caught.value.param) == (400, "tenant_id")
    assert (await projects.create(name="Chatbot", extra_body={"tenant_id": "acme-b"})).tenant_id == "acme-b"
    for elsewhere in ("rival-a", "nothing"):
        with pytest.raises(NotFoundError):
            await projects.create(name="Chatbot", extra_body={"tenant_id": elsewhere})


async def test_what_we_do_not_have_is_refused_by_name(town: Any) -> None:
    admin = town.admin("owner")
    with pytest.raises(APIStatusError, match="geography") as caught:
        await admin.projects.create(name="Chatbot", geography="EU")
    assert caught.value.code == "unknown_parameter"
    with pytest.raises(APIStatusError, match="colour") as caught:
        await admin.projects.list(extra_query={"colour": "green"})
    assert caught.value.code == "unknown_parameter"
    with pytest.raises(APIStatusError) as caught:
        await admin.projects.list(limit=101)
    assert (caught.value.status_code, caught.value.param) == (400, "limit")


@pytest.mark.parametrize("who", ["sibling", "foreigner"])
async def test_projects_of_others_do_not_exist(town: Any, who: str) -> None:
    projects = town.admin(who).projects
    key = town.keys["acme-a"].key.key_id
    for act in (
        projects.retrieve(PROJECT),
        projects.update(PROJECT, name="Mine"),
        projects.archive(PROJECT),
        projects.api_keys.list(PROJECT),
        projects.api_keys.retrieve(key, project_id=PROJECT),
        projects.api_keys.delete(key, project_id=PROJECT),
        projects.service_accounts.create(PROJECT, name="mine"),
    ):
        with pytest.raises(NotFoundError):
            await act


@pytest.mark.parametrize("who", ["developer", "auditor"])
async def test_projects_are_changed_by_owners(town: Any, who: str) -> None:
    for act in (
        town.admin(who).projects.update(PROJECT, name="Mine"),
        town.admin(who).projects.archive(PROJECT),
        town.admin(who).projects.create(name="Mine"),
    ):
        with pytest.raises(PermissionDeniedError, match=r"projects\.write"):
            await act


# ------------------------------------------------------------------------------------------------------ keys


async def test_keys_are_listed_without_their_secrets(town: Any) -> None:
    keys = await all_of(town.admin("auditor").projects.api_keys.list(PROJECT))
    [key] = keys
    made = town.keys["acme-a"]
    assert (key.id, key.name, key.owner.type) == (made.key.key_id, "key of acme-a", "service_account")
    assert (key.owner_project_access, key.last_used_at, key.expires_at) == ("active", None, None)
    secret = read_key(made.text.reveal())
    assert secret is not None
    assert secret.secret.reveal() not in key.to_json()
    assert key.redacted_value == f"sk-parvis_{key.id}_..."


async def test_a_service_account_gives_its_key_once(town: Any) -> None:
    accounts = town.admin("developer").projects.service_accounts
    made = await accounts.create(PROJECT, name="robot", expires_in_seconds=3600)
    text = read_key(made.api_key.value)
    assert text is not None
    assert (made.id, made.name, made.role, text.key_id) == (made.api_key.id, "robot", "member", made.id)
    assert made.api_key.expires_at - made.api_key.created_at == 3600
    async with AsyncOpenAI(base_url=f"{town.address}/v1", api_key=made.api_key.value) as client:
        assert len(await all_of(client.models.list())) == 2
    listed = {account.id for account in await all_of(accounts.list(PROJECT))}
    assert listed == {made.id, town.keys["acme-a"].key.key_id}
    seen = await accounts.retrieve(made.id, project_id=PROJECT)
    assert made.api_key.value not in seen.to_json()
    assert (await accounts.delete(made.id, project_id=PROJECT)).deleted
    with pytest.raises(NotFoundError):
        await accounts.retrieve(made.id, project_id=PROJECT)
    with pytest.raises(APIStatusError, match="key") as caught:
        await accounts.create(PROJECT, name="robot", create_service_account_only=True)
    assert caught.value.status_code == 400


async def test_a_deleted_key_is_out_at_once(town: Any) -> None:
    keys, key = town.admin("developer").projects.api_keys, town.keys["acme-a"]
    assert (await keys.delete(key.key.key_id, project_id=PROJECT)).deleted
    assert town.announced
    assert await all_of(keys.list(PROJECT)) == []
    for act in (keys.delete, keys.retrieve):
        with pytest.raises(NotFoundError):
            await act(key.key.key_id, project_id=PROJECT)
    async with AsyncOpenAI(base_url=f"{town.address}/v1", api_key=key.text.reveal(), max_retries=0) as client:
        with pytest.raises(APIStatusError) as caught:
            await client.models.list()
    assert caught.value.status_code == 401


async def test_a_key_is_found_in_its_own_project_alone(town: Any) -> None:
    keys, key = town.admin("owner").projects.api_keys, town.keys["acme-a"].key
    for act in (keys.retrieve, keys.delete):
        with pytest.raises(NotFoundError):
            await act(key.key_id, project_id="proj-acme-b")
    assert (await keys.retrieve(key.key_id, project_id=PROJECT)).id == key.key_id


async def test_auditors_make_and_end_no_keys(town: Any) -> None:
    projects, key = town.admin("auditor").projects, town.keys["acme-a"].key
    with pytest.raises(PermissionDeniedError, match=r"keys\.write"):
        await projects.service_accounts.create(PROJECT, name="mine")
    with pytest.raises(PermissionDeniedError, match=r"keys\.write"):
        await projects.api_keys.delete(key.key_id, project_id=PROJECT)


async def test_pages_of_keys_follow_one_another(town: Any) -> None:
    accounts = town.admin("developer").projects.service_accounts
    made = {(await accounts.create(PROJECT, name=f"robot {n}")).id for n in range(4)}
    page = await accounts.list(PROJECT, limit=2)
    assert (len(page.data), page.has_more, page.last_id) == (2, True, page.data[-1].id)
    assert {one.id for one in await all_of(accounts.list(PROJECT, limit=2))} == made | {town.keys["acme-a"].key.key_id}


async def test_a_key_of_a_user_names_its_owner(town: Any) -> None:
    async with town.http("developer") as client:
        form = {"name": "mine", "project_id": PROJECT}
        made = (await client.post("/v1/tenants/acme-a/keys", json=form)).json()
    keys = town.admin("boss").projects.api_keys
    key = await keys.retrieve(made["id"], project_id=PROJECT)
    assert (key.owner.type, key.owner.user.id, key.owner.user.email) == (
        "user",
        town.users["developer"],
        "developer@example.org",
    )
    assert key.owner_project_access == "active"
    assert [one.id for one in await all_of(keys.list(PROJECT, owner_project_access="inactive"))] == []
    with pytest.raises(NotFoundError):
        await town.admin("boss").projects.service_accounts.retrieve(key.id, project_id=PROJECT)


# ----------------------------------------------------------------------------------------------- personal tokens


async def test_tokens_are_ones_own(town: Any) -> None:
    tokens = await all_of(town.admin("developer").admin_api_keys.list())
    [token] = tokens
    assert (token.name, token.owner.id) == ("token of developer", town.users["developer"])
    assert (await town.admin("developer").admin_api_keys.retrieve(token.id)).id == token.id
    assert town.tokens["developer"] not in token.to_json()
    with pytest.raises(NotFoundError):
        await town.admin("owner").admin_api_keys.retrieve(token.id)


async def test_a_token_makes_and_ends_no_tokens(town: Any) -> None:
    """Whoever finds one cannot keep their way in with it. A session can: `test_profile` has that."""
    tokens = town.admin("developer").admin_api_keys
    [token] = await all_of(tokens.list())
    for act in (tokens.create(name="another"), tokens.delete(token.id)):
        with pytest.raises(PermissionDeniedError, match=r"own\.profile\.write"):
            await act
