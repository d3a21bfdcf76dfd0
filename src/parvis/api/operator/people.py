"""People: a customer's users (`/v1/users`) and the operator's own (`/v1/operators`): two doors, and two stores."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers import GrantAtLevel, NewInvitation, Operator
from parvis.api.operator.answers import Invitation as InvitationShown
from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.operator.grants import GrantForm, RoleForm, check_ownership, grant_shape, role_at
from parvis.api.web.answers import Listed
from parvis.api.web.answers_people import User
from parvis.api.web.instants import write_instant
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json, page
from parvis.domain.identity.invitation import Invitation
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.flows import grants, invitations, people
from parvis.flows.invitation_letter import post_link

ROLES_MAX = 100
Text = Annotated[str, Field(max_length=300)]
Roles = Annotated[list[RoleForm], Field(max_length=ROLES_MAX)]


class UserForm(BaseModel):
    """Somebody who signs in by the organisation's OpenID provider. Who has a password is invited instead."""

    model_config = ConfigDict(extra="forbid")
    email: Text
    name: Text


class InvitationForm(BaseModel):
    """Somebody who is asked in, and the roles that wait for them."""

    model_config = ConfigDict(extra="forbid")
    email: Text
    roles: Roles = []


class OperatorForm(BaseModel):
    """One of the operator's people who is asked in."""

    model_config = ConfigDict(extra="forbid")
    email: Text
    role: Role


class PersonChange(BaseModel):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    language: Text | None = None


# A customer's users


async def all_users(
    desk: TheDesk, organisation_id: str, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[User]]:
    """The users of an organisation, suspended ones included, sorted by id."""
    found = await people.list_people(desk.store, Realm.CUSTOMER, organisation_id)
    return page(found, lambda one: one.user_id, person_shape, query.after, query.limit)


async def create_user(desk: TheDesk, organisation_id: str, form: UserForm) -> Annotated[Json, User]:
    """Somebody without a password and without rights, who comes by OpenID."""
    made = await people.create_person(desk.store, desk.mint, Realm.CUSTOMER, organisation_id, form.email, form.name)
    return person_shape(made)


async def one_user(desk: TheDesk, user_id: str) -> Annotated[Json, User]:
    """One user of a customer."""
    return person_shape(await people.person_named(desk.store, Realm.CUSTOMER, user_id))


async def change_user(desk: TheDesk, user_id: str, form: PersonChange) -> Annotated[Json, User]:
    """Another name or language."""
    return await _change(desk, Realm.CUSTOMER, user_id, form)


async def suspend_user(desk: TheDesk, user_id: str) -> Annotated[Json, User]:
    """Nothing of theirs works until they are resumed."""
    changed = await people.suspend(desk.store, Realm.CUSTOMER, user_id)
    await desk.announce()  # their own keys
    return person_shape(changed)


async def resume_user(desk: TheDesk, user_id: str) -> Annotated[Json, User]:
    """They may come again, with what they had."""
    changed = await people.resume(desk.store, Realm.CUSTOMER, user_id)
    await desk.announce()  # their own keys
    return person_shape(changed)


async def remove_user(desk: TheDesk, user_id: str) -> Annotated[Json, User]:
    """For good: sessions, tokens, roles and their own keys end."""
    removed = await people.remove(desk.store, Realm.CUSTOMER, user_id)
    await desk.announce()
    return person_shape(removed)


async def user_grants(
    desk: TheDesk, user_id: str, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[GrantAtLevel]]:
    """What a user was granted, by whom and since when."""
    found = await grants.grants_of(desk.store, Realm.CUSTOMER, user_id)
    return page(found, lambda one: one.grant_id, grant_shape, query.after, query.limit)


async def grant_user(desk: TheDesk, actor: TheActor, user_id: str, form: GrantForm) -> Annotated[Json, GrantAtLevel]:
    """Give a user a role over their organisation, or over one of its tenants."""
    person = await people.person_named(desk.store, Realm.CUSTOMER, user_id)
    check_ownership(actor, desk, [form.role])
    target = Target(person.organisation_id, form.tenant_id)
    return grant_shape(await grants.grant(desk.store, desk.mint, actor, user_id, form.role, target))


# Invitations of customers


async def all_invitations(
    desk: TheDesk, organisation_id: str, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[InvitationShown]]:
    """Who was asked in, in every state, sorted by id."""
    found = await invitations.list_invitations(desk.store, organisation_id)
    return page(found, lambda one: one.invitation_id, invitation_shape, query.after, query.limit)


async def invite(
    desk: TheDesk, actor: TheActor, organisation_id: str, form: InvitationForm
) -> Annotated[Json, NewInvitation]:
    """Ask somebody in. `link` is its token: this answer is the only place where it ever stands."""
    roles = [role_at(organisation_id, one) for one in form.roles]
    return await _invite(desk, actor, organisation_id, form.email, roles)


async def withdraw_invitation(
    desk: TheDesk, organisation_id: str, invitation_id: str
) -> Annotated[Json, InvitationShown]:
    """Its link opens nothing any more."""
    return invitation_shape(await invitations.withdraw(desk.store, organisation_id, invitation_id))


# The operator's people


async def all_operators(desk: TheDesk, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[Operator]]:
    """The operator's people, suspended ones included, sorted by id."""
    found = await people.list_people(desk.store, Realm.OPERATOR)
    return page(found, lambda one: one.user_id, operator_shape, query.after, query.limit)


async def invite_operator(desk: TheDesk, actor: TheActor, form: OperatorForm) -> Annotated[Json, NewInvitation]:
    """Ask one of the operator's people in. `link` is its token: shown in this answer only."""
    return await _invite(desk, actor, "", form.email, [(form.role, INSTALLATION)], Realm.OPERATOR)


async def operator_invitations(
    desk: TheDesk, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[InvitationShown]]:
    """Who of the operator's people was asked in, in every state, sorted by id."""
    found = await invitations.list_invitations(desk.store, None, Realm.OPERATOR)
    return page(found, lambda one: one.invitation_id, invitation_shape, query.after, query.limit)


async def withdraw_operator_invitation(desk: TheDesk, invitation_id: str) -> Annotated[Json, InvitationShown]:
    """Its link opens nothing any more."""
    return invitation_shape(await invitations.withdraw(desk.store, "", invitation_id, Realm.OPERATOR))


async def one_operator(desk: TheDesk, operator_id: str) -> Annotated[Json, Operator]:
    """One of the operator's people."""
    return operator_shape(await people.person_named(desk.store, Realm.OPERATOR, operator_id))


async def suspend_operator(desk: TheDesk, operator_id: str) -> Annotated[Json, Operator]:
    """Nothing of theirs works until they are resumed."""
    return operator_shape(await people.suspend(desk.store, Realm.OPERATOR, operator_id))


async def resume_operator(desk: TheDesk, operator_id: str) -> Annotated[Json, Operator]:
    """They may come again, with what they had."""
    return operator_shape(await people.resume(desk.store, Realm.OPERATOR, operator_id))


async def remove_operator(desk: TheDesk, operator_id: str) -> Annotated[Json, Operator]:
    """For good: sessions, tokens and roles end."""
    return operator_shape(await people.remove(desk.store, Realm.OPERATOR, operator_id))


async def operator_grants(
    desk: TheDesk, operator_id: str, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[GrantAtLevel]]:
    """What one of the operator's people was granted, by whom and since when."""
    found = await grants.grants_of(desk.store, Realm.OPERATOR, operator_id)
    return page(found, lambda one: one.grant_id, grant_shape, query.after, query.limit)


async def grant_operator(
    desk: TheDesk, actor: TheActor, operator_id: str, form: RoleForm
) -> Annotated[Json, GrantAtLevel]:
    """Give one of the operator's people a role over the installation."""
    given = await grants.grant(desk.store, desk.mint, actor, operator_id, form.role, INSTALLATION)
    return grant_shape(given)


# Shapes


def person_shape(one: Person) -> Json:
    """Somebody, without anything that they sign in with."""
    return {
        "object": "user",
        "id": one.user_id,
        "organisation_id": one.organisation_id,
        "email": one.email,
        "name": one.name,
        "standing": one.standing,
        "language": one.language,
        "created_at": write_instant(one.created_unix_ms),
        "last_seen_at": None if one.last_seen_unix_ms is None else write_instant(one.last_seen_unix_ms),
    }


def operator_shape(one: Person) -> Json:
    """One of the operator's people."""
    shape = {**person_shape(one), "object": "operator"}
    del shape["organisation_id"]
    return shape


def invitation_shape(one: Invitation) -> Json:
    """An invitation without its link."""
    return {
        "object": "invitation",
        "id": one.invitation_id,
        "organisation_id": one.organisation_id,
        "email": one.email,
        "roles": [{"role": role, "tenant_id": target.tenant_id or None} for role, target in one.roles],
        "state": one.state,
        "invited_by": one.invited_by,
        "created_at": write_instant(one.created_unix_ms),
        "ends_at": write_instant(one.ends_unix_ms),
    }


async def _change(desk: OperatorDesk, realm: Realm, user_id: str, form: PersonChange) -> Json:
    return person_shape(await people.rename(desk.store, realm, user_id, name=form.name, language=form.language))


async def _invite(
    desk: OperatorDesk,
    actor: Principal,
    organisation_id: str,
    email: str,
    roles: list[tuple[Role, Target]],
    realm: Realm = Realm.CUSTOMER,
) -> Json:
    check_ownership(actor, desk, [role for role, _ in roles])
    made = await invitations.invite(desk.store, desk.mint, actor, organisation_id, email, roles, realm)
    await post_link(desk.post_office, made, desk.site.public_url if realm is Realm.OPERATOR else "")
    return {**invitation_shape(made.invitation), "link": made.link.reveal()}
