"""What every store promises about a sign-in that is reset, and about who is signed out everywhere.

Functions that take an open, empty store; `PROMISES` lists those of one realm, once for each.
"""

# ruff: noqa: D103, S105 - a promise's name is its sentence; hashes and numbers in it are expectations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.invitation import Invitation, InvitationState
from parvis.domain.identity.lockout import account
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION
from parvis.domain.identity.role import Role
from parvis.domain.identity.second_factor import Challenge, Factors, Purpose
from parvis.flows.people_store import PeopleStore
from parvis.flows.store import Store
from parvis.testing.people_suite import (
    NOW,
    ORG,
    PASSKEY,
    Promise,
    a_grant,
    a_session,
    a_token,
    an_invitation,
    of_realm,
    somebody,
)


def a_link(number: int = 1) -> Invitation:
    return Invitation(f"link{number}", "", "Ada1@Example.org", (), "operator token", NOW, NOW + 1000, user_id="usr_1")


async def with_everything(store: Store, realm: Realm) -> PeopleStore:
    """Ada, with all that one can sign in with, signed in by a browser and a program; and another person like her."""
    people = store.people(realm)
    for number in (1, 2):
        user_id = f"usr_{number}"
        await people.add_person(somebody(realm, number))
        await people.put_password(user_id, "hash")
        await people.put_totp(user_id, b"sealed", 1, NOW, first=True)
        await people.add_passkey(user_id, replace(PASSKEY, credential_id=f"cred{number}"), first=False)
        await people.put_recovery_codes(user_id, [b"r"])
        await people.put_challenge(Challenge(f"c{number}", Purpose.TOTP, user_id, b"v", NOW + 9), NOW)
        await people.add_session(replace(a_session(number), user_id=user_id), bytes([number]))
        await people.add_token(replace(a_token(number), user_id=user_id), b"t")
    return people


async def a_reset_takes_all_that_opens_and_nothing_else(store: Store, realm: Realm) -> None:
    people = await with_everything(store, realm)
    await people.reset_sign_in(a_link(), b"d1")
    assert await people.factors("usr_1") == Factors()
    assert await people.session(bytes([1])) is None
    assert await people.take_challenge("c1", NOW) is None
    assert [one.standing for one in await people.tokens("usr_1")] == [Standing.REMOVED]
    assert await people.person("usr_1") == somebody(realm)
    assert await people.invitation("link1") == (a_link(), b"d1")
    assert await people.invitations() == []
    assert (await people.factors("usr_2")).recovery_codes_left == 1
    assert await people.session(bytes([2])) is not None
    assert [one.standing for one in await people.tokens("usr_2")] == [Standing.ACTIVE]


async def nobody_is_reset_in_part(store: Store, realm: Realm) -> None:
    """When the link cannot be kept, nothing was taken either."""
    people = await with_everything(store, realm)
    before = await people.factors("usr_1")
    await people.add_invitation(an_invitation(), b"i")
    with pytest.raises(Conflict):
        await people.reset_sign_in(replace(a_link(), invitation_id="inv1"), b"d1")
    assert await people.factors("usr_1") == before
    assert await people.session(bytes([1])) is not None
    with pytest.raises(NotFound):
        await people.reset_sign_in(replace(a_link(), user_id="usr_9"), b"d1")
    await people.put_person(replace(somebody(realm), standing=Standing.REMOVED))
    with pytest.raises(NotFound):
        await people.reset_sign_in(a_link(), b"d1")


async def a_link_sets_one_password(store: Store, realm: Realm) -> None:
    people = await with_everything(store, realm)
    ada = account("ada1@example.org")
    await people.reset_sign_in(a_link(), b"d1")
    await people.add_session(a_session(3), b"by another way")
    assert [await people.attempt([ada], NOW) for _ in range(6)] == [0] * 5 + [NOW + 30_000]
    with pytest.raises(NotFound):
        await people.recover("link1", b"forged", "new")
    used = [people.recover("link1", b"d1", f"new{n}") for n in range(4)]
    ended = await asyncio.gather(*used, return_exceptions=True)
    assert [error.code for error in ended if isinstance(error, NotFound)] == ["invitation_over"] * 3
    assert (await people.factors("usr_1")).password_hash == f"new{ended.index(None)}"
    assert await people.sessions("usr_1") == []
    assert await people.attempt([ada], NOW) == 0
    found = await people.invitation("link1")
    assert found is not None
    assert found[0].state is InvitationState.ACCEPTED


async def a_link_ends_with_what_it_was_for(store: Store, realm: Realm) -> None:
    """Another reset, another password, another address; and of who is removed."""
    people = await with_everything(store, realm)
    ways: tuple[Callable[[], Awaitable[None]], ...] = (
        lambda: people.reset_sign_in(a_link(9), b"d9"),
        lambda: people.put_password("usr_1", "hash"),
        lambda: people.put_person(replace(somebody(realm), email="king@example.org")),
        lambda: people.put_person(replace(somebody(realm), standing=Standing.REMOVED)),
    )
    for number, ends in enumerate(ways):
        await people.reset_sign_in(a_link(number), b"d")
        await ends()
        with pytest.raises(NotFound):
            await people.recover(f"link{number}", b"d", "new")
        found = await people.invitation(f"link{number}")
        assert found is not None
        assert found[0].state is InvitationState.WITHDRAWN


async def a_link_ends_when_its_person_has_more(store: Store, realm: Realm) -> None:
    people = await with_everything(store, realm)
    await people.reset_sign_in(a_link(), b"d")
    role, place = (Role.MEMBER, ORG) if realm is Realm.CUSTOMER else (Role.OPERATOR, INSTALLATION)
    await people.add_grant(a_grant(1, role, place))
    with pytest.raises(NotFound):
        await people.recover("link1", b"d", "new")


async def a_link_rests_while_its_person_does(store: Store, realm: Realm) -> None:
    people = await with_everything(store, realm)
    await people.put_person(replace(somebody(realm), standing=Standing.SUSPENDED))
    await people.reset_sign_in(a_link(), b"d")
    with pytest.raises(NotFound):
        await people.recover("link1", b"d", "new")
    await people.put_person(somebody(realm))
    await people.recover("link1", b"d", "new")
    assert (await people.factors("usr_1")).password_hash == "new"


async def who_is_signed_out_is_out_everywhere(store: Store, realm: Realm) -> None:
    people = await with_everything(store, realm)
    await people.add_session(a_session(3), b"3")
    assert await people.sign_out("usr_1", tokens=False) == (2, 0)
    assert (await people.sessions("usr_1"), len(await people.sessions("usr_2"))) == ([], 1)
    assert [one.standing for one in await people.tokens("usr_1")] == [Standing.ACTIVE]
    assert await people.sign_out("usr_1", tokens=True) == (0, 1)
    assert await people.sign_out("usr_1", tokens=True) == (0, 0)
    assert [one.standing for one in await people.tokens("usr_2")] == [Standing.ACTIVE]
    assert (await people.factors("usr_1")).password_hash == "hash"


_OF_BOTH = (
    a_reset_takes_all_that_opens_and_nothing_else,
    nobody_is_reset_in_part,
    a_link_sets_one_password,
    a_link_ends_with_what_it_was_for,
    a_link_ends_when_its_person_has_more,
    a_link_rests_while_its_person_does,
    who_is_signed_out_is_out_everywhere,
)
PROMISES: tuple[Promise, ...] = tuple(of_realm(realm, promise) for realm in Realm for promise in _OF_BOTH)
"""What is promised of a recovery, kept by SQLite and by PostgreSQL in both realms."""
