"""What every store promises about grants, owners, invitations, and about the two realms being two.

Functions that take an open, empty store; `PROMISES` lists them. The rest of people is `parvis.testing.people_suite`.
"""

# ruff: noqa: D103, S105 - a promise's name is its sentence; hashes and numbers in it are expectations

import asyncio
from dataclasses import replace

import pytest

from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.invitation import InvitationState
from parvis.domain.identity.lockout import account
from parvis.domain.identity.organisation import Organisation, Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.role import Role
from parvis.domain.identity.second_factor import Challenge, Purpose
from parvis.flows.people_store import PeopleStore
from parvis.flows.store import Store
from parvis.testing.people_suite import (
    NOW,
    ORG,
    PASSKEY,
    TENANT,
    Promise,
    a_grant,
    a_session,
    a_token,
    an_invitation,
    somebody,
)


async def grants_read_back_and_are_withdrawn(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody(), [a_grant()])
    await people.add_grant(a_grant(2, Role.DEVELOPER, TENANT))
    assert await people.grants("usr_1") == [a_grant(), a_grant(2, Role.DEVELOPER, TENANT)]
    assert await people.grants(organisation_id="elsewhere") == []
    dossier = await people.dossier("usr_1")
    assert dossier is not None
    assert dossier.grants == (a_grant(), a_grant(2, Role.DEVELOPER, TENANT))
    assert await people.remove_grant("grant_2") == a_grant(2, Role.DEVELOPER, TENANT)
    assert await people.grant("grant_2") is None
    with pytest.raises(NotFound):
        await people.remove_grant("grant_2")
    with pytest.raises(NotFound):
        await people.add_grant(a_grant(3, user=2))


async def roles_that_exclude_one_another_are_not_had_together(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody(), [a_grant(1, Role.DEVELOPER, TENANT)])
    for role, target, code in (
        (Role.DEVELOPER, TENANT, "already_granted"),
        (Role.AUDITOR, ORG, "incompatible_roles"),
        (Role.AUDITOR, TENANT, "incompatible_roles"),
    ):
        with pytest.raises(Conflict) as refused:
            await people.add_grant(a_grant(2, role, target))
        assert refused.value.code == code
    both = [people.add_grant(a_grant(n, Role.AUDITOR, Target("org", f"t{n}"))) for n in (3, 4)]
    await asyncio.gather(*both)
    with pytest.raises(Conflict):
        await people.add_person(somebody(number=2), [a_grant(5, Role.AUDITOR, ORG, 2), a_grant(6, user=2)])
    assert await people.person("usr_2") is None


async def the_last_owner_stays(store: Store) -> None:
    """Of several who leave at once, one is left; who is suspended is no owner."""
    people = store.people(Realm.CUSTOMER)
    for number in range(1, 5):
        await people.add_person(somebody(number=number), [a_grant(number, user=number)])
    leaving = [
        people.put_person(replace(somebody(number=1), standing=Standing.REMOVED)),
        people.put_person(replace(somebody(number=2), standing=Standing.SUSPENDED)),
        people.remove_grant("grant_3"),
        people.remove_grant("grant_4"),
    ]
    ended = await asyncio.gather(*leaving, return_exceptions=True)
    assert [error.code for error in ended if isinstance(error, Conflict)] == ["last_owner"]
    active = {person.user_id for person in await people.people() if person.standing is Standing.ACTIVE}
    assert len([grant for grant in await people.grants() if grant.user_id in active]) == 1


async def a_tenant_keeps_its_owner_too(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody(), [a_grant(1, Role.TENANT_OWNER, TENANT)])
    with pytest.raises(Conflict) as refused:
        await people.put_person(replace(somebody(), standing=Standing.SUSPENDED))
    assert refused.value.code == "last_owner"
    await people.add_person(somebody(number=2), [a_grant(2, Role.TENANT_OWNER, TENANT, 2)])
    await people.put_person(replace(somebody(), standing=Standing.SUSPENDED))
    with pytest.raises(Conflict):
        await people.remove_grant("grant_2")
    assert await people.remove_grant("grant_1") == a_grant(1, Role.TENANT_OWNER, TENANT)


async def own_keys_go_with_their_person(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody())
    for key_id, owner in (("hers", "usr_1"), ("tenants", ""), ("others", "usr_2")):
        await store.add_key(ApiKey(key_id, "org", "tenant", key_id, (KeySecret(b"d" * 32, NOW),), owner_id=owner))
    before = (await store.changes(-1)).version
    await people.put_person(replace(somebody(), standing=Standing.REMOVED))
    assert {key.key_id: key.active for key in await store.keys()} == {"hers": False, "tenants": True, "others": True}
    assert [key.key_id for key in (await store.changes(before)).keys] == ["hers"]


async def own_keys_rest_while_their_person_does(store: Store) -> None:
    """Gateways hear of it as of any change; the key itself stays as it is."""
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody())
    for key_id, owner in (("hers", "usr_1"), ("others", "usr_2")):
        await store.add_key(ApiKey(key_id, "org", "tenant", key_id, (KeySecret(b"d" * 32, NOW),), owner_id=owner))
    for standing, active in ((Standing.SUSPENDED, False), (Standing.ACTIVE, True)):
        before = (await store.changes(-1)).version
        await people.put_person(replace(somebody(), standing=standing))
        assert [(key.key_id, key.active) for key in (await store.changes(before)).keys] == [("hers", active)]
        assert {key.key_id: key.active for key in (await store.changes(-1)).keys} == {"hers": active, "others": True}
    before = (await store.changes(-1)).version
    await people.put_person(replace(somebody(), name="Ada King"))
    assert (await store.changes(before)).keys == ()


async def a_dossier_says_the_rules_of_the_organisation(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_person(somebody())
    await store.put_organisation(Organisation("org", "Organisation", Standing.SUSPENDED, second_factor=False))
    dossier = await people.dossier("usr_1")
    assert dossier is not None
    assert (dossier.place, dossier.demands_factor, dossier.has_factor) == (Standing.SUSPENDED, False, False)
    await people.add_passkey("usr_1", PASSKEY, first=True)
    dossier = await people.dossier("usr_1")
    assert dossier is not None
    assert dossier.has_factor
    with pytest.raises(NotFound):
        await people.add_person(replace(somebody(number=2), organisation_id="nowhere"))


async def an_invitation_is_accepted_once_by_its_latest_link(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_invitation(an_invitation(), b"first")
    assert await people.invitation("inv1") == (an_invitation(), b"first")
    await people.renew_invitation("inv1", b"second", NOW + 2000)
    bob = replace(somebody(number=2), email="bob@example.org")
    given = [a_grant(1, Role.DEVELOPER, TENANT, 2)]
    with pytest.raises(NotFound):
        await people.accept_invitation("inv1", b"first", bob, given, "hash")
    accepting = [people.accept_invitation("inv1", b"second", bob, given, "hash") for _ in range(4)]
    ended = await asyncio.gather(*accepting, return_exceptions=True)
    assert [type(error) for error in ended if error is not None] == [NotFound] * 3
    assert (await people.factors("usr_2")).password_hash == "hash"
    assert await people.grants("usr_2") == given
    with pytest.raises(Conflict):
        await people.withdraw_invitation("inv1")
    with pytest.raises(Conflict):
        await people.add_invitation(an_invitation(2, "BOB@example.org"), b"x")


async def of_two_invitations_the_later_counts(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_invitation(an_invitation(1), b"1")
    await people.add_invitation(an_invitation(2, "Bob@Example.org"), b"2")
    states = [one.state for one in await people.invitations("org")]
    assert states == [InvitationState.WITHDRAWN, InvitationState.PENDING]
    await people.withdraw_invitation("inv2")
    await people.withdraw_invitation("inv2")
    with pytest.raises(NotFound):
        await people.renew_invitation("inv2", b"3", NOW)
    with pytest.raises(NotFound):
        await people.withdraw_invitation("inv9")


async def what_does_not_fit_leaves_an_invitation_open(store: Store) -> None:
    people = store.people(Realm.CUSTOMER)
    await people.add_invitation(an_invitation(), b"d")
    bob = replace(somebody(number=2), email="bob@example.org")
    clashing = [a_grant(1, Role.DEVELOPER, TENANT, 2), a_grant(2, Role.AUDITOR, ORG, 2)]
    with pytest.raises(Conflict):
        await people.accept_invitation("inv1", b"d", bob, clashing, "hash")
    found = await people.invitation("inv1")
    assert found is not None
    assert found[0].state is InvitationState.PENDING
    assert await people.person("usr_2") is None


async def nothing_of_one_realm_is_in_the_other(store: Store) -> None:
    """The same ids, cookies, tokens, credentials and addresses in one, and nothing in the other."""
    await fill(store.people(Realm.CUSTOMER), Realm.CUSTOMER)
    people = store.people(Realm.OPERATOR)
    assert await people.people() == []
    assert await people.grants() == []
    assert await people.invitations() == []
    assert await people.session(b"d") is None
    assert await people.token("token1") is None
    assert await people.passkey("cred") is None
    assert await people.take_challenge("c", NOW) is None
    assert await people.person_by_email("ada1@example.org") is None
    assert not await people.use_recovery_code("usr_1", b"r")
    assert [await people.attempt([account("x")], NOW) for _ in range(5)] == [0] * 5
    await fill(people, Realm.OPERATOR)
    await people.put_person(replace(somebody(Realm.OPERATOR), standing=Standing.REMOVED))
    assert await store.people(Realm.CUSTOMER).session(b"d") is not None
    assert await store.people(Realm.CUSTOMER).token("token1") is not None


async def fill(people: PeopleStore, realm: Realm) -> None:
    """One of everything."""
    role, target = (Role.MEMBER, ORG) if realm is Realm.CUSTOMER else (Role.OPERATOR, INSTALLATION)
    await people.add_person(somebody(realm), [a_grant(1, role, target)])
    await people.add_invitation(an_invitation(), b"i")
    await people.add_session(a_session(), b"d")
    await people.add_token(a_token(), b"t")
    await people.add_passkey("usr_1", PASSKEY, first=True)
    await people.put_recovery_codes("usr_1", [b"r"])
    await people.put_challenge(Challenge("c", Purpose.SIGN_IN, "", b"v", NOW + 10), NOW)
    for _ in range(5):
        await people.attempt([account("x")], NOW)


PROMISES: tuple[Promise, ...] = (
    grants_read_back_and_are_withdrawn,
    roles_that_exclude_one_another_are_not_had_together,
    the_last_owner_stays,
    a_tenant_keeps_its_owner_too,
    own_keys_go_with_their_person,
    own_keys_rest_while_their_person_does,
    a_dossier_says_the_rules_of_the_organisation,
    an_invitation_is_accepted_once_by_its_latest_link,
    of_two_invitations_the_later_counts,
    what_does_not_fit_leaves_an_invitation_open,
    nothing_of_one_realm_is_in_the_other,
)
