"""The way to an identity provider over a real console listener: whose cookie it is, and to which name it is bound."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.openid.client import OpenIdClient
from parvis.adapters.outbound.client import OutboundClient
from parvis.api.console.app import make_app
from parvis.api.operator.app import make_app as make_operator
from parvis.domain.identity.openid import Provider
from parvis.domain.identity.site import Site
from parvis.flows.openid_settings import OpenIdHouse
from parvis.testing.false_provider import FalseProvider

SITE = Site("127.0.0.1", ("other.example.eu",), "https://console.example.eu")
BEGIN = "/v1/sign-in/openid/acme"
CALLBACK = "/v1/sign-in/openid/callback"


@pytest.fixture
async def openid(premises: Any, tmp_path: Path) -> AsyncIterator[OpenIdHouse]:
    """An organisation, `acme`, whose people come by a provider over TLS."""
    now = datetime.now(UTC)
    authority = new_authority("api", now)
    signed = sign_server(authority, server_names(["localhost"]), now, 1)
    for name, data in (
        ("ca", authority.certificate_pem()),
        ("cert", signed.certificate_pem()),
        ("key", signed.key_pem()),
    ):
        (tmp_path / f"{name}.pem").write_bytes(data)
    with FalseProvider((tmp_path / "cert.pem", tmp_path / "key.pem"), "parvis") as liar:
        desk = premises.console_desk()
        outbound = OutboundClient([], [urlsplit(liar.issuer).netloc], str(tmp_path / "ca.pem"))
        await premises.store.create_organisation("acme", "Acme")
        await premises.store.put_provider(Provider("acme", liar.issuer, "parvis"), b"")
        yield OpenIdHouse(
            lobby=desk.lobby,
            providers=OpenIdClient(outbound, desk.clock),
            seal_key=lambda: b"k" * 32,
            public_url=SITE.public_url,
        )


@pytest.fixture
async def console(premises: Any, kit: Any, openid: OpenIdHouse) -> AsyncIterator[httpx.AsyncClient]:
    """A console whose browsers come over TLS, by its public name."""
    desk = replace(premises.console_desk(), site=SITE, openid=openid)
    async with kit.client_of(make_app(desk), "") as client:
        client.headers.update({"host": "console.example.eu", "accept": "text/html"})
        yield client


async def test_the_operator_sets_a_provider_and_is_shown_it(premises: Any, kit: Any, openid: OpenIdHouse) -> None:
    where = "/v1/organisations/acme/sign_in"
    async with kit.client_of(make_operator(replace(premises.operator_desk(), openid=openid)), kit.token) as client:
        before = (await client.get(where)).json()
        rule = {"value": "staff", "role": "developer", "tenant_id": "acme-a"}
        await premises.store.create_tenant("acme-a", "acme", "A", credit_unlimited=True)
        form = {"issuer": before["issuer"], "client_id": "parvis", "mappings": [rule]}
        put = await client.put(where, json=form)
        assert put.status_code == 200, put.text
        assert put.json() == {**before, "mappings": [rule]} == (await client.get(where)).json()


async def test_the_cookie_is_of_this_host_and_of_no_script(console: httpx.AsyncClient) -> None:
    begun = await console.get(BEGIN)
    assert begun.status_code == 303
    name, _, rest = begun.headers["set-cookie"].partition("=")
    parts = {part.strip().lower() for part in rest.split(";")[1:]}
    assert name == "__Host-parvis_openid"
    assert parts == {"httponly", "max-age=600", "path=/", "samesite=lax", "secure"}
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["redirect_uri"] == [f"https://console.example.eu{CALLBACK}"]
    assert begun.headers["strict-transport-security"] == "max-age=31536000"


async def test_who_comes_by_another_name_is_sent_to_the_public_one(console: httpx.AsyncClient) -> None:
    for host in ("other.example.eu", "127.0.0.1:1", "localhost"):
        moved = await console.get(f"{BEGIN}?return_to=/keys", headers={"host": host})
        assert (moved.status_code, "set-cookie" in moved.headers) == (303, False)
        assert moved.headers["location"] == f"https://console.example.eu{BEGIN}?return_to=/keys"
    assert (await console.get(BEGIN, headers={"host": "evil.example"})).status_code == 403


async def test_a_way_back_from_nowhere_takes_the_cookie_and_gives_none(console: httpx.AsyncClient) -> None:
    cookie = {"cookie": "__Host-parvis_openid=x"}
    for query in ("", "?state=x&code=y", "?state=x&code=y&session_state=z", "?error=access_denied&state=x"):
        page = await console.get(f"{CALLBACK}{query}", headers={**cookie, "accept-language": "fr"})
        assert page.status_code == 401
        assert page.headers["content-language"] == "fr"
        assert 'lang="fr"' in page.text
        assert page.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        [taken] = page.headers.get_list("set-cookie")
        assert taken.startswith('__Host-parvis_openid="";')
        assert "max-age=0" in taken.lower()


async def test_what_is_too_long_is_refused(console: httpx.AsyncClient) -> None:
    assert (await console.get(f"{CALLBACK}?state={'x' * 5000}")).status_code == 400
    assert (await console.get(f"{BEGIN}?return_to=/{'x' * 1000}")).status_code == 400
    assert (await console.get(f"{BEGIN}?back=/")).status_code == 400
