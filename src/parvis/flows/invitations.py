"""Invitations: an owner names an address and roles; who reads the mail sets a name and a password, or signs in.

The link is shown to the inviter once, because mail is not always configured. It is good for seven days and once.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from parvis.core.errors import NotFound
from parvis.core.secret import Secret
from parvis.domain.identity.invitation import LIFE_MS, Invitation, InvitationState
from parvis.domain.identity.key_text import INVITATION_PREFIX, new_key, read_other, write_key
from parvis.domain.identity.password import checked_password
from parvis.domain.identity.person import Person, Realm, checked_email
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.flows.digests import keyed_digest
from parvis.flows.grants import check_roles, made
from parvis.flows.keys import Mint
from parvis.flows.people import new_person
from parvis.flows.sign_in_ports import Passwords
from parvis.flows.store import Store


class Invited(NamedTuple):
    """An invitation that was just made. `link` is its token: `inv-parvis_...`, shown once, stored never."""

    invitation: Invitation
    link: Secret


async def invite(
    store: Store,
    mint: Mint,
    actor: Principal,
    organisation_id: str,
    email: str,
    roles: Sequence[tuple[Role, Target]],
    realm: Realm = Realm.CUSTOMER,
) -> Invited:
    """Ask somebody in. An earlier invitation of theirs that is still open is withdrawn.

    Raises BadRequest for an address that is none, Conflict when somebody has it, and for the roles what
    `parvis.flows.grants.grant` raises.
    """
    address = checked_email(email)
    await check_roles(store, actor, realm, organisation_id, roles)
    now = mint.clock.unix_ms()
    key_id, secret = new_key(mint.randomness)
    invitation = Invitation(key_id, organisation_id, address, tuple(roles), actor.name, now, now + LIFE_MS)
    await store.people(realm).add_invitation(invitation, keyed_digest(mint, realm, key_id, secret))
    return Invited(invitation, write_key(key_id, secret, INVITATION_PREFIX))


async def resend(
    store: Store, mint: Mint, organisation_id: str, invitation_id: str, realm: Realm = Realm.CUSTOMER
) -> Invited:
    """Another link and another seven days; the first link works no more. Raises NotFound."""
    before = await invitation_named(store, organisation_id, invitation_id, realm)
    _, secret = new_key(mint.randomness)
    after = replace(before, ends_unix_ms=mint.clock.unix_ms() + LIFE_MS)
    digest = keyed_digest(mint, realm, invitation_id, secret)
    await store.people(realm).renew_invitation(invitation_id, digest, after.ends_unix_ms)
    return Invited(after, write_key(invitation_id, secret, INVITATION_PREFIX))


async def withdraw(store: Store, organisation_id: str, invitation_id: str, realm: Realm = Realm.CUSTOMER) -> Invitation:
    """The link works no more. Raises NotFound, Conflict when it was accepted."""
    before = await invitation_named(store, organisation_id, invitation_id, realm)
    await store.people(realm).withdraw_invitation(invitation_id)
    return replace(before, state=InvitationState.WITHDRAWN)


async def list_invitations(
    store: Store, organisation_id: str | None = None, realm: Realm = Realm.CUSTOMER
) -> list[Invitation]:
    """Of an organisation or of all, in every state, sorted by id."""
    return await store.people(realm).invitations(organisation_id)


async def invitation_named(
    store: Store, organisation_id: str, invitation_id: str, realm: Realm = Realm.CUSTOMER
) -> Invitation:
    """Raises NotFound, also for one of another organisation and for the link of a reset."""
    found = await store.people(realm).invitation(invitation_id)
    if found is None or found[0].organisation_id != organisation_id or found[0].user_id:
        raise NotFound(f"There is no invitation '{invitation_id[:100]}'.", param="invitation_id")
    return found[0]


async def read_link(store: Store, mint: Mint, link: Secret, realm: Realm) -> tuple[Invitation, bytes]:
    """What is open behind a link, with its digest. Raises NotFound: the same for every link that opens nothing."""
    text = read_other(INVITATION_PREFIX, link.reveal())
    found = None if text is None else await store.people(realm).invitation(text.key_id)
    if text is None or found is None:
        raise gone()
    invitation, kept = found
    presented = keyed_digest(mint, realm, text.key_id, text.secret)
    if not hmac.compare_digest(presented, kept) or not invitation.open(mint.clock.unix_ms()):
        raise gone()
    return invitation, presented


async def accept(
    store: Store,
    mint: Mint,
    passwords: Passwords,
    link: Secret,
    name: str,
    password: Secret | None,
    realm: Realm = Realm.CUSTOMER,
) -> Person:
    """Become a person. Without a password they sign in by OpenID only.

    Raises NotFound for a link that opens nothing (any more), BadRequest for a name or a password that will not do,
    Conflict when somebody has the address meanwhile.
    """
    invitation, digest = await read_link(store, mint, link, realm)
    if invitation.user_id:
        raise gone()
    person = new_person(mint, realm, invitation.organisation_id, invitation.email, name)
    hashed = ""
    if password is not None:
        hashed = await passwords.hash(checked_password(password, person.email))
    given = [made(mint, invitation.invited_by, person.user_id, *role) for role in invitation.roles]
    await store.people(realm).accept_invitation(invitation.invitation_id, digest, person, given, hashed)
    return person


def gone() -> NotFound:
    """What is said of a link that opens nothing (any more), whatever it once opened."""
    return NotFound("This invitation does not exist or is over. Ask for another.", code="invitation_over")
