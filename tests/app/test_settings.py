"""Machine settings: strict, overridable, and safe before they are convenient."""

from pathlib import Path

import pytest

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import Settings, load


def settings(home: Path, toml: str = "", **environ: str) -> Settings:
    (home / "parvis.toml").write_text(toml)
    return load(home, {f"PARVIS_{name}": text for name, text in environ.items()})


def refusal(home: Path, toml: str = "", **environ: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        settings(home, toml, **environ)
    return str(refused.value)


# ------------------------------------------------------------------------------------------------- defaults


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    ready = load(tmp_path, {})
    assert ready.home == tmp_path
    assert ready.store_url == f"sqlite:///{tmp_path}/parvis.sqlite"
    assert (ready.inference.host, ready.inference.port) == ("127.0.0.1", 8000)
    assert {engine.weights for engine in ready.engines.values()} == {
        "builtin:smollm2-135m-instruct",
        "builtin:all-minilm-l6-v2",
    }


def test_the_home_is_the_argument_then_the_variable_then_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path / "a", {"PARVIS_HOME": "b"}).home == tmp_path / "a"
    assert load(None, {"PARVIS_HOME": "b"}).home == tmp_path / "b"
    assert load(None, {}).home == tmp_path / "data"


def test_the_defaults_listen_on_loopback_only(tmp_path: Path) -> None:
    ready = load(tmp_path, {})
    assert {listener.host for listener in (ready.inference, ready.console, ready.operator)} == {"127.0.0.1"}


# ---------------------------------------------------------------------------------------------- unknown names


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ("infernce = {}", "infernce"),
        ("[inference]\nlissen = '127.0.0.1:1'", "lissen"),
        ("[console]\ntls_crt = 'x'", "tls_crt"),
        ("[engines.mine]\naddress = 'x'", "address"),
        ("home = '/elsewhere'", "home"),
    ],
)
def test_an_unknown_name_is_refused_by_name(tmp_path: Path, toml: str, name: str) -> None:
    sentence = refusal(tmp_path, toml)
    assert f"`{name}`" in sentence
    assert str(tmp_path / "parvis.toml") in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("name", ["LISTEN", "INFERENCE", "HOMES", "", "STORE_URL"])
def test_a_variable_that_names_no_section_is_refused(tmp_path: Path, name: str) -> None:
    sentence = refusal(tmp_path, **{name: "x"})
    assert f"PARVIS_{name} is unknown" in sentence
    assert "PARVIS_SECTION__NAME" in sentence


@pytest.mark.parametrize("name", ["INFERENCE__LISSEN", "INFERNCE__LISTEN", "INFERENCE__LISTEN__HOST"])
def test_a_variable_that_names_no_setting_is_refused(tmp_path: Path, name: str) -> None:
    assert "`" in refusal(tmp_path, **{name: "127.0.0.1:9000"})


def test_a_variable_below_a_value_of_the_file_is_refused(tmp_path: Path) -> None:
    toml = "[inference]\nlisten = '127.0.0.1:9000'"
    assert "PARVIS_INFERENCE__LISTEN__HOST" in refusal(tmp_path, toml, INFERENCE__LISTEN__HOST="x")
    assert "PARVIS_STORE__URL" in refusal(tmp_path, "store = 'x'", STORE__URL="x")


def test_other_programs_variables_are_none_of_ours(tmp_path: Path) -> None:
    assert load(tmp_path, {"PATH": "/bin", "XPARVIS_A": "b"}) == load(tmp_path, {})


# -------------------------------------------------------------------------------------------------- overrides


def test_a_variable_goes_before_the_file(tmp_path: Path) -> None:
    toml = "[inference]\nlisten = '127.0.0.1:9000'\nworkers = 2"
    ready = settings(tmp_path, toml, INFERENCE__LISTEN="[::1]:9001", INFERENCE__PLAIN_BEYOND_LOOPBACK="true")
    assert (ready.inference.host, ready.inference.port) == ("::1", 9001)
    assert ready.inference.plain_beyond_loopback
    assert ready.inference.workers == 2


def test_a_variable_reaches_an_engine_by_its_name(tmp_path: Path) -> None:
    toml = "[engines.mine]\nkind = 'vllm'\nmodel = 'm'\naddresses = ['http://127.0.0.1:1']"
    ready = settings(tmp_path, toml, ENGINES__MINE__PARALLEL="3")
    assert ready.engines.keys() == {"mine"}
    assert (ready.engines["mine"].kind, ready.engines["mine"].parallel) == (EngineKind.VLLM, 3)


def test_the_store_url_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:secret@127.0.0.1/db\n")
    ready = settings(tmp_path, STORE__URL_FILE=str(tmp_path / "url"))
    assert ready.store_url == "postgresql://u:secret@127.0.0.1/db"
    assert "secret" not in repr(ready)


def test_the_server_of_rates_can_be_named_or_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    assert settings(tmp_path).valkey_url == ""
    assert settings(tmp_path, LIMITS__VALKEY="valkey://127.0.0.1:6379/0").valkey_url == "valkey://127.0.0.1:6379/0"
    (tmp_path / "url").write_text("valkeys://:secret@10.0.0.1:6379/0\n")
    ready = settings(tmp_path, LIMITS__URL_FILE=str(tmp_path / "url"))
    assert ready.valkey_url == "valkeys://:secret@10.0.0.1:6379/0"
    assert "secret" not in repr(ready)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ready = settings(tmp_path, STORE__URL_FILE="nowhere")
    with pytest.raises(Misconfigured, match=r"store\.url_file = nowhere cannot be read"):
        _ = ready.store_url


# ------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("toml", ["[inference", "a = ", "\x00"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, toml: str) -> None:
    assert "parvis.toml cannot be read" in refusal(tmp_path, toml)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "parvis.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("INFERENCE__WORKERS", "0"),
        ("INFERENCE__WORKERS", "many"),
        ("MONEY__LEASE_EURO", "0.5"),
        ("INFERENCE__DRAIN_S_MAX", "3601"),
    ],
)
def test_a_value_out_of_its_range_is_refused_at_its_place(tmp_path: Path, name: str, text: str) -> None:
    assert "$." + name.lower().replace("__", ".") in refusal(tmp_path, **{name: text})


@pytest.mark.parametrize(
    "listen", ["8000", "localhost:8000", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", ":8000", "127.0.0.1:x", ""]
)
@pytest.mark.parametrize("listener", ["INFERENCE", "CONSOLE", "OPERATOR"])
def test_an_address_is_a_number_and_a_port(tmp_path: Path, listener: str, listen: str) -> None:
    assert refusal(tmp_path, **{f"{listener}__LISTEN": listen}).startswith(f"{listener.lower()}.listen = '{listen}'")


@pytest.mark.parametrize("toml", ["model = 'm'", "weights = 'w'\naddresses = ['http://127.0.0.1:1']"])
def test_an_engine_is_either_weights_or_addresses(tmp_path: Path, toml: str) -> None:
    assert "engines.mine needs either" in refusal(tmp_path, f"[engines.mine]\n{toml}")


# --------------------------------------------------------------------------------------------------------- TLS


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:8000"])
def test_nothing_is_served_beyond_loopback_without_tls(tmp_path: Path, address: str) -> None:
    sentence = refusal(tmp_path, INFERENCE__LISTEN=address)
    assert address in sentence
    assert "plain_beyond_loopback" in sentence


@pytest.mark.parametrize(
    "consent",
    [{"INFERENCE__TLS_CERT": "c", "INFERENCE__TLS_KEY": "k"}, {"INFERENCE__PLAIN_BEYOND_LOOPBACK": "true"}],
)
def test_beyond_loopback_needs_tls_or_a_word(tmp_path: Path, consent: dict[str, str]) -> None:
    ready = settings(tmp_path, INFERENCE__LISTEN="192.0.2.1:8000", **consent)
    assert ready.inference.host == "192.0.2.1"


@pytest.mark.parametrize("half", ["TLS_CERT", "TLS_KEY"])
@pytest.mark.parametrize("listener", ["INFERENCE", "CONSOLE", "OPERATOR"])
def test_half_a_certificate_is_refused(tmp_path: Path, listener: str, half: str) -> None:
    assert "go together" in refusal(tmp_path, **{f"{listener}__{half}": "x"})


# ------------------------------------------------------------------------------------------- administration

TLS = {"TLS_CERT": "c", "TLS_KEY": "k"}


@pytest.mark.parametrize("listener", ["console", "operator"])
def test_the_administration_leaves_loopback_with_tls_only(tmp_path: Path, listener: str) -> None:
    name = listener.upper()
    address = {f"{name}__LISTEN": "0.0.0.0:1", "OPERATOR__BEYOND_LOOPBACK": "true"}
    sentence = refusal(tmp_path, **address)
    assert sentence.startswith(f"{listener}.listen = 0.0.0.0:1 is reachable from other machines without TLS")
    ready = settings(tmp_path, **address, **{f"{name}__{part}": file for part, file in TLS.items()})
    assert {"console": ready.console, "operator": ready.operator}[listener].host == "0.0.0.0"  # noqa: S104 - as set


def test_the_operator_leaves_loopback_only_when_told_so(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, OPERATOR__LISTEN="192.0.2.1:1", OPERATOR__TLS_CERT="c", OPERATOR__TLS_KEY="k")
    assert "operator.beyond_loopback = true" in sentence


@pytest.mark.parametrize("host", ["a.example:80", "https://a.example", "a b", "", "*"])
def test_a_host_is_a_name(tmp_path: Path, host: str) -> None:
    assert refusal(tmp_path, f"[console]\nhosts = ['{host}']").startswith(f"console.hosts: '{host}' must be")


@pytest.mark.parametrize(
    ("console", "url"),
    [
        ("", "http://localhost:8001"),
        ("listen = '[::1]:9'", "http://localhost:9"),
        ("listen = '127.0.0.1:443'\ntls_cert = 'c'\ntls_key = 'k'", "https://localhost"),
        ("listen = '192.0.2.1:9'\ntls_cert = 'c'\ntls_key = 'k'", "https://192.0.2.1:9"),
        ("listen = '[2001:db8::1]:9'\ntls_cert = 'c'\ntls_key = 'k'", "https://[2001:db8::1]:9"),
        ("hosts = ['a.example', 'b.example']\ntls_cert = 'c'\ntls_key = 'k'", "https://a.example:8001"),
        ("public_url = 'https://a.example'", "https://a.example"),
    ],
)
def test_the_public_url_has_a_default(tmp_path: Path, console: str, url: str) -> None:
    assert settings(tmp_path, f"[console]\n{console}").console.url == url


@pytest.mark.parametrize(
    "url", ["http://a.example", "https://a.example/", "https://a.example/x", "a.example", "https://"]
)
def test_a_public_url_is_https_and_has_no_path(tmp_path: Path, url: str) -> None:
    assert "console.public_url" in refusal(tmp_path, CONSOLE__PUBLIC_URL=url)


@pytest.mark.parametrize("listed", ["a.example", "a.example:0", "a.example:65536", "https://a.example:443", ":443"])
@pytest.mark.parametrize("setting", ["hosts", "private_hosts"])
def test_a_listed_host_is_a_name_and_a_port(tmp_path: Path, setting: str, listed: str) -> None:
    assert refusal(tmp_path, f"[openid]\n{setting} = ['{listed}']").startswith(f"openid.{setting}: '{listed}'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hosts = ['hooks.example.eu']", "notices.hosts: 'hooks.example.eu'"),
        ("private_hosts = ['https://hooks.example.eu:443']", "notices.private_hosts: 'https://"),
        ("mail_server = 'smtp.example.eu'\nmail_from = 'a@b.example'", "notices.mail_server: 'smtp.example.eu'"),
        ("mail_server = 'smtp.example.eu:587'", "notices.mail_server and notices.mail_from go together"),
        ("mail_user = 'parvis'", "notices.mail_user and notices.mail_password_file go together"),
    ],
)
def test_where_notices_go_is_written_whole(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, f"[notices]\n{text}").startswith(said)
