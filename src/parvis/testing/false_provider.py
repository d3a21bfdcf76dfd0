"""An OpenID Connect provider that says what a test wants it to: first the truth, then one lie after another.

with FalseProvider(certificate, "parvis") as provider:
    provider.claims = {"aud": "somebody else"}      # instead of what would be right
    provider.sign = unsigned                        # instead of its own key
"""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc.jwk import RSAKey
from joserfc.jwt import encode

Json = dict[str, Any]
PERSON: Json = {"sub": "eve", "email": "eve@evil.example", "email_verified": True, "name": "Eve", "groups": []}
TOKEN_S = 300


class FalseProvider:
    """One person is always signed in there: `PERSON`, as `claims` say otherwise."""

    def __init__(self, certificate: tuple[Path, Path], client_id: str, port: int = 0) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "true", "use": "sig"})
        self.claims: Mapping[str, Any] = {}
        """What its tokens say instead; None leaves a claim out."""
        self.sign: Callable[[FalseProvider, Json], str] = signed
        self.user_info: Json = PERSON
        self.callback: Mapping[str, str] = {}
        """What its redirect says instead."""
        self.authority: Path | None = None
        """Who signed its certificate, for whoever wants to know."""
        self._client_id = client_id
        self._nonces: dict[str, str] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.issuer = f"https://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def honest(self) -> None:
        """Say the truth again."""
        self.claims, self.sign, self.user_info, self.callback = {}, signed, PERSON, {}

    def token(self, code: str) -> str:
        """The ID token for a code."""
        now = int(time.time())
        right = {
            **PERSON,
            "iss": self.issuer,
            "aud": self._client_id,
            "iat": now,
            "exp": now + TOKEN_S,
            "nonce": self._nonces[code],
        }
        said = {**right, **self.claims}
        return self.sign(self, {name: value for name, value in said.items() if value is not None})

    def answer(self, path: str, query: Mapping[str, list[str]], form: Mapping[str, list[str]]) -> tuple[str, Json]:
        """Where to send the browser, or a document."""
        if path == "/authorize":
            code = f"code-{len(self._nonces)}"
            self._nonces[code] = query["nonce"][0]
            shown = {"code": code, "state": query["state"][0], "iss": self.issuer, **self.callback}
            return f"{query['redirect_uri'][0]}?{urlencode(shown)}", {}
        if path == "/token":
            return "", {"access_token": "access", "token_type": "Bearer", "id_token": self.token(form["code"][0])}
        if path == "/keys":
            return "", {"keys": [self.key.as_dict(private=False)]}
        if path == "/me":
            return "", self.user_info
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        endpoints = {name: f"{self.issuer}/{place}" for name, place in {**names, "userinfo_endpoint": "me"}.items()}
        return "", {"issuer": self.issuer, **endpoints}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))

            def _answer(self, form: Mapping[str, list[str]]) -> None:
                parts = urlsplit(self.path)
                place, document = provider.answer(parts.path, parse_qs(parts.query), form)
                body = json.dumps(document).encode()
                self.send_response(302 if place else 200)
                if place:
                    self.send_header("location", place)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """It is quiet."""

        return Handler


def signed(provider: FalseProvider, claims: Json) -> str:
    """As it should be."""
    return encode({"alg": "RS256", "kid": "true"}, claims, provider.key)


def unsigned(_: FalseProvider, claims: Json) -> str:
    """`alg: none`."""
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def signed_by_secret(_: FalseProvider, claims: Json) -> str:
    """HS256 with the client secret, which both sides know."""
    return _hmac({"alg": "HS256"}, claims, b"secret of the client")


def signed_by_public_key(provider: FalseProvider, claims: Json) -> str:
    """HS256 with the public key, which everybody knows."""
    return _hmac({"alg": "HS256", "kid": "true"}, claims, provider.key.as_pem(private=False))


def signed_by_stranger(_: FalseProvider, claims: Json) -> str:
    """By another key that is called like the right one."""
    return encode({"alg": "RS256", "kid": "true"}, claims, RSAKey.generate_key(2048))


def signed_by_own_key(_: FalseProvider, claims: Json) -> str:
    """By a key that the token brings along."""
    key = RSAKey.generate_key(2048, {"kid": "mine"})
    return encode({"alg": "RS256", "kid": "mine", "jwk": key.as_dict(private=False)}, claims, key)


def tampered(provider: FalseProvider, claims: Json) -> str:
    """With other claims than were signed."""
    head, _, signature = signed(provider, claims).split(".")
    return f"{head}.{_part({**claims, 'sub': 'somebody else'})}.{signature}"


def _hmac(head: Json, claims: Json, key: bytes) -> str:
    text = f"{_part(head)}.{_part(claims)}"
    return f"{text}.{_encoded(hmac.digest(key, text.encode(), hashlib.sha256))}"


def _part(document: Json) -> str:
    return _encoded(json.dumps(document).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
