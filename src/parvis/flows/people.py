"""People: made, renamed, suspended, resumed, removed. Removal takes away every access that they had."""

from collections.abc import Sequence
from dataclasses import replace

from parvis.core.errors import Conflict, NotFound
from parvis.core.ids import new_id
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Person, Realm, checked_email, checked_language, checked_name
from parvis.domain.identity.role import Grant
from parvis.flows.keys import Mint
from parvis.flows.store import Store

_ID_PREFIX = {Realm.CUSTOMER: "usr", Realm.OPERATOR: "opr"}


def new_person(mint: Mint, realm: Realm, organisation_id: str, email: str, name: str) -> Person:
    """Somebody whom nobody knows yet. Raises BadRequest for an e-mail or a name that is none."""
    now = mint.clock.unix_ms()
    user_id = new_id(_ID_PREFIX[realm], now, mint.randomness)
    owner_of = organisation_id if realm is Realm.CUSTOMER else ""
    return Person(user_id, owner_of, checked_email(email), checked_name(name), created_unix_ms=now)


async def create_person(
    store: Store,
    mint: Mint,
    realm: Realm,
    organisation_id: str,
    email: str,
    name: str,
    grants: Sequence[Grant] = (),
) -> Person:
    """Somebody without a credential: they come by OpenID, or by an invitation that sets a password.

    In the operator's realm `organisation_id` is not looked at. Raises BadRequest, Conflict when the e-mail is taken,
    NotFound without the organisation.
    """
    person = new_person(mint, realm, organisation_id, email, name)
    await store.people(realm).add_person(person, grants)
    return person


async def person_named(store: Store, realm: Realm, user_id: str, organisation_id: str | None = None) -> Person:
    """One, of this organisation if it is said. Raises NotFound, also for who was removed."""
    found = await store.people(realm).person(user_id)
    if found is None or found.standing is Standing.REMOVED or organisation_id not in (None, found.organisation_id):
        raise NotFound(f"There is no user '{user_id[:100]}'.", param="user_id")
    return found


async def list_people(store: Store, realm: Realm, organisation_id: str | None = None) -> list[Person]:
    """Who is there, suspended ones included, sorted by id."""
    everybody = await store.people(realm).people(organisation_id)
    return [person for person in everybody if person.standing is not Standing.REMOVED]


async def rename(
    store: Store,
    realm: Realm,
    user_id: str,
    *,
    name: str | None = None,
    language: str | None = None,
    email: str | None = None,
) -> Person:
    """What is not said stays. Raises NotFound, BadRequest, Conflict when the e-mail is taken."""
    before = await person_named(store, realm, user_id)
    after = replace(
        before,
        name=before.name if name is None else checked_name(name),
        language=before.language if language is None else checked_language(language),
        email=before.email if email is None else checked_email(email),
    )
    await store.people(realm).put_person(after)
    return after


async def suspend(store: Store, realm: Realm, user_id: str) -> Person:
    """Nothing of theirs works until they are resumed; sessions end. Raises NotFound, Conflict (`last_owner`)."""
    return await _stand(store, realm, user_id, Standing.SUSPENDED)


async def resume(store: Store, realm: Realm, user_id: str) -> Person:
    """Raises NotFound."""
    return await _stand(store, realm, user_id, Standing.ACTIVE)


async def remove(store: Store, realm: Realm, user_id: str) -> Person:
    """For good: sessions, tokens, grants, factors and their own API keys end. Raises NotFound, Conflict (`last_owner`).

    The keys of a customer's user end in gateways when the caller announces, as with every change of keys.
    """
    return await _stand(store, realm, user_id, Standing.REMOVED)


async def _stand(store: Store, realm: Realm, user_id: str, standing: Standing) -> Person:
    before = await person_named(store, realm, user_id)
    after = replace(before, standing=standing)
    await store.people(realm).put_person(after)
    return after


def taken(email: str) -> Conflict:
    """What is said of an e-mail that somebody has."""
    return Conflict(f"Somebody signs in with '{email}' already.", code="email_taken", param="email")
