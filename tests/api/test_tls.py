"""TLS 1.3 and nothing older; and nothing beyond loopback without it, unless somebody says so."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import openai
import pytest
from click.testing import CliRunner

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.cli.main import main
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.raw_http import request, responses
from parvis.testing.service import NotStartedError, Service, free_port, served_by, service

MODEL = "fake-8b"
MEGABYTES_5 = 5 << 20


class Files(NamedTuple):
    """A certificate for 127.0.0.1, its key, and who has signed it."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def env(self) -> dict[str, str]:
        return {"PARVIS_INFERENCE__TLS_CERT": str(self.certificate), "PARVIS_INFERENCE__TLS_KEY": str(self.key)}

    def trusting(self) -> ssl.SSLContext:
        """A client that trusts its authority, and would speak anything."""
        context = ssl.create_default_context(cafile=self.authority)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context


def signed(folder: Path) -> Files:
    now = datetime.now(UTC)
    authority = new_authority("parvis test", now)
    identity = sign_server(authority, server_names(["127.0.0.1"]), now, days=1)
    files = Files(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    files.certificate.write_bytes(identity.certificate_pem())
    files.key.write_bytes(identity.key_pem())
    files.authority.write_bytes(authority.certificate_pem())
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def running(files: Files, engine: FakeEngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("house") / "home"
    with service(home, engines={"fake": served_by(engine)}, env=files.env) as running:
        yield running


@pytest.fixture
def http(running: Service, files: Files) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{running.port}/v1", verify=files.trusting(), headers=headers, trust_env=False
    ) as client:
        yield client


def handshake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1")


def test_the_official_client_is_answered(running: Service, files: Files) -> None:
    http_client = openai.DefaultHttpxClient(verify=files.trusting(), trust_env=False)
    base_url = f"https://127.0.0.1:{running.port}/v1"
    with openai.OpenAI(base_url=base_url, api_key=running.api_key, http_client=http_client) as client:
        stream = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "@tokens=200 Ça va ?"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.count(" ") == 200


def test_it_is_tls_1_3(running: Service, files: Files) -> None:
    with handshake(running.port, files.trusting()) as peer:
        assert peer.version() == "TLSv1.3"
        peer.sendall(request("GET", "/v1/models", "Connection: close", key=running.api_key))
        received = b""
        while data := peer.recv(1 << 16):
            received += data
    [answer] = responses(received)
    assert answer.status == 200


def test_http_1_1_is_what_is_spoken_in_it(running: Service, files: Files) -> None:
    context = files.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with handshake(running.port, context) as peer:
        assert peer.selected_alpn_protocol() == "http/1.1"


def test_who_speaks_http_2_alone_is_told_so_in_http_1(running: Service, files: Files) -> None:
    """OpenSSL's callback in Python cannot refuse a protocol, so the handshake chooses none and the parser refuses."""
    context = files.trusting()
    context.set_alpn_protocols(["h2"])
    with handshake(running.port, context) as peer:
        assert peer.selected_alpn_protocol() is None
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert peer.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_terminal_trusts_the_certificate_of_its_settings(running: Service) -> None:
    env = {name: text for name, text in running.environ.items() if name.startswith("PARVIS_")}
    said = CliRunner().invoke(main, ["chat", "-m", "Hello!"], env={**env, "OPENAI_API_KEY": running.api_key})
    assert said.exit_code == 0, said.output
    assert said.stdout.count(" ") >= 8


def test_the_doctor_sees_which_certificate_is_served(running: Service, files: Files, tmp_path: Path) -> None:
    env = {name: text for name, text in running.environ.items() if name.startswith("PARVIS_")}
    states = {}
    for name, kept in (("ours", files), ("newer", signed(tmp_path))):
        report = json.loads(CliRunner().invoke(main, ["doctor", "--json"], env=env | kept.env).stdout)
        states[name] = {check["what"]: check["state"] for check in report["checks"]}["served certificate"]
    assert states == {"ours": "ok", "newer": "problem"}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_older_versions_are_refused(running: Service, files: Files, version: ssl.TLSVersion) -> None:
    context = files.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(running.port, context)


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_1", "-tls1", "-tls1_3"])
def test_openssl_sees_the_same(running: Service, option: str) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", option, "-cipher", "ALL:@SECLEVEL=0"]
    seen = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    spoken = b"New, TLSv1.3, Cipher is" in seen.stdout
    assert spoken == (option == "-tls1_3")
    assert (seen.returncode == 0) == spoken


def test_plain_http_is_no_tls(running: Service) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as peer:
        peer.sendall(request("GET", "/v1/models", key=running.api_key))
        with suppress(ConnectionResetError):
            assert not peer.recv(1000).startswith(b"HTTP")


def test_a_silent_handshake_is_ended(running: Service) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=15) as peer:
        assert peer.recv(100) == b""


def test_a_body_that_is_too_large_is_told_so(http: httpx.Client) -> None:
    """TLS has no half-closed connections: here the server only stops to listen, and waits for the client to read."""
    for _ in range(3):
        answer = http.post("/chat/completions", content=b" " * MEGABYTES_5)
        assert answer.status_code == 413


def test_connections_are_kept(http: httpx.Client) -> None:
    peers = [http.get("/models").extensions["network_stream"].get_extra_info("client_addr") for _ in range(3)]
    assert len(set(peers)) == 1


ELSEWHERE = {"fake": {"kind": "vllm", "model": MODEL, "addresses": ["http://127.0.0.1:1"]}}


def refusal(home: Path, **env: str) -> str:
    """What the service says instead of starting."""
    with pytest.raises(NotStartedError) as refused, service(home, engines=ELSEWHERE, env=env):
        pass
    return refused.value.said


def test_it_does_not_listen_beyond_loopback_without_tls(tmp_path: Path) -> None:
    said = refusal(tmp_path, PARVIS_INFERENCE__LISTEN=f"0.0.0.0:{free_port()}")
    assert "is reachable from other machines without TLS" in said
    assert "inference.plain_beyond_loopback" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("tls", [True, False], ids=["with TLS", "when told so"])
def test_it_listens_beyond_loopback(tmp_path: Path, files: Files, *, tls: bool) -> None:
    env = {"PARVIS_INFERENCE__LISTEN": f"0.0.0.0:{free_port()}"}
    env |= files.env if tls else {"PARVIS_INFERENCE__PLAIN_BEYOND_LOOPBACK": "true"}
    with service(tmp_path, engines=ELSEWHERE, env=env) as running:
        scheme, verify = ("https", files.trusting()) if tls else ("http", True)
        answer = httpx.get(f"{scheme}://127.0.0.1:{running.port}/v1/models", verify=verify, trust_env=False)
    assert answer.status_code == 401


def test_files_that_do_not_fit_are_named(tmp_path: Path, files: Files) -> None:
    other = tmp_path / "other"
    other.mkdir()
    strange = signed(other)
    said = refusal(tmp_path / "a", **{**files.env, "PARVIS_INFERENCE__TLS_KEY": str(strange.key)})
    assert "do not work together" in said
    said = refusal(tmp_path / "b", **{**files.env, "PARVIS_INFERENCE__TLS_CERT": str(tmp_path / "none.pem")})
    assert "none.pem cannot be read: No such file or directory" in said
    said = refusal(tmp_path / "c", PARVIS_INFERENCE__TLS_CERT=str(files.certificate))
    assert "go together" in said
