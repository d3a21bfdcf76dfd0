"""OpenID Connect, as far as it is decided and not done: what is asked of a provider, and what its word is worth.

Sources: OpenID Connect Core 1.0 (section 3.1.3.7 for the checks of an ID token), RFC 7636 (PKCE), RFC 8176 (`amr`).
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from parvis.core.errors import NotAuthenticated
from parvis.core.ids import Randomness
from parvis.core.secret import Secret
from parvis.domain.identity.person import same_email
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant, Role

VISIT_MS = 10 * 60_000
"""How long somebody may take at their provider."""
SKEW_S = 60
"""By how much the provider's clock may differ from ours."""
FRESH_S_MAX = 600
"""How long ago they may have shown their provider who they are: as long as a proof is fresh here."""
SCOPES = ("openid", "email", "profile")
GROUPS_MAX = 1000
_RANDOM_BYTES = 32
_TEXT_CHARS_MAX = 255
_KNOWN = frozenset({"pwd", "pin", "kba"})
_OWNED = frozenset({"otp", "hwk", "swk", "sc", "pop"})
_INBORN = frozenset({"fpt", "face", "iris", "retina", "vbm"})
"""Of RFC 8176: what somebody knows, has and is. Messages to telephones (`sms`, `tel`) are none of it."""
Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """Who has this value in their claim gets this role there, for as long as they have it."""

    value: str
    role: Role
    target: Target


@dataclass(frozen=True, slots=True)
class Provider:
    """The identity provider of an organisation. Its client secret is elsewhere, sealed."""

    organisation_id: str
    issuer: str
    """Exactly as the provider writes it."""
    client_id: str
    scopes: tuple[str, ...] = SCOPES
    groups_claim: str = "groups"
    """Where roles are read from; dots lead into objects (`realm_access.roles`)."""
    mappings: tuple[RoleMapping, ...] = ()
    domains: tuple[str, ...] = ()
    """Of e-mail addresses: whose people are let in unasked. Others need an invitation."""
    vouches_for_factor: bool = False
    """Whether the provider's word that a second factor was shown is enough."""
    acr_values: tuple[str, ...] = ()
    """Which `acr` mean that a second factor was shown, besides what `amr` says."""
    required: bool = False
    """Whether passwords of this organisation's people do not open anything, but those of its owners."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who was sent to their provider and is expected back, in the same browser, once."""

    state_digest: bytes
    browser_digest: bytes
    organisation_id: str
    nonce: str
    sealed_verifier: bytes
    return_to: str
    address: str
    ends_unix_ms: int


class Asked(NamedTuple):
    """What is drawn for one visit. All of it is secret until it is used."""

    state: Secret
    nonce: Secret
    verifier: Secret
    browser: Secret


class Identity(NamedTuple):
    """Whom the provider vouches for."""

    subject: str
    email: str
    """Empty unless the provider says that it has verified it."""
    name: str
    groups: frozenset[str]
    second_factor: bool


class GrantChanges(NamedTuple):
    """What makes the grants that follow claims equal to what the claims say."""

    wanted: tuple[tuple[Role, Target], ...]
    unwanted: tuple[Grant, ...]


def draw(randomness: Randomness) -> Asked:
    """256 random bits for each part."""
    state, nonce, verifier, browser = (Secret(_text(randomness(_RANDOM_BYTES)), "openid visit") for _ in range(4))
    return Asked(state, nonce, verifier, browser)


def challenge_of(verifier: Secret) -> str:
    """What PKCE shows first of a verifier: its SHA-256 (`S256`)."""
    return _text(hashlib.sha256(verifier.reveal().encode()).digest())


def secret_trace(secret: Secret) -> bytes:
    """What is kept of a random secret, to know it again."""
    return hashlib.sha256(secret.reveal().encode()).digest()


def check_id_token(claims: Claims, provider: Provider, nonce: Secret, now_unix_ms: int) -> str:
    """The subject of an ID token whose signature was right. Raises NotAuthenticated, saying which claim is not."""
    now_s = now_unix_ms // 1000
    if claims.get("iss") != provider.issuer:
        raise _refused("it comes from another issuer")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or provider.client_id not in audiences:
        raise _refused("it is for another client")
    presenter = claims.get("azp", None if len(audiences) > 1 else provider.client_id)
    if presenter != provider.client_id:
        raise _refused("it was made for another client")
    if _instant(claims, "exp") <= now_s - SKEW_S:
        raise _refused("it is over")
    if not now_s - VISIT_MS // 1000 - SKEW_S <= _instant(claims, "iat") <= now_s + SKEW_S:
        raise _refused("it was not made now")
    if "nbf" in claims and _instant(claims, "nbf") > now_s + SKEW_S:
        raise _refused("it is not valid yet")
    # Not every provider says when, though it was asked to see to it; one that does is taken at its word.
    if "auth_time" in claims and _instant(claims, "auth_time") < now_s - FRESH_S_MAX - VISIT_MS // 1000 - SKEW_S:
        raise _refused("they were recognised too long ago")
    shown = claims.get("nonce")
    if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), nonce.reveal().encode()):
        raise _refused("it answers another question")
    return _subject(claims)


def identity_of(claims: Claims, more: Claims, provider: Provider) -> Identity:
    """What an ID token and the provider's user info say together; the token goes first.

    Raises NotAuthenticated when the two are about different people.
    """
    if more and more.get("sub") != claims.get("sub"):
        raise _refused("its user info is somebody else's")
    said = {**more, **claims}
    verified = said.get("email_verified") is True or said.get("email_verified") == "true"
    email = said.get("email")
    usable = verified and isinstance(email, str) and len(email) < _TEXT_CHARS_MAX
    return Identity(
        _subject(claims),
        same_email(email) if usable and isinstance(email, str) else "",
        _name(said, str(email) if usable else "user"),
        groups_of(said, provider.groups_claim),
        provider.vouches_for_factor and second_factor_shown(claims, provider.acr_values),
    )


def lacks(claims: Claims, provider: Provider) -> bool:
    """Whether an ID token leaves something open that the provider's user info may tell."""
    return "email" not in claims or "email_verified" not in claims or _found(claims, provider.groups_claim) is None


def groups_of(claims: Claims, path: str) -> frozenset[str]:
    """The values of a claim, which is a text or a list of texts; nothing of anything else."""
    found = _found(claims, path)
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(value for value in values[:GROUPS_MAX] if isinstance(value, str) and len(value) <= _TEXT_CHARS_MAX)


def second_factor_shown(claims: Claims, acr_values: Iterable[str]) -> bool:
    """Whether the token says so: by `amr`, or by an `acr` that the organisation has named."""
    methods = claims.get("amr")
    shown = {method for method in methods if isinstance(method, str)} if isinstance(methods, list) else set()
    acr = claims.get("acr")
    several = sum(bool(shown & kind) for kind in (_KNOWN, _OWNED, _INBORN)) > 1
    return "mfa" in shown or several or (isinstance(acr, str) and acr in set(acr_values))


def lets_in(provider: Provider, email: str) -> bool:
    """Whether somebody with this verified address is let in without an invitation."""
    domain = email.rpartition("@")[2]
    return bool(domain) and domain in {listed.lower() for listed in provider.domains}


def grantor(issuer: str) -> str:
    """In whose name grants are made that follow claims."""
    return f"openid {issuer}"


def follows_claims(grant: Grant) -> bool:
    """Whether a grant was made by a mapping, of whichever provider."""
    return grant.granted_by.startswith(grantor(""))


def changes(provider: Provider, groups: frozenset[str], held: Iterable[Grant]) -> GrantChanges:
    """What must be granted and what withdrawn, so that mapped grants say what the claims say.

    Grants made by hand stay, and are not made a second time.
    """
    present = list(held)
    meant = {(mapping.role, mapping.target) for mapping in provider.mappings if mapping.value in groups}
    had = {(grant.role, grant.target) for grant in present}
    unwanted = [grant for grant in present if follows_claims(grant) and (grant.role, grant.target) not in meant]
    return GrantChanges(tuple(sorted(meant - had)), tuple(unwanted))


def unmapped(provider: Provider | None, held: Iterable[Grant]) -> list[Grant]:
    """The grants that followed claims, and that no mapping gives any more."""
    mapped = set() if provider is None else {(mapping.role, mapping.target) for mapping in provider.mappings}
    return [grant for grant in held if follows_claims(grant) and (grant.role, grant.target) not in mapped]


def _text(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(why: str) -> NotAuthenticated:
    return NotAuthenticated(
        f"Your identity provider sent a token that cannot be believed: {why}. Sign in again.",
        code="openid_token_invalid",
    )


def _instant(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"it has no '{name}'")
    return value


def _subject(claims: Claims) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _TEXT_CHARS_MAX:
        raise _refused("it names nobody")
    return subject


def _name(said: Claims, otherwise: str) -> str:
    for claim in ("name", "preferred_username"):
        name = said.get(claim)
        if isinstance(name, str) and name.strip() and name.isprintable():
            return name.strip()[:100]
    return otherwise[:100]


def _found(claims: Claims, path: str) -> object:
    """A claim of this whole name, or what the parts of the name lead to."""
    if path in claims:
        return claims[path]
    place: object = claims
    for step in path.split("."):
        if not isinstance(place, Mapping) or step not in place:
            return None
        place = place[step]
    return place
