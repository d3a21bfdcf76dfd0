"""`IdentityProviders` over HTTP: discovery and keys are kept for an hour, codes are redeemed at once."""

import base64
import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

from joserfc.jwk import KeySet

from parvis.adapters.openid.signatures import UnknownKey, read_keys, read_token
from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.domain.identity.openid import Claims, Provider

KEPT_S = 3600.0
KEYS_AGAIN_S = 60.0
"""A token that names a key that nobody knows makes us look for it at most this often."""
KEPT_MAX = 1000
DISCOVERY = "/.well-known/openid-configuration"
_JSON = {"accept": "application/json"}
_FORM = {**_JSON, "content-type": "application/x-www-form-urlencoded"}


class Calls(Protocol):
    """How calls leave this machine (`parvis.flows.outbound.Outbound`)."""

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]: ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]: ...


class _Metadata(NamedTuple):
    """What a provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    secret_in_body: bool
    read_s: float


class _Keys(NamedTuple):
    keys: KeySet
    read_s: float
    again_s: float
    """When they were last read anew for a key that was not among them."""


class OpenIdClient:
    """Of all organisations: two that have the same provider share what it says of itself."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._metadata: dict[str, _Metadata] = {}
        self._keys: dict[str, _Keys] = {}

    async def authorization_endpoint(self, issuer: str) -> str:
        """See the port."""
        return (await self._metadata_of(issuer)).authorization_endpoint

    async def redeem(
        self, provider: Provider, client_secret: Secret, code: Secret, verifier: Secret, redirect_uri: str
    ) -> tuple[Claims, Secret]:
        """See the port."""
        metadata = await self._metadata_of(provider.issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.reveal(),
        }
        headers = dict(_FORM)
        if not client_secret.reveal():
            form["client_id"] = provider.client_id
        elif metadata.secret_in_body:
            form |= {"client_id": provider.client_id, "client_secret": client_secret.reveal()}
        else:
            headers["authorization"] = _basic(provider.client_id, client_secret)
        status, body = await self._calls.post(metadata.token_endpoint, urlencode(form).encode(), headers)
        answer = _tokens(provider.issuer, status, body)
        claims = await self._verified(provider.issuer, metadata.jwks_uri, answer["id_token"])
        return claims, Secret(answer.get("access_token", ""), "access token")

    async def user_info(self, issuer: str, access_token: Secret) -> Claims:
        """See the port."""
        metadata = await self._metadata_of(issuer)
        if not metadata.userinfo_endpoint or not access_token.reveal():
            return {}
        headers = {**_JSON, "authorization": f"Bearer {access_token.reveal()}"}
        status, body = await self._calls.get(metadata.userinfo_endpoint, headers)
        return _object(issuer, status, body, "its user info")

    async def _metadata_of(self, issuer: str) -> _Metadata:
        now_s = self._clock.monotonic_s()
        kept = self._metadata.get(issuer)
        if kept is None or now_s - kept.read_s > KEPT_S:
            status, body = await self._calls.get(issuer.rstrip("/") + DISCOVERY, _JSON)
            kept = _read_metadata(issuer, _object(issuer, status, body, "its discovery document"), now_s)
            _keep(self._metadata, issuer, kept)
        return kept

    async def _verified(self, issuer: str, jwks_uri: str, token: str) -> Claims:
        """With the keys that we know; and if the token's is not among them, with those that are there now."""
        now_s = self._clock.monotonic_s()
        kept = self._keys.get(jwks_uri)
        if kept is None or now_s - kept.read_s > KEPT_S:
            kept = await self._read_keys(issuer, jwks_uri, again_s=-math.inf)
        try:
            return read_token(token, kept.keys)
        except UnknownKey:
            if now_s - kept.again_s > KEYS_AGAIN_S:
                kept = await self._read_keys(issuer, jwks_uri, again_s=now_s)
        try:
            return read_token(token, kept.keys)
        except UnknownKey:
            raise NotAuthenticated(
                "Your identity provider sent a token that is signed with none of the keys that it publishes.",
                code="openid_token_invalid",
            ) from None

    async def _read_keys(self, issuer: str, jwks_uri: str, *, again_s: float) -> _Keys:
        status, body = await self._calls.get(jwks_uri, _JSON)
        try:
            keys = read_keys(body) if status == HTTPStatus.OK else None
        except (ValueError, RecursionError):
            keys = None
        if keys is None:
            raise _broke(issuer, "its keys cannot be read")
        kept = _Keys(keys, self._clock.monotonic_s(), again_s)
        _keep(self._keys, jwks_uri, kept)
        return kept


def _read_metadata(issuer: str, document: Mapping[str, Any], now_s: float) -> _Metadata:
    """Raises Unavailable for a document that is another issuer's, or lacks what the code flow needs."""
    if document.get("issuer") != issuer:
        raise _broke(issuer, f"it calls itself {str(document.get('issuer'))[:200]!r}; write the issuer exactly so")
    authorization, token, keys = (
        str(document.get(name, "")) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    )
    if not all(_is_web(endpoint) for endpoint in (authorization, token, keys)):
        raise _broke(issuer, "its discovery document names no endpoints for the code flow")
    more = document.get("userinfo_endpoint")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    in_body = isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
    return _Metadata(authorization, token, keys, more if isinstance(more, str) else "", in_body, now_s)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.fragment and url.isprintable()


def _basic(client_id: str, secret: Secret) -> str:
    """Both parts are encoded as in a form first (RFC 6749, section 2.3.1)."""
    pair = f"{quote(client_id, safe='')}:{quote(secret.reveal(), safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _tokens(issuer: str, status: int, body: bytes) -> dict[str, str]:
    """What the token endpoint gave. Raises NotAuthenticated for a code that it does not take, Unavailable."""
    answer = _object(issuer, HTTPStatus.OK if status == HTTPStatus.BAD_REQUEST else status, body, "its answer")
    error = answer.get("error")
    if error == "invalid_grant":
        raise NotAuthenticated(
            "Your identity provider does not accept this sign-in any more. Begin again.", code="openid_token_invalid"
        )
    if status != HTTPStatus.OK or error is not None:
        raise _broke(issuer, "it refuses our request; its client id, client secret and redirect address must be right")
    token, access = answer.get("id_token"), answer.get("access_token", "")
    if not isinstance(token, str) or not isinstance(access, str) or not access.isascii() or not access.isprintable():
        raise _broke(issuer, "it sends no ID token")
    return {"id_token": token, "access_token": access}


def _object(issuer: str, status: int, body: bytes, what: str) -> dict[str, Any]:
    """One JSON object. Raises Unavailable."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status != HTTPStatus.OK or not isinstance(document, dict):
        raise _broke(issuer, f"{what} cannot be read (status {status})")
    return document


def _broke(issuer: str, why: str) -> Unavailable:
    return Unavailable(f"The identity provider {issuer} cannot be used: {why}.", code="openid_provider_failed")


def _keep(kept: dict[str, Any], name: str, value: object) -> None:
    """The oldest makes room."""
    kept.pop(name, None)
    if len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[name] = value
