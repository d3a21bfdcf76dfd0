"""What every store promises about people, as functions that take an open, empty store.

`PROMISES` lists those of one realm, once for each: both keep them. Those about grants, owners and invitations are in
`parvis.testing.people_places_suite`, those about lost sign-ins in `parvis.testing.people_recovery_suite`.
"""

# ruff: noqa: D103, S105, S106 - a promise's name is its sentence; hashes and numbers in it are expectations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.invitation import Invitation, InvitationState
from parvis.domain.identity.lockout import FORGOTTEN_MS, account, address
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.personal_token import PersonalToken
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Right
from parvis.domain.identity.role import Grant, Role
from parvis.domain.identity.second_factor import Challenge, Passkey, Purpose
from parvis.domain.identity.session import LIFE_MS_MAX, Means, Session
from parvis.flows.store import Store

NOW = 1_784_000_000_000
ORG, TENANT = Target("org"), Target("org", "tenant")


async def settle_people(store: Store) -> None:
    """One organisation with one tenant."""
    await store.create_organisation("org", "Organisation")
    await store.create_tenant("tenant", "org", "Tenant", credit_unlimited=True)


def somebody(realm: Realm = Realm.CUSTOMER, number: int = 1) -> Person:
    """Ada, or another of a number of her."""
    place = "org" if realm is Realm.CUSTOMER else ""
    return Person(f"usr_{number}", place, f"Ada{number}@Example.org", "Ada", created_unix_ms=NOW)


def a_grant(number: int = 1, role: Role = Role.ORGANISATION_OWNER, target: Target = ORG, user: int = 1) -> Grant:
    return Grant(f"grant_{number}", f"usr_{user}", role, target, "operator token", NOW)


def a_session(number: int = 1, created_unix_ms: int = NOW) -> Session:
    now = created_unix_ms
    return Session(f"ses_{number}", "usr_1", Means.PASSWORD, False, "192.0.2.1", now, now, now)  # noqa: FBT003 - as kept


def a_token(number: int = 1) -> PersonalToken:
    limits = (Right(frozenset({Permission.KEYS_READ, Permission.USAGE_READ}), TENANT),)
    return PersonalToken(f"token{number}", "usr_1", "script", NOW, NOW + 1000, limits)


def an_invitation(number: int = 1, email: str = "bob@example.org") -> Invitation:
    roles = ((Role.DEVELOPER, TENANT), (Role.MEMBER, ORG))
    return Invitation(f"inv{number}", "org", email, roles, "user usr_1", NOW, NOW + 1000)


PASSKEY = Passkey("cred", "laptop", b"cose", 7, NOW)


# -------------------------------------------------------------------------------------------- of both realms


async def people_read_back_as_they_were_written(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    person = somebody(realm)
    await people.add_person(person)
    assert await people.person("usr_1") == person
    assert await people.person_by_email(" ada1@example.ORG ") == person
    assert await people.people() == [person]
    changed = replace(person, name="Ada King", language="fr", email="king@example.org")
    await people.put_person(changed)
    assert await people.person_by_email("KING@example.org") == changed
    assert await people.person_by_email("ada1@example.org") is None
    assert await people.person("usr_2") is None


async def an_email_is_one_persons(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.add_person(somebody(realm, 2))
    with pytest.raises(Conflict) as taken:
        await people.add_person(replace(somebody(realm, 3), email="ADA1@example.org"))
    assert taken.value.code == "email_taken"
    with pytest.raises(Conflict):
        await people.put_person(replace(somebody(realm, 2), email="ada1@example.org"))
    with pytest.raises(Conflict):
        await people.add_person(somebody(realm))
    with pytest.raises(NotFound):
        await people.put_person(somebody(realm, 9))


async def who_is_not_active_has_no_sessions(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.add_session(a_session(), b"d")
    await people.put_person(replace(somebody(realm), standing=Standing.SUSPENDED))
    assert await people.session(b"d") is None
    with pytest.raises(NotFound):
        await people.add_session(a_session(2), b"e")
    with pytest.raises(NotFound):
        await people.add_token(a_token(), b"t")
    await people.put_person(somebody(realm))
    await people.add_session(a_session(2), b"e")


async def who_is_removed_has_nothing_and_frees_the_email(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.put_password("usr_1", "hash")
    await people.put_totp("usr_1", b"sealed", 1, NOW, first=True)
    await people.add_passkey("usr_1", PASSKEY, first=False)
    await people.put_recovery_codes("usr_1", [b"r"])
    await people.add_session(a_session(), b"d")
    await people.add_token(a_token(), b"t")
    await people.add_invitation(replace(an_invitation(), invited_by="user usr_1"), b"i")
    await people.put_person(replace(somebody(realm), standing=Standing.REMOVED))
    assert (await people.factors("usr_1")).password_hash == ""
    assert not (await people.factors("usr_1")).has_second
    assert (await people.factors("usr_1")).recovery_codes_left == 0
    assert await people.session(b"d") is None
    assert await people.token("token1") is None
    assert await people.passkey("cred") is None
    assert [one.state for one in await people.invitations()] == [InvitationState.WITHDRAWN]
    assert await people.person_by_email("ada1@example.org") is None
    await people.add_person(replace(somebody(realm, 2), email="ada1@example.org"))
    with pytest.raises(NotFound):
        await people.put_person(somebody(realm))


async def what_can_be_used_once_is_used_by_one(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.put_totp("usr_1", b"sealed", 5, NOW, first=True)
    await people.put_recovery_codes("usr_1", [b"r1", b"r2"])
    await people.put_challenge(Challenge("c", Purpose.SIGN_IN, "", b"v", NOW + 10), NOW)
    await people.add_passkey("usr_1", PASSKEY, first=False)
    assert sorted(await asyncio.gather(*[people.use_step("usr_1", 6) for _ in range(8)])) == [False] * 7 + [True]
    assert not await people.use_step("usr_1", 6)
    used = await asyncio.gather(*[people.use_recovery_code("usr_1", b"r1") for _ in range(8)])
    assert sorted(used) == [False] * 7 + [True]
    assert (await people.factors("usr_1")).recovery_codes_left == 1
    taken = await asyncio.gather(*[people.take_challenge("c", NOW) for _ in range(8)])
    assert [one.value for one in taken if one] == [b"v"]
    counted = await asyncio.gather(*[people.use_passkey("cred", 8, NOW) for _ in range(8)])
    assert sorted(counted) == [False] * 7 + [True]


async def a_counter_goes_up_or_never_counts(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.add_passkey("usr_1", PASSKEY, first=True)
    await people.add_passkey("usr_1", Passkey("idle", "stick", b"cose", 0, NOW), first=False)
    assert not await people.use_passkey("cred", 7, NOW)
    assert not await people.use_passkey("cred", 0, NOW)
    assert await people.use_passkey("cred", 8, NOW + 1)
    assert await people.use_passkey("idle", 0, NOW)
    assert await people.use_passkey("idle", 0, NOW)
    assert await people.passkey("cred") == ("usr_1", replace(PASSKEY, sign_count=8, used_unix_ms=NOW + 1))
    assert not await people.use_passkey("nobody's", 1, NOW)


async def the_first_factor_is_enrolled_once(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    begun = [
        *[people.put_totp("usr_1", bytes([n]), 1, NOW, first=True) for n in range(4)],
        *[people.add_passkey("usr_1", replace(PASSKEY, credential_id=f"c{n}"), first=True) for n in range(4)],
    ]
    ended = await asyncio.gather(*begun, return_exceptions=True)
    refused = [error for error in ended if isinstance(error, Conflict)]
    assert [error.code for error in refused] == ["factor_enrolled"] * 7
    factors = await people.factors("usr_1")
    assert (factors.totp is not None) + len(factors.passkeys) == 1
    with pytest.raises(NotFound):
        await people.put_totp("usr_2", b"s", 1, NOW, first=True)


async def recovery_codes_go_with_the_last_factor(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.put_totp("usr_1", b"s", 1, NOW, first=True)
    await people.add_passkey("usr_1", PASSKEY, first=False)
    with pytest.raises(Conflict):
        await people.add_passkey("usr_1", PASSKEY, first=False)
    await people.put_recovery_codes("usr_1", [b"r"])
    await people.remove_totp("usr_1")
    assert (await people.factors("usr_1")).recovery_codes_left == 1
    with pytest.raises(NotFound):
        await people.remove_passkey("usr_1", "other")
    await people.remove_passkey("usr_1", "cred")
    assert (await people.factors("usr_1")).recovery_codes_left == 0


async def a_password_that_changes_ends_other_sessions(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    for number in (1, 2, 3):
        await people.add_session(a_session(number), bytes([number]))
    await people.put_password("usr_1", "hash", "ses_2")
    assert [one.session_id for one in await people.sessions("usr_1")] == ["ses_2"]
    await people.rehash("usr_1", "another", "wrong")
    assert (await people.factors("usr_1")).password_hash == "hash"
    await people.rehash("usr_1", "hash", "better")
    assert (await people.factors("usr_1")).password_hash == "better"
    with pytest.raises(NotFound):
        await people.put_password("usr_9", "hash")


async def a_session_is_found_by_its_cookie_alone(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.add_session(a_session(), b"one")
    found = await people.session(b"one")
    assert found is not None
    assert (found[0], found[1].person) == (a_session(), somebody(realm))
    await people.renew_session(replace(a_session(), complete=True, proven_unix_ms=NOW + 5), b"two")
    assert await people.session(b"one") is None
    await people.prove_session("ses_1", NOW + 9)
    await people.note_seen("usr_1", NOW + 7, session_id="ses_1")
    found = await people.session(b"two")
    assert found is not None
    assert found[0] == replace(a_session(), complete=True, proven_unix_ms=NOW + 9, seen_unix_ms=NOW + 7)
    assert found[1].person.last_seen_unix_ms == NOW + 7


async def sessions_end_and_are_over(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    for number in (1, 2, 3, 4):
        await people.add_session(a_session(number), bytes([number]))
    with pytest.raises(NotFound):
        await people.end_session("usr_2", "ses_1")
    await people.end_session("usr_1", "ses_1")
    with pytest.raises(NotFound):
        await people.end_session("usr_1", "ses_1")
    with pytest.raises(NotFound):
        await people.renew_session(a_session(), b"again")
    with pytest.raises(NotFound):
        await people.prove_session("ses_1", NOW)
    await people.end_sessions("usr_1", "ses_3")
    assert [one.session_id for one in await people.sessions("usr_1")] == ["ses_3"]
    await people.add_session(a_session(5, NOW + LIFE_MS_MAX), b"5")
    assert [one.session_id for one in await people.sessions("usr_1")] == ["ses_5"]


async def a_token_reads_back_and_is_revoked(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    await people.add_person(somebody(realm))
    await people.add_token(a_token(), b"t")
    found = await people.token("token1")
    assert found is not None
    assert (found[0], found[1], found[2].person) == (a_token(), b"t", somebody(realm))
    await people.note_seen("usr_1", NOW + 3, token_id="token1")
    with pytest.raises(NotFound):
        await people.revoke_token("usr_2", "token1")
    await people.revoke_token("usr_1", "token1")
    await people.revoke_token("usr_1", "token1")
    assert await people.tokens("usr_1") == [replace(a_token(), used_unix_ms=NOW + 3, standing=Standing.REMOVED)]
    assert await people.token("token2") is None


async def a_challenge_is_given_once_in_time(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    for number in range(3):
        challenge = Challenge(f"c{number}", Purpose.REGISTER, "usr_1", b"v", NOW + 10 + number)
        await people.put_challenge(challenge, NOW)
    assert await people.take_challenge("c0", NOW + 10) is None
    assert await people.take_challenge("c0", NOW) is None
    assert await people.take_challenge("c1", NOW + 10) == Challenge("c1", Purpose.REGISTER, "usr_1", b"v", NOW + 11)
    assert await people.take_challenge("c1", NOW) is None
    await people.put_challenge(Challenge("c3", Purpose.TOTP, "usr_1", b"v", NOW + 99), NOW + 12)
    assert await people.take_challenge("c2", NOW) is None


async def attempts_are_counted_before_they_are_judged(store: Store, realm: Realm) -> None:
    people = store.people(realm)
    ada, here = account("ada@example.org"), address("192.0.2.1")
    waits = await asyncio.gather(*[people.attempt([ada, here], NOW) for _ in range(50)])
    assert sorted(waits) == [0] * 5 + [NOW + 30_000] * 45
    assert await people.attempt([account("bob@example.org"), here], NOW) == 0
    assert await people.attempt([ada], NOW + 29_999) == NOW + 30_000
    assert await people.attempt([ada], NOW + 30_000) == 0
    assert await people.attempt([ada], NOW + 30_001) == NOW + 90_000
    await people.forgive(ada, attempts=2)
    assert await people.attempt([ada], NOW + 30_001) == 0
    await people.forgive(ada)
    assert [await people.attempt([ada], NOW) for _ in range(6)] == [0] * 5 + [NOW + 30_000]
    assert await people.attempt([ada], NOW + FORGOTTEN_MS) == 0
    assert [await people.attempt([ada], NOW + FORGOTTEN_MS) for _ in range(4)] == [0] * 4


Promise = Callable[[Store], Awaitable[None]]


def of_realm(realm: Realm, promise: Callable[[Store, Realm], Awaitable[None]]) -> Promise:
    """What is promised of both realms, of one."""

    async def kept(store: Store) -> None:
        await promise(store, realm)

    kept.__name__ = f"{promise.__name__}[{realm}]"
    return kept


_OF_BOTH = (
    people_read_back_as_they_were_written,
    an_email_is_one_persons,
    who_is_not_active_has_no_sessions,
    who_is_removed_has_nothing_and_frees_the_email,
    what_can_be_used_once_is_used_by_one,
    a_counter_goes_up_or_never_counts,
    the_first_factor_is_enrolled_once,
    recovery_codes_go_with_the_last_factor,
    a_password_that_changes_ends_other_sessions,
    a_session_is_found_by_its_cookie_alone,
    sessions_end_and_are_over,
    a_token_reads_back_and_is_revoked,
    a_challenge_is_given_once_in_time,
    attempts_are_counted_before_they_are_judged,
)
PROMISES: tuple[Promise, ...] = tuple(of_realm(realm, promise) for realm in Realm for promise in _OF_BOTH)
