"""Signing in by OpenID Connect: the code flow with PKCE. Somebody leaves for their provider and comes back, once.

    departure = await begin(house, organisation_id, "/", caller)   # a redirect, and a cookie for this browser
    arrival = await come_back(house, shown, caller)                # a session, good for what they have shown

What a visit needs (nonce, verifier) is kept here, and found by a state that only the provider and the browser hear. The
browser is known by a cookie, so that nobody can be signed in as somebody else by a link.
"""

import hmac
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from parvis.core.errors import BadRequest, Conflict, Failure, NotAuthenticated, NotFound, NotPermitted
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.openid import (
    FRESH_S_MAX,
    VISIT_MS,
    Identity,
    Provider,
    Visit,
    challenge_of,
    changes,
    check_id_token,
    draw,
    grantor,
    identity_of,
    lacks,
    lets_in,
    secret_trace,
)
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Person, Realm, same_email
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant
from parvis.domain.identity.session import Means
from parvis.domain.vault.sealing import NONCE_BYTES, Place, open_sealed, seal
from parvis.flows.grants import made
from parvis.flows.openid_settings import OpenIdHouse, open_secret
from parvis.flows.people import create_person, new_person
from parvis.flows.record import OK, Recorder
from parvis.flows.sessions import SignedIn, open_session

CALLBACK_PATH = "/v1/sign-in/openid/callback"
_log = logging.getLogger("parvis.sign_in")


class Departure(NamedTuple):
    """Where a browser is sent, and the cookie by which it is known when it comes back."""

    url: str
    browser: Secret


class Arrival(NamedTuple):
    """Somebody who came back and is signed in."""

    signed_in: SignedIn
    return_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a browser brings back: the query of the redirect, and its cookie."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""
    browser: str = ""


async def begin(house: OpenIdHouse, organisation_id: str, return_to: str, caller: Actor) -> Departure:
    """Send somebody to their provider. Raises NotFound, the same for whoever has none; BadRequest for `return_to`."""
    if not is_local(return_to):
        raise BadRequest("'return_to' is a path of this site, like /keys.", param="return_to")
    provider, _ = await _provider(house, organisation_id)
    endpoint = await house.providers.authorization_endpoint(provider.issuer)
    asked, now = draw(house.lobby.mint.randomness), house.lobby.now()
    state_digest = secret_trace(asked.state)
    visit = Visit(
        state_digest,
        secret_trace(asked.browser),
        organisation_id,
        asked.nonce.reveal(),
        _seal_verifier(house, organisation_id, state_digest, asked.verifier),
        return_to,
        caller.address,
        now + VISIT_MS,
    )
    await house.store.put_visit(visit, now)
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": _redirect_uri(house),
        "scope": " ".join(provider.scopes),
        "state": asked.state.reveal(),
        "nonce": asked.nonce.reveal(),
        "code_challenge": challenge_of(asked.verifier),
        "code_challenge_method": "S256",
        "max_age": str(FRESH_S_MAX),
    }
    return Departure(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", asked.browser)


async def come_back(house: OpenIdHouse, shown: Shown, caller: Actor) -> Arrival:
    """Sign in whoever comes back from their provider.

    Raises NotAuthenticated for whatever was forged, used before, or too late; NotPermitted for people whom the
    organisation does not let in; Unavailable when the provider fails.
    """
    visit = await house.store.take_visit(secret_trace(Secret(shown.state, "state")), house.lobby.now())
    browser = secret_trace(Secret(shown.browser, "browser"))
    if visit is None or not hmac.compare_digest(browser, visit.browser_digest):
        raise await _refused(house, caller, "", _strange())
    try:
        provider, identity = await _vouched(house, visit, shown)
        dossier = await _recognised(house, provider, identity)
        await _follow(house, provider, identity, dossier)
        dossier = await _welcome(house, dossier.person.user_id)
    except Failure as failure:
        raise await _refused(house, caller, visit.organisation_id, failure) from None
    lobby, complete = house.lobby, identity.second_factor
    signed_in = await open_session(lobby, dossier, Means.OPENID, caller.address, complete=complete)
    await lobby.note(caller, "login.succeeded", dossier.person, "openid and second factor" if complete else "openid")
    return Arrival(signed_in, visit.return_to)


async def unlink(house: OpenIdHouse, organisation_id: str, user_id: str) -> None:
    """Forget by which name the provider knows somebody; they are found by their e-mail when they come again."""
    await house.store.unlink(organisation_id, user_id)


def is_local(path: str) -> bool:
    """Whether a browser that follows it stays on this site: one slash first, and nothing that is read as another."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and " " not in path
    return plain and path.startswith("/") and not path.startswith("//") and len(path) <= 1000  # noqa: PLR2004 - a path


# Whom the provider vouches for


async def _vouched(house: OpenIdHouse, visit: Visit, shown: Shown) -> tuple[Provider, Identity]:
    provider, sealed = await _provider(house, visit.organisation_id)
    if shown.issuer not in ("", provider.issuer):  # RFC 9207: whose answer is this?
        raise _strange()
    if shown.error or not shown.code:
        raise NotAuthenticated(
            "Your identity provider has not let you in. Sign in again, or ask who runs it.", code="openid_denied"
        )
    verifier = Secret(_open_verifier(house, visit), "verifier")
    secret = open_secret(house, provider, sealed)
    claims, access = await house.providers.redeem(
        provider, secret, Secret(shown.code, "code"), verifier, _redirect_uri(house)
    )
    check_id_token(claims, provider, Secret(visit.nonce, "nonce"), house.lobby.now())
    more = await house.providers.user_info(provider.issuer, access) if lacks(claims, provider) else {}
    return provider, identity_of(claims, more, provider)


async def _provider(house: OpenIdHouse, organisation_id: str) -> tuple[Provider, bytes]:
    found = await house.store.provider(organisation_id)
    if found is None:
        raise NotFound("Nobody signs in here by an identity provider. Check the address.", code="openid_not_configured")
    return found


# Who they are here


async def _recognised(house: OpenIdHouse, provider: Provider, identity: Identity) -> Dossier:
    """By the subject, or the first time by a verified e-mail. Raises NotPermitted."""
    place = provider.organisation_id, provider.issuer
    known = await house.store.link(*place, identity.subject)
    dossier = await house.lobby.people.dossier(known) if known else None
    if dossier is not None and dossier.person.standing is not Standing.REMOVED:
        return await _welcome(house, dossier.person.user_id)
    if not identity.email:
        raise NotPermitted(
            "Your identity provider does not say that it has verified your e-mail address.",
            code="openid_email_unverified",
        )
    person = await _of_email(house, provider, identity)
    subject = await house.store.subject(*place, person.user_id)
    if subject not in (None, identity.subject):  # the address may have become somebody else's
        raise NotPermitted(
            "Your e-mail address belongs to somebody whom your identity provider knew by another name. "
            "Ask an owner of your organisation to unlink them.",
            code="openid_linked_otherwise",
        )
    await house.store.put_link(*place, identity.subject, person.user_id)
    return await _welcome(house, person.user_id)


async def _of_email(house: OpenIdHouse, provider: Provider, identity: Identity) -> Person:
    """Who has it in this organisation, was invited by it, or may come in unasked."""
    organisation_id = provider.organisation_id
    person = await house.lobby.people.person_by_email(identity.email)
    if person is None:
        person = await _invited(house, organisation_id, identity)
    if person is None and lets_in(provider, identity.email):
        lobby = house.lobby
        person = await create_person(
            lobby.store, lobby.mint, Realm.CUSTOMER, organisation_id, identity.email, identity.name
        )
    if person is None or person.organisation_id != organisation_id:
        raise NotPermitted(
            "Nobody of this organisation has invited you. Ask one of its owners.", code="openid_not_invited"
        )
    return person


async def _invited(house: OpenIdHouse, organisation_id: str, identity: Identity) -> Person | None:
    """Accept the invitation of this address: that it is theirs, the provider has verified."""
    lobby, now = house.lobby, house.lobby.now()
    for invitation in await lobby.people.invitations(organisation_id):
        if not invitation.open(now) or same_email(invitation.email) != identity.email:
            continue
        found = await lobby.people.invitation(invitation.invitation_id)
        if found is None:
            continue
        person = new_person(lobby.mint, Realm.CUSTOMER, organisation_id, invitation.email, identity.name)
        given = [made(lobby.mint, invitation.invited_by, person.user_id, *role) for role in invitation.roles]
        await lobby.people.accept_invitation(invitation.invitation_id, found[1], person, given, "")
        return person
    return None


async def _welcome(house: OpenIdHouse, user_id: str) -> Dossier:
    """Raises NotAuthenticated for who is suspended, or whose organisation is."""
    dossier = await house.lobby.people.dossier(user_id)
    if dossier is None or not dossier.welcome:
        raise NotAuthenticated("You cannot sign in now. Ask an owner of your organisation.", code="sign_in_refused")
    return dossier


async def _follow(house: OpenIdHouse, provider: Provider, identity: Identity, dossier: Dossier) -> None:
    """Make mapped grants what the claims say. What cannot be is left as it is, and said in the log."""
    people, user_id = house.lobby.people, dossier.person.user_id
    wanted, unwanted = changes(provider, identity.groups, await people.grants(user_id))
    fresh = [made(house.lobby.mint, grantor(provider.issuer), user_id, *pair) for pair in wanted]
    for grant in unwanted:
        await _change(house, "role.assignment.deleted", grant, people.remove_grant(grant.grant_id))
    for grant in fresh:
        await _change(house, "role.assignment.created", grant, people.add_grant(grant))


async def _change(house: OpenIdHouse, action: str, grant: Grant, doing: Awaitable[object]) -> None:
    """One grant, with its line in the record."""
    result = OK
    try:
        await doing
    except (Conflict, NotFound) as problem:
        result = problem.code
        _log.warning("a mapped role does not follow its claim", extra={"kind": problem.code, "reason": grant.role})
    actor = Actor("openid", grant.granted_by)
    objects = {"grant_id": grant.grant_id, "user_id": grant.user_id}
    await _recorder(house).note(actor, action, grant.target, objects, {"role": grant.role}, result)


# Inside


async def _refused(house: OpenIdHouse, caller: Actor, organisation_id: str, failure: Failure) -> Failure:
    """The same failure, once the log and the record of the organisation (the operator's, of nobody's) have it."""
    extra = {"kind": failure.code, "address": caller.address, "request_id": caller.request_id}
    _log.warning("sign-in by OpenID refused", extra=extra)
    await _recorder(house).note(
        caller, "login.failed", Target(organisation_id), details={"reason": "openid"}, result=failure.code
    )
    return failure


def _recorder(house: OpenIdHouse) -> Recorder:
    return Recorder(house.store, house.lobby.mint.clock, house.lobby.mint.randomness)


def _strange() -> NotAuthenticated:
    return NotAuthenticated(
        "This sign-in was begun elsewhere, is over, or was used before. Begin again.", code="openid_visit_over"
    )


def _redirect_uri(house: OpenIdHouse) -> str:
    return house.public_url + CALLBACK_PATH


def _verifier_place(organisation_id: str, state_digest: bytes) -> Place:
    return Place(organisation_id, "openid_visits", state_digest.hex(), "verifier", 1)


def _seal_verifier(house: OpenIdHouse, organisation_id: str, state_digest: bytes, verifier: Secret) -> bytes:
    place = _verifier_place(organisation_id, state_digest)
    return seal(house.seal_key(), verifier.reveal().encode(), place, house.lobby.mint.randomness(NONCE_BYTES))


def _open_verifier(house: OpenIdHouse, visit: Visit) -> str:
    place = _verifier_place(visit.organisation_id, visit.state_digest)
    return open_sealed(house.seal_key(), visit.sealed_verifier, place).decode()
