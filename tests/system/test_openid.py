"""Signing in by OpenID Connect as a browser does it: at a real provider, and at one that lies."""

import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pyotp
import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.testing import false_provider
from parvis.testing.false_provider import FalseProvider
from parvis.testing.openid_provider import OpenIdProvider, install
from parvis.testing.service import Service, free_port, service

ROOT = Path(__file__).parents[2]
SECRET = "secret of the client"
CLIENT = {"client_id": "parvis", "client_secret": SECRET}
ENGINE = "[engines.fake]\nkind = 'vllm'\nmodel = 'fake-8b'\naddresses = ['http://127.0.0.1:1']\n"
SCOPES = ["openid", "email", "profile", "groups"]
PHRASE = "a long and winding phrase"
Json = dict[str, Any]


@dataclass
class Stage:
    """A service, a provider that is real and one that lies, and an organisation for each."""

    running: Service
    provider: OpenIdProvider
    liar: FalseProvider
    trusted: ssl.SSLContext

    @property
    def console(self) -> str:
        return f"http://localhost:{self.running.environ['PARVIS_CONSOLE__LISTEN'].rpartition(':')[2]}"

    def browser(self, language: str = "en") -> "Browser":
        return Browser(self.console, self.trusted, language)

    def operator(self, method: str, path: str, body: Json | None = None, status: int = 200) -> Json:
        answer = self.running.operator.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        shown: Json = answer.json()
        return shown

    def rules(self, organisation: str, **more: Any) -> Json:
        issuer = self.provider.issuer if organisation == "acme" else self.liar.issuer
        rules = {"issuer": issuer, "client_id": "parvis", "scopes": SCOPES, **more}
        return self.operator("PUT", f"/v1/organisations/{organisation}/sign_in", rules)

    def user(self, organisation: str, email: str) -> Json | None:
        users = self.operator("GET", f"/v1/organisations/{organisation}/users")["data"]
        return next((user for user in users if user["email"] == email), None)

    def roles(self, organisation: str, email: str) -> set[tuple[str, str, str]]:
        """(role, tenant, by whom)."""
        user = self.user(organisation, email)
        assert user is not None
        grants = self.operator("GET", f"/v1/users/{user['id']}/grants")["data"]
        return {(one["role"], one["tenant_id"], one["granted_by"].partition(" ")[0]) for one in grants}


class Browser:
    """Follows redirects and fills in the forms of the provider; has cookies, and shows pages to somebody."""

    def __init__(self, console: str, trusted: ssl.SSLContext, language: str) -> None:
        headers = {"accept": "text/html", "accept-language": language}
        self.http = httpx.Client(verify=trusted, headers=headers, trust_env=False, timeout=30)
        self.console = console
        self.callback = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def sign_in(self, organisation: str, name: str = "") -> httpx.Response:
        """From our sign-in to the answer that our callback gives."""
        return self.follow(self.http.get(f"{self.console}/v1/sign-in/openid/{organisation}"), name)

    def follow(self, answer: httpx.Response, name: str = "") -> httpx.Response:
        for _ in range(20):
            if answer.is_redirect:
                place = urljoin(str(answer.url), answer.headers["location"])
                self.callback = place if "/callback" in place else self.callback
                answer = self.http.get(place)
            elif str(answer.url).startswith(self.console) or "<form" not in answer.text:
                return answer
            else:
                answer = self._submit(answer, name)
        raise AssertionError("redirected for ever")

    def _submit(self, page: httpx.Response, name: str) -> httpx.Response:
        action = re.search('<form[^>]* action="([^"]+)"', page.text)
        assert action is not None
        prompt = "login" if 'name="login"' in page.text else "consent"
        form = {"prompt": prompt} | ({"login": name, "password": "any"} if prompt == "login" else {})
        return self.http.post(urljoin(str(page.url), unescape(action[1])), data=form)

    def json(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        """A call of our own page."""
        headers = {"origin": self.console, "content-type": "application/json", "accept": "application/json"}
        return self.http.request(method, f"{self.console}{path}", headers=headers, json=body or {})

    def session(self) -> Json:
        shown: Json = self.json("GET", "/v1/session").json()
        return shown


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("openid")
    authority = new_authority("openid", datetime.now(UTC))
    signed = sign_server(authority, server_names(["localhost"]), datetime.now(UTC), 1)
    (folder / "ca.pem").write_bytes(authority.certificate_pem())
    (folder / "key.pem").write_bytes(signed.key_pem())
    (folder / "cert.pem").write_bytes(signed.certificate_pem())
    certificate = folder / "cert.pem", folder / "key.pem"
    installed = install(ROOT / "tests" / "openid" / "provider", ROOT / ".venv" / "openid-provider")
    port, console = free_port(), f"127.0.0.1:{free_port()}"
    back = f"http://localhost:{console.rpartition(':')[2]}/v1/sign-in/openid/callback"
    client = {**CLIENT, "redirect_uris": [back], "application_type": "native"}
    home = folder / "home"
    home.mkdir(0o700)
    with (
        OpenIdProvider(installed, certificate, client, port=port) as provider,
        FalseProvider(certificate, "parvis") as liar,
    ):
        hosts = [urlsplit(issuer).netloc for issuer in (provider.issuer, liar.issuer)]
        openid = f"[openid]\nprivate_hosts = {json.dumps(hosts)}\ntls_ca = '{folder / 'ca.pem'}'\n"
        (home / "parvis.toml").write_text(ENGINE + openid)
        with service(home, env={"PARVIS_CONSOLE__LISTEN": console}) as running:
            trusted = ssl.create_default_context(cafile=folder / "ca.pem")
            yield furnished(Stage(running, provider, liar, trusted))


def furnished(stage: Stage) -> Stage:
    """Two organisations: people of one come by the real provider, of the other by the false one."""
    for name in ("acme", "evil"):
        stage.operator("POST", "/v1/organisations", {"name": name, "organisation_id": name}, 201)
        stage.operator("POST", f"/v1/organisations/{name}/tenants", {"name": name, "tenant_id": f"{name}-1"}, 201)
    mappings = [{"value": "dev", "role": "developer", "tenant_id": "acme-1"}, {"value": "all", "role": "member"}]
    stage.rules("acme", client_secret=SECRET, mappings=mappings, domains=["acme.example"])
    stage.rules("evil", client_secret=SECRET, domains=["evil.example"])
    stage.provider.accounts = {
        name: {"email": f"{name}@{domain}", "email_verified": verified, "name": name.title(), "groups": groups}
        for name, domain, verified, groups in (
            ("ann", "acme.example", True, ["dev", "all", "strange"]),
            ("ben", "other.example", True, []),
            ("cyd", "other.example", True, ["all"]),
            ("dan", "acme.example", False, []),
            ("eva", "acme.example", True, []),
        )
    }
    return stage


@pytest.fixture
def liar(stage: Stage) -> Iterator[FalseProvider]:
    stage.liar.honest()
    yield stage.liar
    stage.liar.honest()


def code_of(page: httpx.Response) -> str:
    """What a page of refusal says to the operator."""
    found = re.search("<code>([a-z_]+)</code>", page.text)
    assert found is not None, page.text
    return found[1]


# --------------------------------------------------------------------------------------------- the whole way


def test_somebody_signs_in_and_their_rights_follow_their_groups(stage: Stage) -> None:
    with stage.browser() as ann:
        arrived = ann.sign_in("acme", "ann")
        assert (arrived.status_code, 'content="0; url=/"' in arrived.text) == (200, True)
        session = ann.session()
        assert (session["means"], session["must"], session["user"]["email"]) == (
            "openid",
            "must_enrol",
            "ann@acme.example",
        )
        assert stage.roles("acme", "ann@acme.example") == {
            ("developer", "acme-1", "openid"),
            ("member", "", "openid"),
        }
        assert ann.json("GET", "/v1/tenants").status_code == 403
        begun = ann.json("POST", "/v1/profile/factors/totp/begin").json()
        seed = parse_qs(urlsplit(begun["uri"]).query)["secret"][0]
        app = pyotp.TOTP(seed)
        body = {"challenge_id": begun["id"], "code": app.now()}
        assert ann.json("POST", "/v1/profile/factors/totp", body).status_code == 201
        assert ann.session()["must"] is None
        assert [one["id"] for one in ann.json("GET", "/v1/tenants").json()["data"]] == ["acme-1"]
    user = stage.user("acme", "ann@acme.example")
    assert user is not None
    stage.operator("POST", f"/v1/users/{user['id']}/grants", {"role": "billing_reader"}, 201)
    stage.provider.accounts |= {
        "ann": {**stage.provider.accounts["ann"], "groups": ["all"], "email": "ann@new.example"}
    }
    with stage.browser() as ann:
        ann.sign_in("acme", "ann")
        assert ann.session()["must"] == "second_factor"
        assert stage.roles("acme", "ann@acme.example") == {("member", "", "openid"), ("billing_reader", "", "operator")}


# ----------------------------------------------------------------------------------------------- who is let in


def test_who_is_not_invited_is_told_so_in_their_language(stage: Stage) -> None:
    with stage.browser("fr") as ben:
        refused = ben.sign_in("acme", "ben")
        assert (refused.status_code, code_of(refused)) == (403, "openid_not_invited")
        assert refused.headers["content-type"].startswith("text/html")
        assert '<html lang="fr">' in refused.text
        assert "invit\u00e9" in refused.text
        assert ben.json("GET", "/v1/session").status_code == 401
        refused = ben.follow(ben.http.get(f"{stage.console}/v1/sign-in/openid/nobody"))
        assert (refused.status_code, code_of(refused)) == (404, "openid_not_configured")
    assert stage.user("acme", "ben@other.example") is None


def test_who_is_invited_has_what_waited_for_them(stage: Stage) -> None:
    body = {"email": "Cyd@other.example", "roles": [{"role": "billing_reader", "tenant_id": "acme-1"}]}
    stage.operator("POST", "/v1/organisations/acme/invitations", body, 201)
    with stage.browser() as cyd:
        assert cyd.sign_in("acme", "cyd").status_code == 200
    wanted = {("billing_reader", "acme-1", "operator"), ("member", "", "openid")}
    assert stage.roles("acme", "Cyd@other.example") == wanted


def test_an_address_that_is_not_verified_is_nobodys(stage: Stage) -> None:
    with stage.browser() as dan:
        refused = dan.sign_in("acme", "dan")
        assert (refused.status_code, code_of(refused)) == (403, "openid_email_unverified")


def test_who_is_suspended_stays_outside(stage: Stage) -> None:
    with stage.browser() as eva:
        assert eva.sign_in("acme", "eva").status_code == 200
        user = eva.session()["user"]["id"]
        stage.operator("POST", f"/v1/users/{user}/suspend")
        assert eva.json("GET", "/v1/session").status_code == 401
        assert eva.sign_in("acme", "eva").status_code == 401
        stage.operator("POST", f"/v1/users/{user}/resume")
        assert eva.sign_in("acme", "eva").status_code == 200


def test_an_address_that_became_another_persons_opens_nothing(stage: Stage) -> None:
    accounts = stage.provider.accounts
    stage.provider.accounts = {**accounts, "eva2": accounts["eva"]}
    with stage.browser() as eva, stage.browser() as other:
        assert eva.sign_in("acme", "eva").status_code == 200
        refused = other.sign_in("acme", "eva2")
        assert (refused.status_code, code_of(refused)) == (403, "openid_linked_otherwise")
        user = eva.session()["user"]["id"]
        stage.operator("DELETE", f"/v1/organisations/acme/sign_in/links/{user}")
        assert other.sign_in("acme", "eva2").status_code == 200
        assert other.session()["user"]["id"] == user
        stage.operator("DELETE", f"/v1/organisations/acme/sign_in/links/{user}")


# ------------------------------------------------------------------------------------------------ what is forged


def test_a_way_back_is_good_once_and_in_one_browser(stage: Stage, liar: FalseProvider) -> None:
    with stage.browser() as eve, stage.browser() as victim:
        assert eve.sign_in("evil").status_code == 200
        again = eve.http.get(eve.callback)
        assert (again.status_code, code_of(again)) == (401, "openid_visit_over")
        begun = eve.http.get(f"{stage.console}/v1/sign-in/openid/evil")
        back = eve.http.get(begun.headers["location"]).headers["location"]
        stolen = victim.http.get(back)
        assert (stolen.status_code, code_of(stolen)) == (401, "openid_visit_over")
        assert victim.json("GET", "/v1/session").status_code == 401
        program = httpx.get(back, trust_env=False)
        assert (program.status_code, program.json()["error"]["code"]) == (401, "openid_visit_over")


LIES: dict[str, Json] = {
    "no signature": {"sign": false_provider.unsigned},
    "HS256 by the client secret": {"sign": false_provider.signed_by_secret},
    "HS256 by the public key": {"sign": false_provider.signed_by_public_key},
    "by another key of this name": {"sign": false_provider.signed_by_stranger},
    "by a key that it brings along": {"sign": false_provider.signed_by_own_key},
    "changed afterwards": {"sign": false_provider.tampered},
    "another client's": {"claims": {"aud": "another client"}},
    "another nonce": {"claims": {"nonce": "another nonce"}},
    "no nonce": {"claims": {"nonce": None}},
    "another issuer's": {"claims": {"iss": "https://login.acme.example"}},
    "over": {"claims": {"exp": 1_000_000_000}},
    "old": {"claims": {"iat": 1_000_000_000}},
    "of nobody": {"claims": {"sub": None}},
}


@pytest.mark.parametrize("name", LIES)
def test_a_token_that_proves_nothing_opens_nothing(stage: Stage, liar: FalseProvider, name: str) -> None:
    for part, said in LIES[name].items():
        setattr(liar, part, said)
    with stage.browser() as eve:
        refused = eve.sign_in("evil")
        assert (refused.status_code, code_of(refused)) == (401, "openid_token_invalid")
        assert eve.json("GET", "/v1/session").status_code == 401
        liar.honest()
        assert eve.sign_in("evil").status_code == 200


def test_user_info_of_somebody_else_opens_nothing(stage: Stage, liar: FalseProvider) -> None:
    liar.claims = {"email": None}
    liar.user_info = {**false_provider.PERSON, "sub": "somebody else"}
    with stage.browser() as eve:
        assert code_of(eve.sign_in("evil")) == "openid_token_invalid"
        liar.user_info = false_provider.PERSON
        assert eve.sign_in("evil").status_code == 200


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"state": "another"}, "openid_visit_over"),
        ({"iss": "https://login.acme.example"}, "openid_visit_over"),
        ({"error": "<script>alert(1)</script>"}, "openid_denied"),
        ({"code": ""}, "openid_denied"),
    ],
)
def test_a_strange_way_back_is_refused(stage: Stage, liar: FalseProvider, said: Json, code: str) -> None:
    liar.callback = said
    with stage.browser() as eve:
        refused = eve.sign_in("evil")
        assert (refused.status_code, code_of(refused)) == (401, code)
        assert "<script>" not in refused.text


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "keys", ""])
def test_nobody_is_sent_elsewhere(stage: Stage, place: str) -> None:
    answer = httpx.get(
        f"{stage.console}/v1/sign-in/openid/acme", params={"return_to": place}, headers={"accept": "text/html"}
    )
    assert answer.status_code == 400


def test_one_organisation_is_not_anothers(stage: Stage, liar: FalseProvider) -> None:
    """Whose provider says that they are somebody of elsewhere is nobody there."""
    liar.claims = {"email": "eva@acme.example", "sub": "eva"}
    with stage.browser() as eve:
        assert code_of(eve.sign_in("evil")) == "openid_not_invited"


# ------------------------------------------------------------------------------------------------ second factors


def test_a_provider_vouches_when_it_may(stage: Stage, liar: FalseProvider) -> None:
    liar.claims = {"amr": ["pwd", "otp"]}
    with stage.browser() as eve:
        eve.sign_in("evil")
        assert eve.session()["must"] == "must_enrol"
        stage.rules("evil", domains=["evil.example"], vouches_for_factor=True)
        eve.sign_in("evil")
        assert eve.session()["must"] is None
        liar.claims = {"amr": ["pwd"]}
        eve.sign_in("evil")
        assert eve.session()["must"] == "must_enrol"
    stage.rules("evil", domains=["evil.example"])


# ------------------------------------------------------------------------------------------------------ settings


def test_keys_that_are_new_are_fetched(stage: Stage) -> None:
    stage.provider.restart()
    with stage.browser() as eva:
        assert eva.sign_in("acme", "eva").status_code == 200


def test_a_provider_must_be_listed_and_be_what_it_says(stage: Stage) -> None:
    path = "/v1/organisations/evil/sign_in"
    strange = stage.operator("PUT", path, {"issuer": "https://login.example", "client_id": "parvis"}, 400)
    assert strange["error"]["code"] == "host_not_listed"
    other = f"{stage.liar.issuer}/other"
    strange = stage.operator("PUT", path, {"issuer": other, "client_id": "parvis"}, 503)
    assert (strange["error"]["code"], stage.liar.issuer in strange["error"]["message"]) == (
        "openid_provider_failed",
        True,
    )
    assert stage.operator("GET", path)["issuer"] == stage.liar.issuer


def test_the_secret_is_shown_to_nobody(stage: Stage) -> None:
    for organisation in ("acme", "evil"):
        shown = stage.operator("GET", f"/v1/organisations/{organisation}/sign_in")
        assert SECRET not in json.dumps(shown)
    kept = b"".join(path.read_bytes() for path in stage.running.home.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
    assert b"openid_providers" in kept


def test_an_organisation_can_close_every_other_way(stage: Stage) -> None:
    for name, role in (("olga", "organisation_owner"), ("paul", "member")):
        body = {"email": f"{name}@acme.example", "roles": [{"role": role}]}
        link = stage.operator("POST", "/v1/organisations/acme/invitations", body, 201)["link"]
        form = {"token": link, "name": name, "password": PHRASE}
        with stage.browser() as page:
            assert page.json("POST", "/v1/invitations/accept", form).status_code == 201
    before = stage.operator("GET", "/v1/organisations/acme/sign_in")
    rules = {name: before[name] for name in ("mappings", "domains")}
    with stage.browser() as olga, stage.browser() as paul:
        assert by_password(paul, "paul").status_code == 201
        stage.rules("acme", **rules, required=True)
        refused = by_password(paul, "paul")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "openid_required")
        assert by_password(olga, "olga").status_code == 201
        assert by_password(paul, "paul", "something else entirely").status_code == 401
    stage.rules("acme", **rules)


def by_password(page: Browser, name: str, password: str = PHRASE) -> httpx.Response:
    return page.json("POST", "/v1/session", {"email": f"{name}@acme.example", "password": password})


def test_without_its_provider_nobody_of_it_stays(stage: Stage, liar: FalseProvider) -> None:
    stage.rules("evil", domains=["evil.example"], mappings=[{"value": "all", "role": "member"}])
    liar.claims = {"groups": ["all"]}
    with stage.browser() as eve:
        eve.sign_in("evil")
        assert stage.roles("evil", "eve@evil.example") == {("member", "", "openid")}
        stage.operator("DELETE", "/v1/organisations/evil/sign_in")
        assert eve.json("GET", "/v1/session").status_code == 401
        assert stage.roles("evil", "eve@evil.example") == set()
        assert code_of(eve.sign_in("evil")) == "openid_not_configured"
    stage.rules("evil", client_secret=SECRET, domains=["evil.example"])


def test_what_happened_stands_in_the_record(stage: Stage) -> None:
    lines = stage.operator("GET", "/v1/audit_logs?limit=1000")["data"]
    actions = {line.get("action") or line.get("type") for line in lines}
    assert {"sign_in.updated", "login.succeeded", "login.failed", "role.assignment.created"} <= actions
