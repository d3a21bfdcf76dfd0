"""TLS of the console and of the operator's listener: 1.3 and nothing older, their names, a new certificate live."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from parvis.adapters.certificates.authority import Identity, new_authority, server_names, sign_server
from parvis.testing.service import NotStartedError, Service, free_port, service

LISTENERS = ("CONSOLE", "OPERATOR")
ELSEWHERE = {"fake": {"kind": "vllm", "model": "fake-8b", "addresses": ["http://127.0.0.1:1"]}}
NAMES = ["localhost", "127.0.0.1", "console.example.eu"]


@dataclass
class Papers:
    """An authority, and the certificate that it signed last."""

    folder: Path
    authority: Identity

    def renew(self) -> int:
        """Another certificate in the place of the last one; its serial number."""
        signed = sign_server(self.authority, server_names(NAMES), datetime.now(UTC), 1)
        (self.folder / "key.pem").write_bytes(signed.key_pem())
        (self.folder / "cert.pem").write_bytes(signed.certificate_pem() + self.authority.certificate_pem())
        return signed.certificate.serial_number

    def env(self, *listeners: str) -> dict[str, str]:
        files = {"CERT": "cert.pem", "KEY": "key.pem"}
        return {
            f"PARVIS_{name}__TLS_{part}": str(self.folder / file) for name in listeners for part, file in files.items()
        }

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "ca.pem")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    papers = Papers(tmp_path_factory.mktemp("papers"), new_authority("web tls", datetime.now(UTC)))
    (papers.folder / "ca.pem").write_bytes(papers.authority.certificate_pem())
    papers.renew()
    return papers


@pytest.fixture(scope="module")
def running(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("house") / "home"
    home.mkdir(0o700)
    engine = "[engines.fake]\nkind = 'vllm'\nmodel = 'fake-8b'\naddresses = ['http://127.0.0.1:1']\n"
    (home / "parvis.toml").write_text(f"{engine}[console]\nhosts = ['console.example.eu']\n")
    with service(home, env=papers.env(*LISTENERS)) as running:
        yield running


def address(running: Service, listener: str) -> str:
    return running.environ[f"PARVIS_{listener}__LISTEN"]


def spoken(where: str, *options: str) -> str:
    """What OpenSSL's client agrees on; empty when on nothing."""
    command = ["openssl", "s_client", "-connect", where, *options]
    seen = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    return next((line for line in seen.stdout.decode().splitlines() if line.startswith("New, TLS")), "")


def serial(where: str, papers: Papers, *, named: bool) -> int:
    """Of the certificate that a new handshake is shown, whether or not it names the host."""
    name = ("-servername", "localhost") if named else ("-noservername",)
    command = ["openssl", "s_client", "-connect", where, "-CAfile", str(papers.folder / "ca.pem"), *name]
    shown = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=True).stdout
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, timeout=30, check=True
    )
    return int(printed.stdout.decode().strip().partition("=")[2], 16)


@pytest.mark.parametrize("listener", LISTENERS)
def test_openssl_agrees_on_1_3_alone(running: Service, listener: str) -> None:
    where = address(running, listener)
    assert spoken(where, "-tls1_3").startswith("New, TLSv1.3")
    for old in ("-tls1", "-tls1_1", "-tls1_2"):
        assert spoken(where, old, "-cipher", "ALL:@SECLEVEL=0") == ""


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_answer_asks_to_be_called_over_tls(running: Service, papers: Papers, listener: str) -> None:
    port = address(running, listener).rpartition(":")[2]
    with httpx.Client(verify=papers.trusting(), trust_env=False) as client:
        for path in ("/v1/me", "/nowhere", "/livez"):
            answer = client.get(f"https://localhost:{port}{path}")
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_console_is_called_by_its_names_and_no_other(running: Service, papers: Papers) -> None:
    url = f"https://{address(running, 'CONSOLE')}/v1/me"
    with httpx.Client(verify=papers.trusting(), trust_env=False) as client:
        for host, status in (("console.example.eu", 401), ("Console.Example.EU:443", 401), ("evil.example", 403)):
            assert client.get(url, headers={"host": host}).status_code == status


def test_commands_speak_with_an_operator_that_has_tls(running: Service, papers: Papers, tmp_path: Path) -> None:
    assert running.command("status").returncode == 0
    checks = json.loads(running.command("doctor", "--json").stdout)["checks"]
    states = {check["what"]: check["state"] for check in checks}
    for listener in ("console", "operator"):
        assert states[f"served certificate of {listener}"] == "ok"
        assert states[f"port of {listener}"] == "ok"
    other = Papers(tmp_path, new_authority("another", datetime.now(UTC)))
    other.renew()
    before = running.environ
    running.environ = {**before, **other.env("OPERATOR")}
    try:
        assert running.command("status").returncode != 0
    finally:
        running.environ = before


def test_a_reload_swaps_the_certificate_of_both(running: Service, papers: Papers) -> None:
    with httpx.Client(verify=papers.trusting(), trust_env=False) as client:
        url = f"https://{address(running, 'CONSOLE')}/v1/me"
        client.get(url)
        wanted = papers.renew()
        done = running.command("reload", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"changed": [], "needs_take_over": []})
        for listener in LISTENERS:
            for named in (True, False):
                assert serial(address(running, listener), papers, named=named) == wanted
        peers = [client.get(url).extensions["network_stream"].get_extra_info("client_addr") for _ in range(2)]
        assert peers[0] == peers[1]
    (papers.folder / "key.pem").write_text("nonsense")
    done = running.command("reload")
    assert done.returncode == 1
    assert "console.tls_cert" in done.stderr or "key.pem" in done.stderr
    assert serial(address(running, "CONSOLE"), papers, named=True) == wanted
    papers.renew()


def test_names_change_live(running: Service, papers: Papers) -> None:
    settings = running.home / "parvis.toml"
    settings.write_text(settings.read_text().replace("console.example.eu", "new.example.eu"))
    done = running.command("reload", "--json")
    assert json.loads(done.stdout) == {"changed": ["console.hosts"], "needs_take_over": []}
    url = f"https://{address(running, 'CONSOLE')}/v1/me"
    with httpx.Client(verify=papers.trusting(), trust_env=False) as client:
        for host, status in (("new.example.eu", 401), ("console.example.eu", 403)):
            assert client.get(url, headers={"host": host}).status_code == status


def test_beyond_loopback_needs_tls_and_the_operator_a_word(papers: Papers, tmp_path: Path) -> None:
    everywhere = f"0.0.0.0:{free_port()}"
    for name, env, reason in (
        ("a", {"PARVIS_CONSOLE__LISTEN": everywhere}, "console.listen"),
        ("b", {"PARVIS_OPERATOR__LISTEN": everywhere, **papers.env("OPERATOR")}, "operator.beyond_loopback"),
    ):
        with pytest.raises(NotStartedError) as refused, service(tmp_path / name, engines=ELSEWHERE, env=env):
            pass
        assert reason in refused.value.said
    word = {"PARVIS_CONSOLE__LISTEN": everywhere, "PARVIS_OPERATOR__BEYOND_LOOPBACK": "true"}
    word["PARVIS_OPERATOR__LISTEN"] = f"0.0.0.0:{free_port()}"
    with service(tmp_path / "c", engines=ELSEWHERE, env={**papers.env(*LISTENERS), **word}) as running:
        for listener in LISTENERS:
            port = address(running, listener).rpartition(":")[2]
            answer = httpx.get(f"https://127.0.0.1:{port}/v1/me", verify=papers.trusting(), trust_env=False)
            assert answer.headers["x-request-id"]
