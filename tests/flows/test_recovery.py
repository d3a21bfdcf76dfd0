"""Recovery: who may reset whom, what is left of a sign-in, and what the link does."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, Failure, NotFound, NotPermitted
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.invitation import LIFE_MS
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Principal, Right, operator, rights_of
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import Means, Session
from parvis.flows import invitations, people, recovery
from parvis.flows.grants import grant, grants_of
from parvis.flows.invitation_letter import letter
from parvis.flows.keys import Mint
from parvis.flows.lobby import Lobby, Proofs
from parvis.flows.personal_tokens import list_tokens, make_token
from parvis.flows.sign_in import sign_in

ORG, TENANT, SECOND = Target("org"), Target("org", "tenant"), Target("org", "second")
BEFORE, AFTER = Secret("a sufficiently long phrase"), Secret("another sufficiently long phrase")
PASSWORDS = Argon2Passwords(PasswordHasher.from_parameters(CHEAPEST))


@dataclass
class StillClock:
    """Time that a test moves by hand."""

    now: int = 1_784_000_000_000

    def unix_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def mint(clock: StillClock) -> Mint:
    return Mint(lambda: b"pepper", clock, os.urandom)


@pytest.fixture(autouse=True)
async def places(store: SqlStore) -> None:
    await store.create_organisation("org", "Organisation")
    for tenant in ("tenant", "second"):
        await store.create_tenant(tenant, "org", tenant, credit_unlimited=True)


async def person(store: SqlStore, mint: Mint, name: str, *roles: tuple[Role, Target]) -> Person:
    realm = Realm.OPERATOR if (Role.OPERATOR, INSTALLATION) in roles else Realm.CUSTOMER
    place = "org" if realm is Realm.CUSTOMER else ""
    invited = await invitations.invite(store, mint, operator(), place, f"{name}@example.org", roles, realm)
    return await invitations.accept(store, mint, PASSWORDS, invited.link, name, BEFORE, realm)


async def acting(store: SqlStore, who: Person) -> Principal:
    held = await grants_of(store, Realm.CUSTOMER, who.user_id)
    return Principal(f"user {who.user_id}", Kind.USER, who.user_id, "org", rights_of(held))


async def refused(asked: object, kind: type[Failure], code: str | None = None) -> None:
    with pytest.raises(kind) as caught:
        await asked  # type: ignore[misc]  # each is a coroutine
    assert code is None or caught.value.code == code


async def password_is(store: SqlStore, who: Person, password: Secret) -> bool:
    return await PASSWORDS.verify((await store.people(Realm.CUSTOMER).factors(who.user_id)).password_hash, password)


# -------------------------------------------------------------------------------------------- what becomes of them


async def test_who_is_reset_has_nothing_until_the_link_is_used_once(store: SqlStore, mint: Mint) -> None:
    owner = await person(store, mint, "ada", (Role.ORGANISATION_OWNER, ORG))
    bob = await person(store, mint, "bob", (Role.DEVELOPER, TENANT))
    held = await grants_of(store, Realm.CUSTOMER, bob.user_id)
    await make_token(store, mint, bob, "script", mint.clock.unix_ms() + 1000)
    await store.add_key(ApiKey("own", "org", "tenant", "own", (KeySecret(b"d" * 32, 1),), owner_id=bob.user_id))
    reset = await recovery.reset_sign_in(store, mint, await acting(store, owner), bob.user_id)
    assert not await password_is(store, bob, BEFORE)
    assert [one.standing for one in await list_tokens(store, Realm.CUSTOMER, bob.user_id)] == [Standing.REMOVED]
    assert [key.active for key in await store.keys()] == [True]
    assert reset.link.reveal() not in repr(reset)
    kept = await store.people(Realm.CUSTOMER).invitation(reset.invitation.invitation_id)
    assert kept is not None
    assert reset.link.reveal().encode() not in kept[1]
    back = await recovery.recover(store, mint, PASSWORDS, reset.link, AFTER, Realm.CUSTOMER)
    assert back == bob
    assert await password_is(store, bob, AFTER)
    assert await grants_of(store, Realm.CUSTOMER, bob.user_id) == held
    again = recovery.recover(store, mint, PASSWORDS, reset.link, BEFORE, Realm.CUSTOMER)
    await refused(again, NotFound, "invitation_over")


async def test_a_link_is_for_its_password_its_time_and_its_realm(
    store: SqlStore, mint: Mint, clock: StillClock
) -> None:
    bob = await person(store, mint, "bob", (Role.DEVELOPER, TENANT))
    first = await recovery.reset_sign_in(store, mint, operator(), bob.user_id)
    link = (await recovery.reset_sign_in(store, mint, operator(), bob.user_id)).link
    for shown, realm in ((first.link, Realm.CUSTOMER), (link, Realm.OPERATOR), (Secret("x"), Realm.CUSTOMER)):
        await refused(recovery.recover(store, mint, PASSWORDS, shown, AFTER, realm), NotFound, "invitation_over")
    for password in (None, Secret("short"), Secret("bob@example.org")):
        await refused(recovery.recover(store, mint, PASSWORDS, link, password, Realm.CUSTOMER), BadRequest)
    await refused(invitations.accept(store, mint, PASSWORDS, link, "Bob", AFTER), NotFound, "invitation_over")
    await people.suspend(store, Realm.CUSTOMER, bob.user_id)
    await refused(recovery.recover(store, mint, PASSWORDS, link, AFTER, Realm.CUSTOMER), NotFound, "invitation_over")
    await people.resume(store, Realm.CUSTOMER, bob.user_id)
    clock.now += LIFE_MS
    await refused(recovery.recover(store, mint, PASSWORDS, link, AFTER, Realm.CUSTOMER), NotFound, "invitation_over")
    clock.now -= 1
    await recovery.recover(store, mint, PASSWORDS, link, AFTER, Realm.CUSTOMER)


async def test_the_link_of_a_reset_is_no_invitation(store: SqlStore, mint: Mint) -> None:
    bob = await person(store, mint, "bob")
    reset = await recovery.reset_sign_in(store, mint, operator(), bob.user_id)
    assert reset.invitation not in await invitations.list_invitations(store)
    for verb in (invitations.withdraw(store, "org", reset.invitation.invitation_id),
                 invitations.resend(store, mint, "org", reset.invitation.invitation_id)):  # fmt: skip
        await refused(verb, NotFound)
    invited = await invitations.invite(store, mint, operator(), "org", "eve@example.org", [(Role.MEMBER, ORG)])
    asked = recovery.recover(store, mint, PASSWORDS, invited.link, AFTER, Realm.CUSTOMER)
    await refused(asked, NotFound, "invitation_over")
    (_, invites), (_, resets) = letter(invited, "https://c.example.eu"), letter(reset, "https://c.example.eu")
    assert ("invited" in invites, "reset" in resets) == (True, True)
    assert (resets.count(reset.link.reveal()), resets.count("https://c.example.eu")) == (2, 2)


class SlowPasswords(Argon2Passwords):
    """Takes so long that something happens before it has judged."""

    def __init__(self, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__(PasswordHasher.from_parameters(CHEAPEST))
        self._happens = happens

    async def verify(self, password_hash: str, password: Secret) -> bool:
        right = await super().verify(password_hash, password)
        await self._happens()
        return right


async def test_who_shows_a_password_while_it_is_reset_does_not_come_in(store: SqlStore, mint: Mint) -> None:
    bob = await person(store, mint, "bob")
    slow = SlowPasswords(lambda: recovery.reset_sign_in(store, mint, operator(), bob.user_id))
    proofs = Proofs(passwords=slow, passkeys=WebAuthnSite("http://localhost"), seal_key=lambda: b"seal" * 8)
    lobby = Lobby(store=store, realm=Realm.CUSTOMER, mint=mint, proofs=proofs, site_name="here")
    asked = sign_in(lobby, bob.email, BEFORE, None, Actor("nobody", "anybody", "192.0.2.1"))
    await refused(asked, NotFound)
    assert await store.people(Realm.CUSTOMER).sessions(bob.user_id) == []


# ------------------------------------------------------------------------------------------------------ who may


async def test_nobody_takes_over_who_has_more(store: SqlStore, mint: Mint) -> None:
    """Whatever the place of the person is said to be: the rights of both are compared."""
    owner = await person(store, mint, "ada", (Role.ORGANISATION_OWNER, ORG))
    boss = await person(store, mint, "boss", (Role.TENANT_OWNER, TENANT))
    both = await person(store, mint, "both", (Role.DEVELOPER, TENANT), (Role.DEVELOPER, SECOND))
    dev = await person(store, mint, "dev", (Role.DEVELOPER, TENANT))
    reader = Principal("user x", Kind.USER, "usr_x", "org", (Right(frozenset({Permission.USERS_WRITE}), ORG),))
    by_boss, by_dev = await acting(store, boss), await acting(store, dev)
    for actor, whom in (
        *((by_boss, whom) for whom in (owner, both)),
        *((by_dev, whom) for whom in (owner, boss, both)),
        *((reader, whom) for whom in (owner, boss, both, dev)),
    ):
        await refused(recovery.reset_sign_in(store, mint, actor, whom.user_id), NotPermitted)
        await refused(recovery.sign_out(store, actor, whom.user_id, tokens=True), NotPermitted)
        assert await password_is(store, whom, BEFORE)
    await recovery.reset_sign_in(store, mint, by_boss, dev.user_id)
    await recovery.reset_sign_in(store, mint, await acting(store, owner), both.user_id)


async def test_nobody_resets_themselves_or_who_is_not_there(store: SqlStore, mint: Mint) -> None:
    owner = await person(store, mint, "ada", (Role.ORGANISATION_OWNER, ORG))
    actor = await acting(store, owner)
    await refused(recovery.reset_sign_in(store, mint, actor, owner.user_id), NotPermitted, "own_sign_in")
    await refused(recovery.reset_sign_in(store, mint, actor, "usr_nobody"), NotFound)
    await refused(recovery.reset_sign_in(store, mint, operator(), owner.user_id, Realm.OPERATOR), NotFound)
    await refused(recovery.sign_out(store, actor, "usr_nobody"), NotFound)
    op = await person(store, mint, "op", (Role.OPERATOR, INSTALLATION))
    one_of_them = replace(operator(), name=f"operator {op.user_id}", kind=Kind.OPERATOR, subject_id=op.user_id)
    asked = recovery.reset_sign_in(store, mint, one_of_them, op.user_id, Realm.OPERATOR)
    await refused(asked, NotPermitted, "own_sign_in")
    await recovery.reset_sign_in(store, mint, operator(), op.user_id, Realm.OPERATOR)


async def test_the_operator_resets_an_owner_where_no_other_owner_can(store: SqlStore, mint: Mint) -> None:
    ada = await person(store, mint, "ada", (Role.ORGANISATION_OWNER, ORG))
    await person(store, mint, "boss", (Role.TENANT_OWNER, TENANT))
    await recovery.reset_sign_in(store, mint, operator(), ada.user_id)
    bob = await person(store, mint, "bob", (Role.MEMBER, ORG))
    await grant(store, mint, operator(), bob.user_id, Role.ORGANISATION_OWNER, ORG)
    await refused(recovery.reset_sign_in(store, mint, operator(), ada.user_id), Conflict, "other_owner")
    await recovery.reset_sign_in(store, mint, await acting(store, bob), ada.user_id)
    await people.suspend(store, Realm.CUSTOMER, bob.user_id)
    await recovery.reset_sign_in(store, mint, operator(), ada.user_id)


# ----------------------------------------------------------------------------------------------------- signed out


async def test_sessions_end_and_tokens_if_it_is_said(store: SqlStore, mint: Mint) -> None:
    bob = await person(store, mint, "bob", (Role.DEVELOPER, TENANT))
    own, now = store.people(Realm.CUSTOMER), mint.clock.unix_ms()
    for n in range(2):
        session = Session(f"ses_{n}", bob.user_id, Means.PASSWORD, True, "192.0.2.1", now, now, now)  # noqa: FBT003 - as kept
        await own.add_session(session, bytes([n]))
    await make_token(store, mint, bob, "script", now + 1000)
    assert await recovery.sign_out(store, operator(), bob.user_id) == (2, 0)
    assert [one.standing for one in await list_tokens(store, Realm.CUSTOMER, bob.user_id)] == [Standing.ACTIVE]
    assert await recovery.sign_out(store, operator(), bob.user_id, tokens=True) == (0, 1)
    assert await password_is(store, bob, BEFORE)
