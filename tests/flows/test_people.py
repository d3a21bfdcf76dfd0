"""People, grants, invitations and tokens: nobody gives what they have not, and who goes leaves nothing open."""

import itertools
import os
from dataclasses import replace

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, Failure, NotAuthenticated, NotFound, NotPermitted, Unavailable
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.invitation import LIFE_MS, InvitationState
from parvis.domain.identity.key_text import new_key, write_key
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.personal_token import LIFE_MS_MAX, PersonalToken
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Principal, Right, operator, rights_of
from parvis.domain.identity.role import ANYONES, RULES, Role
from parvis.domain.identity.signed_in import by_token
from parvis.flows import invitations, people, personal_tokens
from parvis.flows.customers import welcome
from parvis.flows.grants import check_reach, check_roles, grant, grants_of, who_may, withdraw
from parvis.flows.invitation_letter import post_link
from parvis.flows.keys import Mint
from parvis.flows.notices import PostOffice

ORG, TENANT, ELSEWHERE = Target("org"), Target("org", "tenant"), Target("other", "theirs")
PASSWORD = Secret("a sufficiently long phrase")
PASSWORDS = Argon2Passwords(PasswordHasher.from_parameters(CHEAPEST))


@pytest.fixture(autouse=True)
async def places(store: SqlStore) -> None:
    for organisation, tenant in (("org", "tenant"), ("other", "theirs")):
        await store.create_organisation(organisation, organisation)
        await store.create_tenant(tenant, organisation, tenant, credit_unlimited=True)


@pytest.fixture
def mint() -> Mint:
    """Of people there are many: ids must differ."""
    return Mint(lambda: b"pepper", Later(0), os.urandom)


async def owner(store: SqlStore, mint: Mint, email: str = "ada@example.org") -> tuple[Person, Principal]:
    person = await people.create_person(store, mint, Realm.CUSTOMER, "org", email, "Ada")
    await grant(store, mint, operator(), person.user_id, Role.ORGANISATION_OWNER, ORG)
    return person, await principal(store, person)


async def principal(store: SqlStore, person: Person) -> Principal:
    held = await grants_of(store, Realm.CUSTOMER, person.user_id)
    return Principal(f"user {person.user_id}", Kind.USER, person.user_id, "org", rights_of(held))


async def refused(asked: object, kind: type[Failure], code: str | None = None) -> None:
    with pytest.raises(kind) as caught:
        await asked  # type: ignore[misc]  # each is a coroutine
    assert code is None or caught.value.code == code


# -------------------------------------------------------------------------------------------------- people


async def test_people_are_made_and_changed(store: SqlStore, mint: Mint) -> None:
    person = await people.create_person(store, mint, Realm.CUSTOMER, "org", " ada@example.org ", " Ada ")
    assert (person.email, person.name, person.user_id[:4]) == ("ada@example.org", "Ada", "usr_")
    changed = await people.rename(store, Realm.CUSTOMER, person.user_id, name="Ada King", language="fr")
    assert await people.person_named(store, Realm.CUSTOMER, person.user_id, "org") == changed
    await refused(people.rename(store, Realm.CUSTOMER, person.user_id, language="xx"), BadRequest)
    await refused(people.rename(store, Realm.CUSTOMER, person.user_id, name=""), BadRequest)
    await refused(people.person_named(store, Realm.CUSTOMER, person.user_id, "other"), NotFound)
    await refused(people.person_named(store, Realm.OPERATOR, person.user_id), NotFound)
    await refused(people.create_person(store, mint, Realm.CUSTOMER, "nowhere", "b@example.org", "B"), NotFound)
    await refused(
        people.create_person(store, mint, Realm.CUSTOMER, "org", "ADA@example.org", "B"), Conflict, "email_taken"
    )


async def test_who_is_removed_is_no_more_and_cannot_come_back(store: SqlStore, mint: Mint) -> None:
    person = await people.create_person(store, mint, Realm.CUSTOMER, "org", "bob@example.org", "Bob")
    assert (await people.suspend(store, Realm.CUSTOMER, person.user_id)).standing is Standing.SUSPENDED
    assert (await people.resume(store, Realm.CUSTOMER, person.user_id)).standing is Standing.ACTIVE
    await people.remove(store, Realm.CUSTOMER, person.user_id)
    assert await people.list_people(store, Realm.CUSTOMER, "org") == []
    for verb in (people.resume, people.suspend, people.remove):
        await refused(verb(store, Realm.CUSTOMER, person.user_id), NotFound)


async def test_the_last_owner_stays_until_there_is_another(store: SqlStore, mint: Mint) -> None:
    ada, acting = await owner(store, mint)
    [own] = await grants_of(store, Realm.CUSTOMER, ada.user_id)
    for verb in (people.suspend, people.remove):
        await refused(verb(store, Realm.CUSTOMER, ada.user_id), Conflict, "last_owner")
    await refused(withdraw(store, acting, own.grant_id), Conflict, "last_owner")
    await owner(store, mint, "bob@example.org")
    assert await withdraw(store, acting, own.grant_id) == own
    await people.remove(store, Realm.CUSTOMER, ada.user_id)


# -------------------------------------------------------------------------------------------------- grants

PLACES = (INSTALLATION, ORG, TENANT, Target("org", "second"), Target("other"), ELSEWHERE)


@pytest.mark.parametrize("role", Role)
def test_nobody_gives_what_they_have_not(role: Role) -> None:
    """Every role over every place, offered every role over every place."""
    for place, given, target in itertools.product(PLACES, Role, PLACES):
        actor = Principal("user x", Kind.USER, rights=(Right(RULES[role].permissions, place),))
        has_it = RULES[given].permissions - ANYONES <= RULES[role].permissions and place.covers(target)
        if has_it:
            check_reach(actor, given, target)
        else:
            with pytest.raises(NotPermitted):
                check_reach(actor, given, target)


async def test_an_owner_grants_within_the_organisation_only(store: SqlStore, mint: Mint) -> None:
    ada, acting = await owner(store, mint)
    bob = await people.create_person(store, mint, Realm.CUSTOMER, "org", "bob@example.org", "Bob")
    given = await grant(store, mint, acting, bob.user_id, Role.DEVELOPER, TENANT)
    assert (given.granted_by, given.target) == (f"user {ada.user_id}", TENANT)
    await refused(grant(store, mint, acting, bob.user_id, Role.MEMBER, ELSEWHERE), NotFound)
    await refused(grant(store, mint, operator(), bob.user_id, Role.MEMBER, ELSEWHERE), NotFound)
    await refused(grant(store, mint, acting, bob.user_id, Role.DEVELOPER, Target("org", "nowhere")), NotFound)
    await refused(grant(store, mint, acting, bob.user_id, Role.DEVELOPER, ORG), BadRequest)
    await refused(grant(store, mint, acting, bob.user_id, Role.ORGANISATION_OWNER, INSTALLATION), BadRequest)
    await refused(grant(store, mint, acting, bob.user_id, Role.AUDITOR, TENANT), Conflict, "incompatible_roles")
    await refused(grant(store, mint, acting, bob.user_id, Role.OPERATOR, INSTALLATION), NotFound)
    developer = await principal(store, bob)
    await refused(grant(store, mint, developer, bob.user_id, Role.TENANT_OWNER, TENANT), NotPermitted)
    await refused(check_roles(store, developer, Realm.CUSTOMER, "org", [(Role.OPERATOR, INSTALLATION)]), BadRequest)


async def test_a_program_gives_what_its_person_has(store: SqlStore, mint: Mint) -> None:
    ada, _ = await owner(store, mint)
    dossier = await store.people(Realm.CUSTOMER).dossier(ada.user_id)
    assert dossier is not None
    token = PersonalToken("t", ada.user_id, "script", 0, 1)
    check_reach(by_token(Realm.CUSTOMER, dossier, token), Role.DEVELOPER, TENANT)
    narrow = replace(token, limits=(Right(RULES[Role.MEMBER].permissions, ORG),))
    with pytest.raises(NotPermitted):
        check_reach(by_token(Realm.CUSTOMER, dossier, narrow), Role.DEVELOPER, TENANT)


async def test_a_grant_of_elsewhere_is_not_there(store: SqlStore, mint: Mint) -> None:
    ada, _ = await owner(store, mint)
    [own] = await grants_of(store, Realm.CUSTOMER, ada.user_id)
    stranger = Principal(
        "user y", Kind.USER, rights=(Right(RULES[Role.ORGANISATION_OWNER].permissions, Target("other")),)
    )
    await refused(withdraw(store, stranger, own.grant_id), NotFound)
    member = Principal("user z", Kind.USER, rights=(Right(RULES[Role.MEMBER].permissions, ORG),))
    await refused(withdraw(store, member, own.grant_id), NotPermitted)
    await refused(withdraw(store, operator(), "grant_nothing"), NotFound)


async def test_who_may_do_what_since_when_by_whose_grant(store: SqlStore, mint: Mint) -> None:
    ada, acting = await owner(store, mint)
    bob = await people.create_person(store, mint, Realm.CUSTOMER, "org", "bob@example.org", "Bob")
    await grant(store, mint, acting, bob.user_id, Role.DEVELOPER, TENANT)
    lines = await who_may(store, Realm.CUSTOMER, "org")
    assert [(line.person.email, line.grant.role, line.grant.granted_by) for line in lines] == [
        ("ada@example.org", Role.ORGANISATION_OWNER, "operator token"),
        ("bob@example.org", Role.DEVELOPER, f"user {ada.user_id}"),
    ]
    reading = await who_may(store, Realm.CUSTOMER, "org", target=TENANT, permission=Permission.COSTS_READ)
    assert [line.person for line in reading] == [ada]
    assert await who_may(store, Realm.CUSTOMER, "other") == []
    await people.suspend(store, Realm.CUSTOMER, bob.user_id)
    assert len(await who_may(store, Realm.CUSTOMER, "org")) == 2


async def test_operators_are_granted_operators_roles_alone(store: SqlStore, mint: Mint) -> None:
    person = await people.create_person(store, mint, Realm.OPERATOR, "org", "op@example.org", "Op")
    assert (person.organisation_id, person.user_id[:4]) == ("", "opr_")
    await grant(store, mint, operator(), person.user_id, Role.OPERATOR_AUDITOR, INSTALLATION)
    await refused(grant(store, mint, operator(), person.user_id, Role.OPERATOR, INSTALLATION), Conflict)
    await refused(grant(store, mint, operator(), person.user_id, Role.DEVELOPER, TENANT), NotFound)
    await refused(grant(store, mint, operator(), person.user_id, Role.OPERATOR, ORG), NotFound)


# ---------------------------------------------------------------------------------------------- invitations


async def test_who_reads_the_mail_becomes_a_person_with_the_roles(store: SqlStore, mint: Mint) -> None:
    ada, acting = await owner(store, mint)
    roles = [(Role.DEVELOPER, TENANT), (Role.MEMBER, ORG)]
    invited = await invitations.invite(store, mint, acting, "org", "bob@example.org", roles)
    assert invited.link.reveal().startswith("inv-parvis_")
    assert invited.link.reveal() not in repr(invited)
    bob = await invitations.accept(store, mint, PASSWORDS, invited.link, "Bob", PASSWORD)
    held = await grants_of(store, Realm.CUSTOMER, bob.user_id)
    assert {(g.role, g.target, g.granted_by) for g in held} == {(*role, f"user {ada.user_id}") for role in roles}
    await refused(
        invitations.accept(store, mint, PASSWORDS, invited.link, "Eve", PASSWORD), NotFound, "invitation_over"
    )
    await refused(invitations.invite(store, mint, acting, "org", "bob@example.org", roles), Conflict, "email_taken")


async def test_an_invitation_gives_no_more_than_its_inviter_has(store: SqlStore, mint: Mint) -> None:
    _, acting = await owner(store, mint)
    member = replace(acting, rights=(Right(RULES[Role.MEMBER].permissions, ORG),))
    for actor, role, kind in (
        (member, (Role.DEVELOPER, TENANT), NotPermitted),
        (acting, (Role.MEMBER, ELSEWHERE), NotFound),
        (acting, (Role.OPERATOR, INSTALLATION), BadRequest),
    ):
        await refused(invitations.invite(store, mint, actor, "org", "x@example.org", [role]), kind)
    assert await invitations.list_invitations(store) == []


async def test_links_are_renewed_withdrawn_and_over(store: SqlStore, mint: Mint) -> None:
    _, acting = await owner(store, mint)
    first = await invitations.invite(store, mint, acting, "org", "bob@example.org", [(Role.MEMBER, ORG)])
    name = first.invitation.invitation_id
    second = await invitations.resend(store, mint, "org", name)
    await refused(invitations.accept(store, mint, PASSWORDS, first.link, "Bob", PASSWORD), NotFound)
    await refused(invitations.resend(store, mint, "other", name), NotFound)
    await refused(invitations.withdraw(store, "other", name), NotFound)
    later = replace(mint, clock=Later(LIFE_MS))
    await refused(invitations.accept(store, later, PASSWORDS, second.link, "Bob", PASSWORD), NotFound)
    assert (await invitations.withdraw(store, "org", name)).state is InvitationState.WITHDRAWN
    await refused(invitations.accept(store, mint, PASSWORDS, second.link, "Bob", PASSWORD), NotFound)
    for forged in ("", "inv-parvis_x", first.link.reveal()[:-1] + "0", second.link.reveal().replace("inv", "pat")):
        await refused(invitations.accept(store, mint, PASSWORDS, Secret(forged), "Bob", PASSWORD), NotFound)


async def test_who_is_removed_has_invited_nobody(store: SqlStore, mint: Mint) -> None:
    ada, acting = await owner(store, mint)
    await owner(store, mint, "bob@example.org")
    invited = await invitations.invite(store, mint, acting, "org", "eve@example.org", [(Role.MEMBER, ORG)])
    await people.remove(store, Realm.CUSTOMER, ada.user_id)
    await refused(invitations.accept(store, mint, PASSWORDS, invited.link, "Eve", PASSWORD), NotFound)


# -------------------------------------------------------------------------------------------------- tokens


async def test_a_token_has_an_end_within_a_year_and_no_more_rights(store: SqlStore, mint: Mint) -> None:
    ada, _ = await owner(store, mint)
    now = mint.clock.unix_ms()
    for ends in (0, now, now + LIFE_MS_MAX + 1):
        await refused(personal_tokens.make_token(store, mint, ada, "script", ends), BadRequest)
    beyond = [
        Right(frozenset({Permission.KEYS_READ}), ELSEWHERE),
        Right(frozenset({Permission.CREDITS_WRITE}), TENANT),
        Right(frozenset({Permission.KEYS_READ}), INSTALLATION),
    ]
    for limit in beyond:
        await refused(personal_tokens.make_token(store, mint, ada, "script", now + 1, [limit]), NotPermitted)
    limit = Right(RULES[Role.DEVELOPER].permissions, TENANT)
    made = await personal_tokens.make_token(store, mint, ada, "script", now + LIFE_MS_MAX, [limit])
    assert made.text.reveal().startswith("pat-parvis_")
    assert made.text.reveal() not in repr(made)
    assert await personal_tokens.list_tokens(store, Realm.CUSTOMER, ada.user_id) == [made.token]
    await personal_tokens.revoke_token(store, Realm.CUSTOMER, ada.user_id, made.token.token_id)
    await refused(personal_tokens.revoke_token(store, Realm.CUSTOMER, "usr_x", made.token.token_id), NotFound)


class Later:
    """The fixture's clock, later."""

    def __init__(self, by_ms: int) -> None:
        self._by_ms = by_ms

    def unix_ms(self) -> int:
        return 1_784_000_000_000 + self._by_ms

    def monotonic_s(self) -> float:
        return 0.0


# --------------------------------------------------------------------------------------------------- letters


class Box:
    """A mail server that keeps what it takes, or takes nothing."""

    def __init__(self, *, full: bool = False) -> None:
        self.full, self.mail = full, list[tuple[str, str, str, str]]()

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        if self.full:
            raise Unavailable("full")
        self.mail.append((to, subject, text, message_id))


async def test_the_link_goes_to_who_was_invited_where_there_is_mail(store: SqlStore, mint: Mint) -> None:
    _, acting = await owner(store, mint)
    invited = await invitations.invite(store, mint, acting, "org", "bob@example.org", [(Role.MEMBER, ORG)])
    box = Box()
    assert not await post_link(None, invited, "https://console.example.eu")
    for mailer, sent in ((None, False), (Box(full=True), False), (box, True)):
        office = PostOffice(store, None, None, mailer, mint.clock, mint.randomness)  # type: ignore[arg-type]  # unused
        assert await post_link(office, invited, "https://console.example.eu") is sent
    [(to, _, text, _)] = box.mail
    assert to == "bob@example.org"
    assert text.count(invited.link.reveal()) == 2
    assert text.count("https://console.example.eu") == 2


async def test_own_keys_rest_at_the_console_too_and_go_with_their_person(store: SqlStore, mint: Mint) -> None:
    bob = await people.create_person(store, mint, Realm.CUSTOMER, "org", "bob@example.org", "Bob")
    key_id, secret = new_key(os.urandom)
    secrets = (KeySecret(secret_digest(b"pepper", key_id, secret), mint.clock.unix_ms()),)
    await store.add_key(ApiKey(key_id, "org", "tenant", "script", secrets, owner_id=bob.user_id))
    text = write_key(key_id, secret).reveal()
    for verb, opens in ((people.suspend, False), (people.resume, True), (people.remove, False)):
        await verb(store, Realm.CUSTOMER, bob.user_id)
        if opens:
            assert (await welcome(store, b"pepper", mint.clock, text))[0].key_id == key_id
        else:
            await refused(welcome(store, b"pepper", mint.clock, text), NotAuthenticated)
    assert [key.active for key in await store.keys()] == [False]
