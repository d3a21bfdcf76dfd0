"""How the people of an organisation sign in: its identity provider, set by who may, and what follows from that."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from parvis.core.errors import BadRequest, NotFound
from parvis.core.secret import Secret
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.openid import Provider, unmapped
from parvis.domain.identity.owners import OWNERS
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import Means
from parvis.domain.vault.sealing import NONCE_BYTES, Place, open_sealed, seal
from parvis.flows.grants import check_roles
from parvis.flows.lobby import Lobby
from parvis.flows.openid_ports import IdentityProviders
from parvis.flows.store import Store

SEAL_PURPOSE = "openid-client-secret"
SEAL_VERSION = 1
LIST_MAX = 100
TEXT_CHARS_MAX = 255
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope, or a value of `acr`, as RFC 6749 writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdHouse:
    """What the stories of sign-in by OpenID Connect stand on."""

    lobby: Lobby
    """Of customers' people: the operator's own staff does not come this way."""
    providers: IdentityProviders
    seal_key: Callable[[], bytes]
    """32 bytes, derived from the root key: what client secrets are sealed under."""
    public_url: str
    """Of the console, without a slash at its end."""

    @property
    def store(self) -> Store:
        return self.lobby.store


async def provider_of(store: Store, organisation_id: str) -> Provider:
    """Raises NotFound when it has none."""
    found = await store.provider(organisation_id)
    if found is None:
        raise NotFound("This organisation has no identity provider. Set one with PUT.", code="openid_not_configured")
    return found[0]


async def set_provider(
    house: OpenIdHouse, actor: Principal, provider: Provider, client_secret: Secret | None
) -> Provider:
    """Set or replace it. Without a secret the one that is kept stays, if it was given for the same issuer.

    The provider is asked what it says of itself first. Raises BadRequest for a value that cannot be or a host that the
    operator has not listed, Unavailable when the provider does not answer as one, for the mappings what
    `parvis.flows.grants.grant` raises, and Conflict (`last_owner`) when a mapping goes that the last owner is by.
    """
    _check(provider)
    pairs = [(mapping.role, mapping.target) for mapping in provider.mappings]
    await check_roles(house.store, actor, Realm.CUSTOMER, provider.organisation_id, pairs)
    await house.providers.authorization_endpoint(provider.issuer)
    before = await house.store.provider(provider.organisation_id)
    moved = before is not None and before[0].issuer != provider.issuer
    keeps = client_secret is None and before is not None and not moved
    sealed = None if keeps else seal_secret(house, provider, client_secret or Secret("", "no client secret"))
    await _settle(house, provider.organisation_id, provider)
    await house.store.put_provider(provider, sealed)
    if moved:
        await _end_sessions(house, provider.organisation_id)
    return provider


async def remove_provider(house: OpenIdHouse, organisation_id: str) -> None:
    """Who came by it is signed out, and what its claims gave is withdrawn. Raises NotFound, Conflict (`last_owner`)."""
    await provider_of(house.store, organisation_id)
    await _settle(house, organisation_id, None)
    await house.store.remove_provider(organisation_id)
    await _end_sessions(house, organisation_id)


async def local_sign_in_closed(store: Store, dossier: Dossier) -> bool:
    """Whether somebody must come by their provider. Owners need not: the provider may be what is broken."""
    if not dossier.person.organisation_id or any(one.role is Role.ORGANISATION_OWNER for one in dossier.grants):
        return False
    found = await store.provider(dossier.person.organisation_id)
    return found is not None and found[0].required


def seal_secret(house: OpenIdHouse, provider: Provider, secret: Secret) -> bytes:
    """Sealed for this organisation and this issuer; no secret is an empty one."""
    plain = secret.reveal().encode()
    if not plain:
        return b""
    return seal(house.seal_key(), plain, _place(provider), house.lobby.mint.randomness(NONCE_BYTES))


def open_secret(house: OpenIdHouse, provider: Provider, sealed: bytes) -> Secret:
    """The client secret, empty where there is none. Raises SealBroken."""
    plain = open_sealed(house.seal_key(), sealed, _place(provider)) if sealed else b""
    return Secret(plain.decode(), "client secret")


def _place(provider: Provider) -> Place:
    """Beside another issuer it does not open: so it is never shown to anybody but whom it was given for."""
    return Place(provider.organisation_id, "openid_providers", provider.issuer, "client_secret", SEAL_VERSION)


async def _settle(house: OpenIdHouse, organisation_id: str, provider: Provider | None) -> None:
    """Withdraw what no mapping gives any more.

    Owners' roles first: of these the last is refused (Conflict, `last_owner`), when nothing has changed yet.
    """
    held = await house.lobby.people.grants(organisation_id=organisation_id)
    for grant in sorted(unmapped(provider, held), key=lambda grant: grant.role not in OWNERS):
        with suppress(NotFound):  # somebody else was faster
            await house.lobby.people.remove_grant(grant.grant_id)


async def _end_sessions(house: OpenIdHouse, organisation_id: str) -> None:
    people = house.lobby.people
    for person in await people.people(organisation_id):
        for session in await people.sessions(person.user_id):
            if session.means is Means.OPENID:
                with suppress(NotFound):
                    await people.end_session(person.user_id, session.session_id)


def _check(provider: Provider) -> None:
    """Raises BadRequest, naming the field."""
    _check_issuer(provider.issuer)
    for field, text in (("client_id", provider.client_id), ("groups_claim", provider.groups_claim)):
        if not 0 < len(text) <= TEXT_CHARS_MAX or not text.isprintable():
            raise BadRequest(f"'{field}' has 1 to {TEXT_CHARS_MAX} printable characters.", param=field)
    for field, words in (("scopes", provider.scopes), ("acr_values", provider.acr_values)):
        if len(words) > LIST_MAX or not all(_WORD.fullmatch(word) and len(word) <= TEXT_CHARS_MAX for word in words):
            raise BadRequest(f"'{field}' is a list of words without spaces.", param=field)
    if "openid" not in provider.scopes:
        raise BadRequest("'scopes' must have 'openid' in it.", param="scopes")
    if len(provider.domains) > LIST_MAX or not all(_DOMAIN.fullmatch(domain) for domain in provider.domains):
        raise BadRequest("'domains' is a list of names like example.org.", param="domains")
    if len(provider.mappings) > LIST_MAX or not all(0 < len(m.value) <= TEXT_CHARS_MAX for m in provider.mappings):
        raise BadRequest(f"'mappings' has at most {LIST_MAX} entries, each with a value.", param="mappings")


def _check_issuer(issuer: str) -> None:
    try:
        parts = urlsplit(issuer)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        parts = urlsplit("")
    web = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc
    if not web or parts.query or parts.fragment or len(issuer) > TEXT_CHARS_MAX or not issuer.isascii():
        raise BadRequest("'issuer' must look like https://login.example.eu, as the provider writes it.", param="issuer")
