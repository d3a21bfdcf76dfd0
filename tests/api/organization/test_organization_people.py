"""Users, invitations and the users of projects: through the official client, and what others may not."""

from typing import Any

import pytest
from openai import APIStatusError, NotFoundError, PermissionDeniedError


def ids(things: Any) -> set[str]:
    return {thing.id for thing in things}


async def all_of(pages: Any) -> list[Any]:
    return [thing async for thing in pages]


def roles_of(user: Any) -> list[tuple[str, str | None]]:
    return [(role["role"], role["tenant_id"]) for role in user.parvis_roles]


async def test_an_owner_lists_the_people_of_their_organisation(town: Any) -> None:
    users = await all_of(town.admin("owner").users.list(limit=2))
    assert ids(users) == {town.users[who] for who in town.users if who != "foreigner"}
    [owner] = [user for user in users if user.role == "owner"]
    assert (owner.id, owner.email, owner.name) == (town.users["owner"], "owner@example.org", "Owner")
    assert roles_of(owner) == [("organisation_owner", None)]


async def test_pages_have_ends(town: Any) -> None:
    page = await town.admin("owner").users.list(limit=4)
    assert (page.first_id, page.last_id, page.has_more) == (page.data[0].id, page.data[-1].id, True)
    page = await town.admin("owner").users.list(limit=4, after=page.last_id)
    assert (len(page.data), page.has_more) == (2, False)
    page = await town.admin("owner").users.list(after=page.last_id)
    assert (page.data, page.first_id, page.last_id, page.has_more) == ([], None, None, False)


async def test_people_are_found_by_their_mail(town: Any) -> None:
    found = await all_of(town.admin("owner").users.list(emails=["BOSS@example.org", "foreigner@example.org"]))
    assert ids(found) == {town.users["boss"]}


async def test_a_tenant_owner_sees_the_people_of_the_tenant(town: Any) -> None:
    users = await all_of(town.admin("boss").users.list())
    assert ids(users) == {town.users["boss"], town.users["developer"]}
    assert (await town.admin("boss").users.retrieve(town.users["developer"])).email == "developer@example.org"
    for stranger in ("sibling", "owner", "foreigner"):
        with pytest.raises(NotFoundError):
            await town.admin("boss").users.retrieve(town.users[stranger])


async def test_a_user_of_elsewhere_does_not_exist(town: Any) -> None:
    for act in ("retrieve", "delete", "update"):
        with pytest.raises(NotFoundError) as caught:
            await getattr(town.admin("owner").users, act)(town.users["foreigner"])
        with pytest.raises(NotFoundError) as missing:
            await getattr(town.admin("owner").users, act)("usr_nobody")
        assert caught.value.body == missing.value.body


async def test_a_tenant_owner_cannot_remove_people_or_set_their_role(town: Any) -> None:
    for act in ("delete", "update"):
        with pytest.raises(PermissionDeniedError, match="write"):
            await getattr(town.admin("boss").users, act)(town.users["developer"])


async def test_roles_over_the_organisation_are_set_as_a_whole(town: Any) -> None:
    admin, developer = town.admin("owner"), town.users["developer"]
    user = await admin.users.update(developer, role="reader")
    assert roles_of(user) == [("developer", "acme-a"), ("member", None)]
    user = await admin.users.update(developer, role="billing_reader")
    assert roles_of(user) == [("developer", "acme-a"), ("billing_reader", None)]
    with pytest.raises(APIStatusError, match="auditor") as caught:
        await admin.users.update(developer, role="auditor")
    assert caught.value.status_code == 409
    assert roles_of(await admin.users.retrieve(developer)) == [("developer", "acme-a"), ("billing_reader", None)]
    with pytest.raises(APIStatusError, match="tenant_owner") as caught:
        await admin.users.update(developer, role="tenant_owner")
    assert caught.value.status_code == 400


async def test_ownership_is_not_given_by_a_token(town: Any) -> None:
    admin = town.admin("owner")
    for act in (
        admin.users.update(town.users["developer"], role="owner"),
        admin.users.update(town.users["owner"], role="reader"),
        admin.invites.create(email="new@example.org", role="owner"),
        admin.projects.users.create("proj-acme-a", user_id=town.users["payer"], role="owner"),
        admin.projects.users.delete(town.users["boss"], project_id="proj-acme-a"),
    ):
        with pytest.raises(PermissionDeniedError) as caught:
            await act
        assert caught.value.code == "step_up_required"


async def test_who_is_removed_can_do_nothing_any_more(town: Any) -> None:
    gone = await town.admin("owner").users.delete(town.users["developer"])
    assert (gone.id, gone.deleted, gone.object) == (town.users["developer"], True, "organization.user.deleted")
    assert town.announced
    with pytest.raises(APIStatusError) as caught:
        await town.admin("developer").projects.list()
    assert caught.value.status_code == 401
    with pytest.raises(NotFoundError):
        await town.admin("owner").users.retrieve(town.users["developer"])


async def test_the_last_owner_stays(town: Any) -> None:
    with pytest.raises(APIStatusError) as caught:
        await town.admin("owner").users.delete(town.users["owner"])
    assert (caught.value.status_code, caught.value.code) == (409, "last_owner")


@pytest.mark.parametrize("who", ["developer", "payer"])
async def test_who_may_not_read_users_is_told_so(town: Any, who: str) -> None:
    with pytest.raises(PermissionDeniedError, match=r"users\.read"):
        await town.admin(who).users.list()


async def test_auditors_read_and_change_nothing(town: Any) -> None:
    assert len(await all_of(town.admin("auditor").users.list())) == 6
    with pytest.raises(PermissionDeniedError, match=r"users\.write"):
        await town.admin("auditor").users.delete(town.users["payer"])
    with pytest.raises(PermissionDeniedError, match=r"users\.write"):
        await town.admin("auditor").invites.create(email="new@example.org", role="reader")


# ----------------------------------------------------------------------------------------------- invitations


async def test_an_invitation_is_made_seen_and_withdrawn(town: Any) -> None:
    invites = town.admin("owner").invites
    made = await invites.create(
        email="new@example.org", role="reader", projects=[{"id": "proj-acme-a", "role": "member"}]
    )
    assert (made.email, made.role, made.status) == ("new@example.org", "reader", "pending")
    assert made.link.startswith("inv-parvis_")
    assert [(project.id, project.role) for project in made.projects if project.id == "proj-acme-a"] == [
        ("proj-acme-a", "member")
    ]
    assert made.parvis_roles == [{"role": "developer", "level": "tenant", "tenant_id": "acme-a"}]
    assert ids(await all_of(invites.list())) == {made.id}
    assert "inv-parvis" not in (await invites.retrieve(made.id)).to_json()
    assert (await invites.delete(made.id)).deleted
    assert await all_of(invites.list()) == []
    with pytest.raises(NotFoundError):
        await invites.retrieve(made.id)


async def test_a_tenant_owner_invites_to_the_tenant_alone(town: Any) -> None:
    invites = town.admin("boss").invites
    made = await invites.create(
        email="new@example.org", role="reader", projects=[{"id": "proj-acme-a", "role": "member"}]
    )
    assert ids(await all_of(invites.list())) == {made.id}
    assert await all_of(town.admin("sibling").invites.list()) == []
    with pytest.raises(NotFoundError):
        await town.admin("sibling").invites.delete(made.id)
    with pytest.raises(PermissionDeniedError):
        await invites.create(email="other@example.org", role="reader")
    for project in ("proj-acme-b", "proj-rival-a", "proj-nothing"):
        with pytest.raises(NotFoundError):
            await invites.create(email="other@example.org", role="reader", projects=[{"id": project, "role": "member"}])


async def test_what_cannot_be_is_refused_by_name(town: Any) -> None:
    invites = town.admin("owner").invites
    for body, param in (
        ({"email": "nobody", "role": "reader"}, "email"),
        ({"email": "new@example.org", "role": "king"}, "role"),
    ):
        with pytest.raises(APIStatusError) as caught:
            await invites.create(**body)
        assert (caught.value.status_code, caught.value.param) == (400, param)
    with pytest.raises(APIStatusError) as caught:
        await invites.create(email="boss@example.org", role="reader")
    assert caught.value.status_code == 409


# ---------------------------------------------------------------------------------------- users of a project


async def test_users_of_a_project_are_those_of_its_tenant(town: Any) -> None:
    users = town.admin("boss").projects.users
    found = await all_of(users.list("proj-acme-a"))
    assert {(user.id, user.role) for user in found} == {
        (town.users["boss"], "owner"),
        (town.users["developer"], "member"),
    }
    assert (await users.retrieve(town.users["boss"], project_id="proj-acme-a")).email == "boss@example.org"


async def test_a_user_is_added_changed_and_removed(town: Any) -> None:
    users = town.admin("boss").projects.users
    added = await users.create("proj-acme-a", email="payer@example.org", role="member")
    assert (added.id, added.role) == (town.users["payer"], "member")
    changed = await users.update(added.id, project_id="proj-acme-a", role="billing_reader")
    assert [role["role"] for role in changed.parvis_roles] == ["billing_reader"]
    assert (await users.delete(added.id, project_id="proj-acme-a")).deleted
    with pytest.raises(NotFoundError):
        await users.retrieve(added.id, project_id="proj-acme-a")


async def test_who_is_added_must_be_of_the_organisation(town: Any) -> None:
    users = town.admin("boss").projects.users
    for who in ({"user_id": town.users["foreigner"]}, {"email": "foreigner@example.org"}, {"email": "x@example.org"}):
        with pytest.raises(NotFoundError):
            await users.create("proj-acme-a", role="member", **who)
    with pytest.raises(APIStatusError, match="user_id") as caught:
        await users.create("proj-acme-a", role="member")
    assert caught.value.status_code == 400


async def test_a_developer_grants_nothing(town: Any) -> None:
    with pytest.raises(PermissionDeniedError, match=r"grants\.write"):
        await town.admin("developer").projects.users.create("proj-acme-a", user_id=town.users["payer"], role="member")


@pytest.mark.parametrize("who", ["sibling", "foreigner"])
async def test_users_of_other_projects_cannot_be_seen_or_changed(town: Any, who: str) -> None:
    users = town.admin(who).projects.users
    with pytest.raises(NotFoundError):
        await users.list("proj-acme-a")
    with pytest.raises(NotFoundError):
        await users.create("proj-acme-a", user_id=town.users[who], role="owner")
    with pytest.raises(NotFoundError):
        await users.delete(town.users["developer"], project_id="proj-acme-a")
