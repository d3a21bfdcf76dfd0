"""`parvis cert`, and what the doctor says of certificates and keys."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.app.tls import server_context
from parvis.cli.certificate import CertificateFacts, read_certificate
from parvis.cli.main import main
from parvis.core.errors import Misconfigured

NOW = datetime.now(UTC)


def run(home: Path, *words: str, **environ: str) -> Result:
    return CliRunner().invoke(main, words, env={"PARVIS_HOME": str(home), "COLUMNS": "200", **environ})


def made(home: Path, *words: str) -> dict[str, Any]:
    result = run(home, "cert", *words, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def mode(path: str | Path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname=name)
    answerer = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (caller, answerer, caller, answerer):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


# Making


def test_a_server_is_made_that_clients_of_the_authority_trust(tmp_path: Path) -> None:
    told = made(tmp_path / "home", "make")
    server = server_context(told["certificate"], told["key"])
    client = ssl.create_default_context(cafile=told["authority"])
    for name in ("localhost", "127.0.0.1", "::1"):
        shake_hands(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "example.org")
    assert told["facts"]["uses"] == ["server"]
    assert told["facts"]["chain"] == 2
    assert told["facts"]["key"] == "EC P-256"


def test_keys_and_folders_are_their_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = made(home, "make")
    assert mode(home) == mode(home / "tls") == 0o700
    assert mode(told["key"]) == mode(home / "tls" / "ca.key") == 0o600


def test_the_authority_is_made_once_and_nothing_is_overwritten(tmp_path: Path) -> None:
    first = made(tmp_path, "make", "--host", "llm.example.org")
    files = {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    again = run(tmp_path, "cert", "make")
    assert again.exit_code == 1
    assert "is there already. Say --force" in again.output
    assert {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()} == files
    second = made(tmp_path, "make", "--force", "--host", "10.0.0.5", "--host", "*.example.org", "--days", "7")
    assert (first["authority_made"], second["authority_made"]) == (True, False)
    assert second["facts"]["names"] == ["10.0.0.5", "*.example.org"]
    assert second["facts"]["days_left"] in (6, 7)
    assert second["facts"]["serial"] != first["facts"]["serial"]
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == files[tmp_path / "tls" / "ca.pem"]
    assert mode(second["key"]) == 0o600
    assert len(list((tmp_path / "tls").iterdir())) == 4


def test_a_client_is_made_for_engines_that_ask(tmp_path: Path) -> None:
    server, client = made(tmp_path, "make"), made(tmp_path, "client", "--name", "gateway-1")
    assert client["facts"]["uses"] == ["client"]
    assert client["facts"]["subject"] == "CN=gateway-1"
    demanding = server_context(server["certificate"], server["key"])
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(server["authority"])
    caller = ssl.create_default_context(cafile=server["authority"])
    with pytest.raises(ssl.SSLError):
        shake_hands(demanding, caller, "localhost")
    caller.load_cert_chain(client["certificate"], client["key"])
    shake_hands(demanding, caller, "localhost")


def test_what_is_printed_can_be_pasted(tmp_path: Path) -> None:
    said = run(tmp_path, "cert", "make").stdout
    assert f'[inference]\ntls_cert = "{tmp_path}/tls/server.pem"\ntls_key = "{tmp_path}/tls/server.key"\n' in said
    assert f"curl --cacert {tmp_path}/tls/ca.pem" in said
    said = run(tmp_path, "cert", "client", "--name", "gateway").stdout
    assert f'tls_ca = "{tmp_path}/tls/ca.pem"\ntls_cert = "{tmp_path}/tls/client-gateway.pem"\n' in said


@pytest.mark.parametrize(
    "host", ["two words", "", "-a", "a..b", "é.fr", "*", "a.*.b", "a" * 64, "x." * 127 + "x", "1.2.3.4/8"]
)
def test_what_is_no_host_is_refused_before_anything_is_made(tmp_path: Path, host: str) -> None:
    result = run(tmp_path / "home", "cert", "make", "--host", host)
    assert result.exit_code == 1
    assert "neither a host name nor an IP address" in result.output
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 42, "ca"])
@pytest.mark.parametrize("command", ["make", "client"])
def test_what_is_no_name_of_a_file_is_refused(tmp_path: Path, command: str, name: str) -> None:
    assert run(tmp_path / "home", "cert", command, "--name", name).exit_code == 2
    assert not (tmp_path / "home").exists()


def test_half_an_authority_is_refused(tmp_path: Path) -> None:
    made(tmp_path, "make")
    (tmp_path / "tls" / "ca.key").unlink()
    result = run(tmp_path, "cert", "make", "--force")
    assert result.exit_code == 1
    assert "ca.key cannot be read" in result.output


def test_an_authority_that_has_expired_signs_nothing() -> None:
    old = new_authority("old", NOW - timedelta(days=4000))
    with pytest.raises(Misconfigured, match="has expired"):
        sign_server(old, server_names(["localhost"]), NOW, 1)


@given(st.integers(1, 4000))
def test_nothing_outlives_its_authority(days: int) -> None:
    authority = new_authority("authority", NOW - timedelta(days=1000))
    signed = sign_server(authority, server_names(["localhost"]), NOW, days)
    assert signed.certificate.not_valid_after_utc <= authority.certificate.not_valid_after_utc
    signed.certificate.verify_directly_issued_by(authority.certificate)


# Looking


def test_a_certificate_is_shown(tmp_path: Path) -> None:
    told = made(tmp_path, "make")
    shown = json.loads(run(tmp_path, "cert", "show", told["certificate"], "--json").stdout)
    assert shown == told["facts"]
    words = run(tmp_path, "cert", "show", told["authority"]).stdout
    assert "CN=Parvis development" in words
    assert "EC P-256" in words


def test_what_is_no_certificate_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    result = run(tmp_path, "cert", "show", str(tmp_path / "junk.pem"))
    assert result.exit_code == 1
    assert "holds no certificate in PEM form" in result.output
    assert "cannot be read" in run(tmp_path, "cert", "show", str(tmp_path / "none.pem")).output


def lasting(days: int, left: float) -> CertificateFacts:
    ends = NOW + timedelta(days=left)
    return CertificateFacts("", (), "", False, (), "", "", "", ends - timedelta(days=days), ends, 1, "")  # noqa: FBT003 - the field says that it is no authority


def test_it_is_time_to_renew_at_30_days_or_a_third_of_a_short_life() -> None:
    assert [lasting(365, left).soon_over(NOW) for left in (31, 29, -1)] == [False, True, True]
    assert [lasting(6, left).soon_over(NOW) for left in (3, 1)] == [False, True]


# The doctor


def findings(home: Path, **environ: str) -> dict[str, Any]:
    listen = {f"PARVIS_{name}__LISTEN": "127.0.0.1:0" for name in ("INFERENCE", "CONSOLE", "OPERATOR")}
    report = json.loads(run(home, "doctor", "--json", **listen, **environ).stdout)
    return {check["what"]: check for check in report["checks"]}


def settings(home: Path, *, days: int = 365) -> dict[str, str]:
    told = made(home, "make", "--days", str(days), "--force")
    return {"PARVIS_INFERENCE__TLS_CERT": told["certificate"], "PARVIS_INFERENCE__TLS_KEY": told["key"]}


def test_a_good_certificate_is_well(tmp_path: Path) -> None:
    found = findings(tmp_path, **settings(tmp_path))
    assert found["inference.tls_cert"]["state"] == found["inference.tls_key"]["state"] == "ok"
    assert found["served certificate"]["state"] == "skipped"  # nothing runs


def test_a_certificate_that_ends_soon_is_a_problem(tmp_path: Path) -> None:
    authority = new_authority("authority", NOW - timedelta(days=100))
    old = sign_server(authority, server_names(["localhost"]), NOW - timedelta(days=70), 90)
    environ = settings(tmp_path)
    Path(environ["PARVIS_INFERENCE__TLS_CERT"]).write_bytes(old.certificate_pem())
    Path(environ["PARVIS_INFERENCE__TLS_KEY"]).write_bytes(old.key_pem())
    found = findings(tmp_path, **environ)["inference.tls_cert"]
    assert found["state"] == "problem"
    assert "19 days left" in found["detail"]
    assert "parvis reload" in found["fix"]


def test_a_key_that_others_may_read_is_a_problem(tmp_path: Path) -> None:
    environ = settings(tmp_path)
    key = Path(environ["PARVIS_INFERENCE__TLS_KEY"])
    key.chmod(0o644)
    found = findings(tmp_path, **environ)["inference.tls_key"]
    assert (found["state"], found["fix"]) == ("problem", f"chmod 600 {key}")


def test_files_that_cannot_be_used_are_problems(tmp_path: Path) -> None:
    environ = settings(tmp_path)
    Path(environ["PARVIS_INFERENCE__TLS_CERT"]).write_text("junk")
    assert "no certificate" in findings(tmp_path, **environ)["inference.tls_cert"]["detail"]
    (tmp_path / "parvis.toml").write_text(
        '[engines.far]\naddresses = ["https://127.0.0.1:1"]\ntls_ca = "/nowhere.pem"\n'
    )
    found = findings(tmp_path)
    assert "/nowhere.pem cannot be used" in found["TLS of engine far"]["detail"]
    assert found["engine far"]["state"] == "problem"
    assert read_certificate(tmp_path / "tls" / "ca.pem").authority
