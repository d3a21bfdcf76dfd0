"""Signing in by OpenID Connect as a story: who is recognised, which grants follow, and what the settings do."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.openid.client import OpenIdClient
from parvis.adapters.outbound.client import OutboundClient
from parvis.adapters.store.store import SqlStore
from parvis.core.clock import SystemClock
from parvis.core.errors import BadRequest, Conflict, Failure, NotAuthenticated, NotFound, NotPermitted, Unavailable
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.audit.query import EntryQuery
from parvis.domain.identity.openid import VISIT_MS, Provider, RoleMapping
from parvis.domain.identity.organisation import Organisation, Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Kind, Principal, operator, rights_of
from parvis.domain.identity.role import Grant, Role
from parvis.domain.vault.sealing import SealBroken
from parvis.flows.grants import grant
from parvis.flows.invitations import invite
from parvis.flows.keys import Mint
from parvis.flows.lobby import Lobby
from parvis.flows.openid import Arrival, Shown, begin, come_back, is_local, unlink
from parvis.flows.openid_settings import (
    OpenIdHouse,
    local_sign_in_closed,
    open_secret,
    provider_of,
    remove_provider,
    seal_secret,
    set_provider,
)
from parvis.flows.people import create_person
from parvis.flows.sessions import list_sessions
from parvis.testing.empty_store import empty_store
from parvis.testing.false_provider import FalseProvider

CALLER = Actor("nobody", "anybody", "192.0.2.1", "req_1")
ORGANISATION = Target("acme")
WRONG: list[tuple[str, Any]] = [
    ("issuer", "login.example"),
    ("issuer", "https://login.example/?x=1"),
    ("issuer", "https://u:p@login.example"),
    ("issuer", "https://login.example:port"),
    ("issuer", "ftp://login.example"),
    ("client_id", ""),
    ("client_id", "a\nb"),
    ("groups_claim", ""),
    ("scopes", ("email",)),
    ("scopes", ("openid", "a b")),
    ("acr_values", ("",)),
    ("domains", ("*",)),
    ("domains", ("evil",)),
    ("mappings", (RoleMapping("", Role.MEMBER, ORGANISATION),)),
]


class MovableClock(SystemClock):
    """The machine's, and what a test adds to it."""

    later_ms = 0

    def unix_ms(self) -> int:
        return super().unix_ms() + self.later_ms


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FalseProvider]:
    folder = tmp_path_factory.mktemp("liar")
    authority = new_authority("flows", datetime.now(UTC))
    signed = sign_server(authority, server_names(["localhost"]), datetime.now(UTC), 1)
    for name, data in (
        ("ca", authority.certificate_pem()),
        ("cert", signed.certificate_pem()),
        ("key", signed.key_pem()),
    ):
        (folder / f"{name}.pem").write_bytes(data)
    with FalseProvider((folder / "cert.pem", folder / "key.pem"), "parvis") as provider:
        provider.authority = folder / "ca.pem"
        yield provider


@pytest.fixture
async def house(liar: FalseProvider, tmp_path: Path) -> AsyncIterator[OpenIdHouse]:
    liar.honest()
    clock = MovableClock()
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"), clock)
    await store.open()
    for name in ("acme", "beta"):
        await store.create_organisation(name, name)
    await store.create_tenant("t", "acme", "T", credit_unlimited=True)
    lobby = Lobby(
        store=store,
        realm=Realm.CUSTOMER,
        mint=Mint(lambda: b"pepper", clock, os.urandom),
        proofs=None,  # type: ignore[arg-type]  # nobody shows a password here
        site_name="localhost",
    )
    outbound = OutboundClient([], [urlsplit(liar.issuer).netloc], str(liar.authority))
    yield OpenIdHouse(
        lobby=lobby,
        providers=OpenIdClient(outbound, clock),
        seal_key=lambda: b"k" * 32,
        public_url="https://console.example",
    )
    await store.close()


def provider(liar: FalseProvider, *mappings: RoleMapping, organisation_id: str = "acme") -> Provider:
    return Provider(organisation_id, liar.issuer, "parvis", mappings=mappings, domains=("evil.example",))


async def there_and_back(house: OpenIdHouse, liar: FalseProvider, organisation_id: str = "acme") -> Arrival:
    departure = await begin(house, organisation_id, "/keys", CALLER)
    return await come_back(house, await returned(departure.url, departure.browser.reveal(), liar), CALLER)


async def returned(url: str, browser: str, liar: FalseProvider) -> Shown:
    """What the browser brings back from the provider."""
    parts = urlsplit(url)
    place, _ = liar.answer(parts.path, parse_qs(parts.query), {})
    said = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    return Shown(
        state=said["state"],
        code=said.get("code", ""),
        error=said.get("error", ""),
        issuer=said.get("iss", ""),
        browser=browser,
    )


@contextmanager
def refused(kind: type[Failure], code: str) -> Iterator[None]:
    with pytest.raises(kind) as failure:
        yield
    assert failure.value.code == code


def owner_of(organisation_id: str) -> Principal:
    grants = [Grant("g", "u", Role.ORGANISATION_OWNER, Target(organisation_id), "operator", 0)]
    return Principal("user u", Kind.USER, "u", organisation_id, rights_of(grants))


async def held(house: OpenIdHouse, user_id: str) -> set[tuple[Role, Target]]:
    return {(one.role, one.target) for one in await house.lobby.people.grants(user_id)}


# ----------------------------------------------------------------------------------------------------- the way


async def test_there_and_back(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), Secret("s"))
    departure = await begin(house, "acme", "/keys", CALLER)
    asked = parse_qs(urlsplit(departure.url).query)
    assert asked["redirect_uri"] == ["https://console.example/v1/sign-in/openid/callback"]
    assert (asked["code_challenge_method"], asked["scope"]) == (["S256"], ["openid email profile"])
    arrival = await come_back(house, await returned(departure.url, departure.browser.reveal(), liar), CALLER)
    assert (arrival.return_to, arrival.signed_in.dossier.person.email) == ("/keys", "eve@evil.example")
    again = await there_and_back(house, liar)
    assert again.signed_in.dossier.person == arrival.signed_in.dossier.person


async def test_who_comes_late_begins_again(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    departure = await begin(house, "acme", "/", CALLER)
    back = await returned(departure.url, departure.browser.reveal(), liar)
    house.lobby.mint.clock.later_ms = VISIT_MS + 1  # type: ignore[attr-defined]  # the movable one
    with refused(NotAuthenticated, "openid_visit_over"):
        await come_back(house, back, CALLER)


async def test_without_a_provider_there_is_no_way(house: OpenIdHouse, liar: FalseProvider) -> None:
    for organisation_id in ("acme", "nobody"):
        with refused(NotFound, "openid_not_configured"):
            await begin(house, organisation_id, "/", CALLER)
    await set_provider(house, operator(), provider(liar), None)
    departure = await begin(house, "acme", "/", CALLER)
    await remove_provider(house, "acme")
    with refused(NotAuthenticated, "openid_visit_over"):
        await come_back(house, await returned(departure.url, departure.browser.reveal(), liar), CALLER)


async def test_nobody_is_led_elsewhere(house: OpenIdHouse) -> None:
    for path in ("", "x", "//x", "/\\x", "/ x", "/\nx", "https://x", "/é", "/" + "x" * 1000):
        assert not is_local(path)
        with pytest.raises(BadRequest):
            await begin(house, "acme", path, CALLER)


async def test_what_failed_is_in_the_record_of_the_organisation(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), replace(provider(liar), domains=()), None)
    with refused(NotPermitted, "openid_not_invited"):
        await there_and_back(house, liar)
    with refused(NotAuthenticated, "openid_visit_over"):
        await come_back(house, Shown(state="x", browser="y"), CALLER)
    lines = (await house.store.entries(EntryQuery(actions=("login.failed",)))).entries
    assert [(line.organisation_id, line.result) for line in lines] == [
        ("", "openid_visit_over"),
        ("acme", "openid_not_invited"),
    ]


# --------------------------------------------------------------------------------------------------- who it is


async def test_somebody_who_is_known_by_their_address_is_linked(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    lobby = house.lobby
    known = await create_person(lobby.store, lobby.mint, lobby.realm, "acme", "Eve@Evil.example", "Known")
    assert (await there_and_back(house, liar)).signed_in.dossier.person.user_id == known.user_id
    liar.claims = {"email": "eve@elsewhere.example"}
    assert (await there_and_back(house, liar)).signed_in.dossier.person.user_id == known.user_id
    await unlink(house, "acme", known.user_id)
    with refused(NotPermitted, "openid_not_invited"):
        await there_and_back(house, liar)


async def test_somebody_of_another_organisation_stays_there(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    lobby = house.lobby
    await create_person(lobby.store, lobby.mint, lobby.realm, "beta", "eve@evil.example", "Theirs")
    with refused(NotPermitted, "openid_not_invited"):
        await there_and_back(house, liar)


async def test_who_was_invited_becomes_somebody_once(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), replace(provider(liar), domains=()), None)
    lobby = house.lobby
    for email, role in (("other@evil.example", Role.BILLING_READER), ("Eve@evil.example", Role.MEMBER)):
        await invite(lobby.store, lobby.mint, operator(), "acme", email, [(role, ORGANISATION)])
    user_id = (await there_and_back(house, liar)).signed_in.dossier.person.user_id
    assert await held(house, user_id) == {(Role.MEMBER, ORGANISATION)}
    assert (await there_and_back(house, liar)).signed_in.dossier.person.user_id == user_id
    states = {one.email: one.state for one in await lobby.people.invitations("acme")}
    assert states == {"other@evil.example": "pending", "Eve@evil.example": "accepted"}


async def test_what_the_provider_refuses_or_another_says_is_no_sign_in(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    for said, code in (
        ({"error": "access_denied"}, "openid_denied"),
        ({"code": ""}, "openid_denied"),
        ({"iss": "https://login.acme.example"}, "openid_visit_over"),
    ):
        liar.callback = said
        with refused(NotAuthenticated, code):
            await there_and_back(house, liar)
    liar.callback, liar.claims = {}, {"email_verified": False}
    with refused(NotPermitted, "openid_email_unverified"):
        await there_and_back(house, liar)


async def test_an_address_is_not_taken_over(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    await there_and_back(house, liar)
    liar.claims = {"sub": "another"}
    liar.user_info = {**liar.user_info, "sub": "another"}
    with refused(NotPermitted, "openid_linked_otherwise"):
        await there_and_back(house, liar)


async def test_an_organisation_that_is_suspended_lets_nobody_in(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar), None)
    await house.store.put_organisation(Organisation("acme", "Acme", Standing.SUSPENDED))
    with refused(NotAuthenticated, "sign_in_refused"):
        await there_and_back(house, liar)


# ------------------------------------------------------------------------------------------------------- grants


async def test_what_cannot_follow_stays_as_it_is(house: OpenIdHouse, liar: FalseProvider) -> None:
    """The last owner stays one, and who audits by hand acts by no claim."""
    owning = RoleMapping("boss", Role.ORGANISATION_OWNER, ORGANISATION)
    acting = RoleMapping("dev", Role.DEVELOPER, Target("acme", "t"))
    await set_provider(house, operator(), provider(liar, owning, acting), None)
    liar.claims = {"groups": ["boss"]}
    user_id = (await there_and_back(house, liar)).signed_in.dossier.person.user_id
    assert await held(house, user_id) == {(Role.ORGANISATION_OWNER, ORGANISATION)}
    liar.claims = {"groups": []}
    await there_and_back(house, liar)
    assert await held(house, user_id) == {(Role.ORGANISATION_OWNER, ORGANISATION)}
    lobby = house.lobby
    other = await create_person(lobby.store, lobby.mint, lobby.realm, "acme", "o@x.example", "O")
    await grant(house.store, lobby.mint, operator(), other.user_id, Role.ORGANISATION_OWNER, ORGANISATION)
    await there_and_back(house, liar)
    assert await held(house, user_id) == set()
    await grant(house.store, lobby.mint, operator(), user_id, Role.AUDITOR, ORGANISATION)
    liar.claims = {"groups": ["dev"]}
    await there_and_back(house, liar)
    assert await held(house, user_id) == {(Role.AUDITOR, ORGANISATION)}


# ----------------------------------------------------------------------------------------------------- settings


async def test_nobody_maps_what_they_could_not_grant(house: OpenIdHouse, liar: FalseProvider) -> None:
    wide = RoleMapping("x", Role.OPERATOR, Target())
    foreign = RoleMapping("x", Role.MEMBER, Target("beta"))
    strange = RoleMapping("x", Role.MEMBER, Target("acme", "nowhere"))
    for mapping, kind in ((wide, BadRequest), (foreign, NotFound), (strange, NotFound)):
        with pytest.raises(kind):
            await set_provider(house, operator(), provider(liar, mapping), None)
    narrow = Principal(
        "user u", Kind.USER, "u", "acme", rights_of([Grant("g", "u", Role.MEMBER, ORGANISATION, "x", 0)])
    )
    mapping = RoleMapping("x", Role.DEVELOPER, Target("acme", "t"))
    with pytest.raises(NotPermitted):
        await set_provider(house, narrow, provider(liar, mapping), None)
    await set_provider(house, owner_of("acme"), provider(liar, mapping), None)
    assert await provider_of(house.store, "acme") == provider(liar, mapping)


async def test_a_mapping_that_goes_takes_its_grants_along(house: OpenIdHouse, liar: FalseProvider) -> None:
    mapping = RoleMapping("dev", Role.DEVELOPER, Target("acme", "t"))
    await set_provider(house, operator(), provider(liar, mapping), None)
    liar.claims = {"groups": ["dev"]}
    arrival = await there_and_back(house, liar)
    user_id = arrival.signed_in.dossier.person.user_id
    assert await held(house, user_id) == {(Role.DEVELOPER, Target("acme", "t"))}
    await set_provider(house, operator(), provider(liar), None)
    assert await held(house, user_id) == set()
    assert len(await list_sessions(house.lobby, user_id)) == 1
    await remove_provider(house, "acme")
    assert await list_sessions(house.lobby, user_id) == []


async def test_the_last_owner_by_claim_keeps_the_provider(house: OpenIdHouse, liar: FalseProvider) -> None:
    await set_provider(house, operator(), provider(liar, RoleMapping("b", Role.ORGANISATION_OWNER, ORGANISATION)), None)
    liar.claims = {"groups": ["b"]}
    await there_and_back(house, liar)
    with refused(Conflict, "last_owner"):
        await remove_provider(house, "acme")
    with refused(Conflict, "last_owner"):
        await set_provider(house, operator(), provider(liar), None)
    assert len((await provider_of(house.store, "acme")).mappings) == 1


async def test_a_secret_is_for_one_issuer(house: OpenIdHouse, liar: FalseProvider) -> None:
    first = provider(liar)
    await set_provider(house, operator(), first, Secret("s"))
    await set_provider(house, operator(), replace(first, domains=()), None)
    found = await house.store.provider("acme")
    assert found is not None
    assert open_secret(house, *found).reveal() == "s"
    with pytest.raises(SealBroken):
        open_secret(house, replace(first, issuer="https://evil.example"), found[1])
    with pytest.raises(SealBroken):
        open_secret(house, replace(first, organisation_id="beta"), found[1])
    await set_provider(house, operator(), first, Secret(""))
    assert await house.store.provider("acme") == (first, b"")
    assert seal_secret(house, first, Secret("s")) != seal_secret(house, first, Secret("s"))


async def test_what_cannot_be_is_refused_by_name(house: OpenIdHouse, liar: FalseProvider) -> None:
    for field, value in WRONG:
        with pytest.raises(BadRequest) as failure:
            await set_provider(house, operator(), replace(provider(liar), **{field: value}), None)
        assert failure.value.param == field, value


async def test_a_provider_is_asked_before_it_is_believed(house: OpenIdHouse, liar: FalseProvider) -> None:
    with refused(Unavailable, "openid_provider_failed"):
        await set_provider(house, operator(), replace(provider(liar), issuer=f"{liar.issuer}/x"), None)
    with refused(BadRequest, "host_not_listed"):
        await set_provider(house, operator(), replace(provider(liar), issuer="https://login.example"), None)
    with refused(NotFound, "openid_not_configured"):
        await provider_of(house.store, "acme")


async def test_only_owners_have_another_way_when_it_is_required(house: OpenIdHouse, liar: FalseProvider) -> None:
    lobby = house.lobby
    people = [await create_person(lobby.store, lobby.mint, lobby.realm, "acme", f"{n}@x.example", n) for n in "ab"]
    await grant(lobby.store, lobby.mint, operator(), people[0].user_id, Role.ORGANISATION_OWNER, ORGANISATION)

    async def closed() -> list[bool]:
        dossiers = [await lobby.people.dossier(person.user_id) for person in people]
        return [await local_sign_in_closed(lobby.store, one) for one in dossiers if one is not None]

    assert await closed() == [False, False]
    await set_provider(house, operator(), provider(liar), None)
    assert await closed() == [False, False]
    await set_provider(house, operator(), replace(provider(liar), required=True), None)
    assert await closed() == [False, True]
