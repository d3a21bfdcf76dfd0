"""What a provider says of itself, its keys and its tokens: read strictly, kept for a while, and asked for seldom."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jwt import encode

from parvis.adapters.openid.client import KEPT_S, KEYS_AGAIN_S, OpenIdClient
from parvis.adapters.openid.signatures import UnknownKey, read_keys, read_token
from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.domain.identity.openid import Provider
from parvis.flows.openid_ports import IdentityProviders

ISSUER = "https://login.example"
ACME = Provider("acme", ISSUER, "a client:ü")
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
Json = dict[str, Any]


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def unix_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


class Web:
    """Stands for the network, which is not ours: answers by address, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {
            "/.well-known/openid-configuration": (200, METADATA),
            "/keys": (200, {"keys": [RSA.as_dict(private=False)]}),
            "/token": (200, {"id_token": token(RSA, "RS256", "one"), "access_token": "access"}),
            "/me": (200, {"sub": "ann"}),
        }
        self.asked: list[str] = []
        self.sent: list[tuple[bytes, Mapping[str, str]]] = []

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        return await self.post(url, b"", headers)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        path = url.removeprefix(ISSUER)
        self.asked.append(path)
        self.sent.append((body, headers or {}))
        status, said = self.answers[path]
        return status, said if isinstance(said, bytes) else json.dumps(said).encode()

    def count(self, path: str) -> int:
        return self.asked.count(path)


METADATA: Json = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "userinfo_endpoint": f"{ISSUER}/me",
}


def token(key: Key, algorithm: str, kid: str = "", claims: Json | None = None) -> str:
    head = {"alg": algorithm} | ({"kid": kid} if kid else {})
    return encode(head, claims or {"sub": "ann"}, key, algorithms=[algorithm])


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(web: Web, clock: Clock) -> OpenIdClient:
    return OpenIdClient(web, clock)


async def redeem(client: OpenIdClient, shown: str = "s:ü") -> Mapping[str, Any]:
    claims, access = await client.redeem(ACME, Secret(shown), Secret("code"), Secret("verifier"), "https://here/back")
    assert access.reveal() == "access"
    return claims


def test_the_client_is_the_port(client: OpenIdClient) -> None:
    _: IdentityProviders = client


# ----------------------------------------------------------------------------------------------------- signatures


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSA),
        ("PS256", RSAKey.generate_key(2048)),
        ("ES256", ECKey.generate_key("P-256")),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
    ],
)
def test_good_signatures_are_taken(algorithm: str, key: Key) -> None:
    keys = read_keys(json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    assert read_token(token(key, algorithm), keys)["sub"] == "ann"
    kept = token(key, algorithm).split(".")
    with pytest.raises(NotAuthenticated):
        read_token(f"{kept[0]}.{kept[1]}x.{kept[2]}", keys)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("HS256", OctKey.generate_key(256)),
        ("RS384", RSA),
        ("RS512", RSA),
        ("ES384", ECKey.generate_key("P-384")),
        ("ES256", RSA),
    ],
)
def test_other_algorithms_are_refused(algorithm: str, key: Key) -> None:
    other = ECKey.generate_key("P-256") if algorithm == "ES256" else key
    keys = read_keys(json.dumps({"keys": [RSA.as_dict(private=False), key.as_dict(private=False)]}).encode())
    with pytest.raises((NotAuthenticated, UnknownKey)):
        read_token(token(other, algorithm, "one"), keys)


@pytest.mark.filterwarnings("ignore:Key size")
def test_weak_and_strange_keys_are_passed_over() -> None:
    public = RSA.as_dict(private=False)
    strange: list[object] = [
        OctKey.generate_key(256).as_dict(),
        RSAKey.generate_key(1024).as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=False),
        {**public, "use": "enc"},
        {**public, "n": 7},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        "key",
        None,
    ]
    assert list(read_keys(json.dumps({"keys": strange}).encode())) == []
    assert len(list(read_keys(json.dumps({"keys": [*strange, public]}).encode()))) == 1
    for body in (b"", b"[]", b"{}", b'{"keys": {}}', b"\xff"):
        with pytest.raises(ValueError, match=r".*"):
            read_keys(body)


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "....", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "é.é.é", "\x00"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    keys = read_keys(json.dumps({"keys": [RSA.as_dict(private=False)]}).encode())
    with pytest.raises(NotAuthenticated):
        read_token(text, keys)


def test_another_kind_of_token_is_refused() -> None:
    keys = read_keys(json.dumps({"keys": [RSA.as_dict(private=False)]}).encode())
    with pytest.raises(NotAuthenticated):
        read_token(encode({"alg": "RS256", "kid": "one", "typ": "at+jwt"}, {"sub": "ann"}, RSA), keys)


def test_of_several_keys_the_token_must_name_one() -> None:
    both = [RSA.as_dict(private=False), RSAKey.generate_key(2048, {"kid": "two"}).as_dict(private=False)]
    with pytest.raises(UnknownKey):
        read_token(token(RSA, "RS256"), read_keys(json.dumps({"keys": both}).encode()))


# ------------------------------------------------------------------------------------------------------- calls


async def test_a_code_is_redeemed_and_what_was_read_is_kept(client: OpenIdClient, web: Web, clock: Clock) -> None:
    assert await client.authorization_endpoint(ISSUER) == f"{ISSUER}/authorize?tenant=1"
    assert (await redeem(client))["sub"] == "ann"
    await redeem(client)
    assert (web.count("/.well-known/openid-configuration"), web.count("/keys"), web.count("/token")) == (1, 1, 2)
    form, headers = web.sent[web.asked.index("/token")]
    assert b"code_verifier=verifier" in form
    assert b"secret" not in form
    assert headers["authorization"] == "Basic YSUyMGNsaWVudCUzQSVDMyVCQzpzJTNBJUMzJUJD"
    clock.now_s += KEPT_S + 1
    await redeem(client)
    assert (web.count("/.well-known/openid-configuration"), web.count("/keys")) == (2, 2)


async def test_a_secret_goes_where_the_provider_takes_it(client: OpenIdClient, web: Web) -> None:
    methods = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    web.answers["/.well-known/openid-configuration"] = 200, METADATA | methods
    await redeem(client, "s")
    form, headers = web.sent[web.asked.index("/token")]
    assert b"client_secret=s" in form
    assert "authorization" not in headers


async def test_without_a_secret_the_client_is_public(client: OpenIdClient, web: Web) -> None:
    await redeem(client, "")
    form, headers = web.sent[web.asked.index("/token")]
    assert b"client_id=a+client" in form
    assert "authorization" not in headers


async def test_a_key_that_nobody_knows_is_looked_for_once_a_minute(
    client: OpenIdClient, web: Web, clock: Clock
) -> None:
    await redeem(client)
    for number in range(3):
        fresh = RSAKey.generate_key(2048, {"kid": f"new {number}"})
        web.answers["/token"] = 200, {"id_token": token(fresh, "RS256", f"new {number}"), "access_token": "access"}
        web.answers["/keys"] = 200, {"keys": [fresh.as_dict(private=False)]}
        if number == 1:
            for _ in range(5):
                with pytest.raises(NotAuthenticated):
                    await redeem(client)
            assert web.count("/keys") == 2
            clock.now_s += KEYS_AGAIN_S + 1
        await redeem(client) if number < 2 else None
    assert web.count("/keys") == 3


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", (404, {})),
        ("/.well-known/openid-configuration", (200, b"<html>")),
        ("/.well-known/openid-configuration", (200, b"[" * 100_000)),
        ("/.well-known/openid-configuration", (200, {**METADATA, "issuer": f"{ISSUER}/"})),
        ("/.well-known/openid-configuration", (200, {**METADATA, "token_endpoint": 7})),
        ("/.well-known/openid-configuration", (200, {**METADATA, "authorization_endpoint": "javascript:alert(1)"})),
        ("/.well-known/openid-configuration", (200, {**METADATA, "authorization_endpoint": f"{ISSUER}/#x"})),
        ("/keys", (500, {"keys": []})),
        ("/keys", (200, b"{}")),
        ("/keys", (200, b"[" * 100_000)),
        ("/token", (401, {"error": "invalid_client"})),
        ("/token", (400, {"error": "invalid_client"})),
        ("/token", (200, {"access_token": "a"})),
        ("/token", (200, {"id_token": 1})),
        ("/token", (200, {"id_token": "a.b.c", "access_token": "a\r\nb: c"})),
        ("/token", (302, b"")),
    ],
)
async def test_a_provider_that_fails_is_named(
    client: OpenIdClient, web: Web, path: str, answer: tuple[int, object]
) -> None:
    web.answers[path] = answer
    with pytest.raises(Unavailable) as failed:
        await redeem(client)
    assert failed.value.code == "openid_provider_failed"
    assert ISSUER in str(failed.value)


async def test_a_code_that_was_used_is_the_persons_trouble(client: OpenIdClient, web: Web) -> None:
    web.answers["/token"] = 400, {"error": "invalid_grant"}
    with pytest.raises(NotAuthenticated):
        await redeem(client)


async def test_user_info_is_asked_for_with_the_access_token(client: OpenIdClient, web: Web) -> None:
    assert await client.user_info(ISSUER, Secret("access")) == {"sub": "ann"}
    assert web.sent[-1][1]["authorization"] == "Bearer access"
    assert await client.user_info(ISSUER, Secret("")) == {}
    web.answers["/me"] = 200, b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA"
    with pytest.raises(Unavailable):
        await client.user_info(ISSUER, Secret("access"))
