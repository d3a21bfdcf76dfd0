"""Personal tokens: for programs of people. Shown once, narrowed, and over within twelve months."""

from collections.abc import Sequence
from typing import NamedTuple

from parvis.core.errors import BadRequest, NotPermitted
from parvis.core.secret import Secret
from parvis.domain.identity.key_text import OPERATOR_PREFIX, PERSONAL_PREFIX, new_key, write_key
from parvis.domain.identity.person import Person, Realm, checked_name
from parvis.domain.identity.personal_token import LIFE_MS_MAX, PersonalToken, narrowed
from parvis.domain.identity.principal import Right, rights_of
from parvis.flows.digests import keyed_digest
from parvis.flows.keys import Mint
from parvis.flows.store import Store

PREFIXES = {Realm.CUSTOMER: PERSONAL_PREFIX, Realm.OPERATOR: OPERATOR_PREFIX}


class NewToken(NamedTuple):
    """A token that was just made. `text` is all of it: shown to its person once, stored never."""

    token: PersonalToken
    text: Secret


async def make_token(
    store: Store,
    mint: Mint,
    person: Person,
    name: str,
    ends_unix_ms: int,
    limits: Sequence[Right] = (),
    realm: Realm = Realm.CUSTOMER,
) -> NewToken:
    """A token for what its person may do, or for the part of it that `limits` name.

    What they may not do any more, their token may not either. Raises BadRequest for a name that cannot be printed and
    for an end that has passed or is over twelve months away, NotPermitted for a limit that is beyond what they may do.
    """
    now = mint.clock.unix_ms()
    if not now < ends_unix_ms <= now + LIFE_MS_MAX:
        raise BadRequest("A token ends after now and within twelve months. Say when.", param="expires_at")
    own = rights_of(await store.people(realm).grants(person.user_id))
    for limit in limits:
        covered = {may for right in narrowed(own, [limit]) if right.target == limit.target for may in right.permissions}
        if missing := sorted(limit.permissions - covered):
            raise NotPermitted(f"A token cannot do more than you: you lack '{missing[0]}' there.")
    token_id, secret = new_key(mint.randomness)
    token = PersonalToken(token_id, person.user_id, checked_name(name), now, ends_unix_ms, tuple(limits))
    await store.people(realm).add_token(token, keyed_digest(mint, realm, token_id, secret))
    return NewToken(token, write_key(token_id, secret, PREFIXES[realm]))


async def list_tokens(store: Store, realm: Realm, user_id: str) -> list[PersonalToken]:
    """Revoked and ended ones included, sorted by id."""
    return await store.people(realm).tokens(user_id)


async def revoke_token(store: Store, realm: Realm, user_id: str, token_id: str) -> None:
    """For good; again is no error. Raises NotFound when this person has none such."""
    await store.people(realm).revoke_token(user_id, token_id)
