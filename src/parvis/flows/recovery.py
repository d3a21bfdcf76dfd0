"""Recovery: for who lost a password or a second factor, and for whom somebody else may be signed in.

Who has at least the rights of a person takes all of their sign-in away and gets a link, for them to set another
password. Ids, grants and API keys stay. Without a second factor they enrol one at once where it is demanded.
"""

from typing import NamedTuple

from parvis.core.errors import BadRequest, Conflict, NotPermitted
from parvis.core.secret import Secret
from parvis.domain.identity.invitation import LIFE_MS, Invitation
from parvis.domain.identity.key_text import INVITATION_PREFIX, new_key, write_key
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.password import checked_password
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.principal import Kind, Principal
from parvis.domain.identity.role import Grant, Role
from parvis.flows.digests import keyed_digest
from parvis.flows.grants import lacking, who_may
from parvis.flows.invitations import Invited, gone, read_link
from parvis.flows.keys import Mint
from parvis.flows.people import person_named
from parvis.flows.sign_in_ports import Passwords
from parvis.flows.store import Store

_OPERATORS = frozenset({Kind.OPERATOR, Kind.OPERATOR_TOKEN})


class SignedOut(NamedTuple):
    """How many of somebody's were ended."""

    sessions: int
    tokens: int


async def reset_sign_in(
    store: Store, mint: Mint, actor: Principal, user_id: str, realm: Realm = Realm.CUSTOMER
) -> Invited:
    """Take away password, second factors, sessions and personal tokens; give a link that sets another password.

    An earlier link of theirs works no more. Raises NotFound, NotPermitted for oneself (`own_sign_in`) and for who has a
    right that the actor lacks, Conflict (`other_owner`) for the operator where a customer's own owner can do it.
    """
    person = await person_named(store, realm, user_id)
    if actor.subject_id == user_id:
        raise NotPermitted("Nobody resets their own sign-in. Change your password instead.", code="own_sign_in")
    held = await _within_reach(store, actor, person, realm)
    if actor.kind in _OPERATORS and any(one.role is Role.ORGANISATION_OWNER for one in held):
        await _refuse_beside_owners(store, person)
    now = mint.clock.unix_ms()
    link_id, secret = new_key(mint.randomness)
    place, ends = person.organisation_id, now + LIFE_MS
    link = Invitation(link_id, place, person.email, (), actor.name, now, ends, user_id=user_id)
    await store.people(realm).reset_sign_in(link, keyed_digest(mint, realm, link_id, secret))
    return Invited(link, write_key(link_id, secret, INVITATION_PREFIX))


async def recover(
    store: Store, mint: Mint, passwords: Passwords, link: Secret, password: Secret | None, realm: Realm
) -> Person:
    """Set another password by the link of a reset; it works once. Failures of the account are forgotten.

    Raises NotFound for a link that opens nothing any more, BadRequest without a password or for one that will not do.
    """
    found, digest = await read_link(store, mint, link, realm)
    person = await store.people(realm).person(found.user_id)
    if person is None or person.standing is not Standing.ACTIVE:
        raise gone()
    if password is None:
        raise BadRequest("This link sets another password. Send one.", param="password")
    hashed = await passwords.hash(checked_password(password, person.email))
    await store.people(realm).recover(found.invitation_id, digest, hashed)
    return person


async def sign_out(
    store: Store, actor: Principal, user_id: str, realm: Realm = Realm.CUSTOMER, *, tokens: bool = False
) -> SignedOut:
    """End all sessions of somebody, and their personal tokens if it is said.

    Raises NotFound, NotPermitted for who has a right that the actor lacks.
    """
    person = await person_named(store, realm, user_id)
    await _within_reach(store, actor, person, realm)
    return SignedOut(*await store.people(realm).sign_out(user_id, tokens=tokens))


async def _within_reach(store: Store, actor: Principal, person: Person, realm: Realm) -> list[Grant]:
    """What a person was granted, if the actor has all of it: else the one would come to the rights of the other."""
    held = await store.people(realm).grants(person.user_id)
    for one in held:
        if missing := lacking(actor, one.role, one.target):
            raise NotPermitted(f"You cannot do this to somebody who is '{one.role}': you lack '{missing}' there.")
    return held


async def _refuse_beside_owners(store: Store, person: Person) -> None:
    """The operator comes to the account of an owner only where no other owner is active, who could help."""
    place = person.organisation_id
    for access in await who_may(store, Realm.CUSTOMER, place):
        other = access.person
        owner = access.grant.role is Role.ORGANISATION_OWNER and other.standing is Standing.ACTIVE
        if owner and other.user_id != person.user_id:
            raise Conflict(
                f"'{place}' has another owner, who can do this. If none of them can sign in, suspend the others first.",
                code="other_owner",
            )
