"""Commands about customers, access and declarations, run against a real operator listener."""

import asyncio
import csv
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from click.testing import CliRunner, Result

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.api.operator.app import make_app
from parvis.cli.declared import read_declaration
from parvis.cli.main import main
from parvis.cli.remote import base_url
from parvis.core.errors import BadRequest, Misconfigured
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import INSTALLATION
from parvis.domain.identity.role import Role

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
DUE = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
Parvis = Callable[..., Awaitable[Result]]
ACME = """
owns: [projects, keys, grants]
organisations:
  - id: acme
    name: Acme
    second_factor: false
    tenants:
      - id: acme-prod
        name: Production
        models_allowed: ["smollm2*", default]
        addresses: [192.0.2.0/24]
        projects:
          - {id: search, name: Search}
        keys:
          - {name: backend, models: [default], endpoints: [chat], project: search, ends_at: 2999-01-01}
    people:
      - {email: ada@acme.example, name: Ada, sign_in: openid, roles: [{role: organisation_owner}]}
      - {email: bob@acme.example, roles: [{role: developer, tenant: acme-prod}]}
models:
  - {id: smollm2-135m-instruct, aliases: [default], tags: [small]}
prices:
  - version: next
    valid_from: 2999-01-01
    input_microeuro_per_mtoken: 1
    output_microeuro_per_mtoken: 2
    reasoning_microeuro_per_mtoken: 3
"""


@pytest.fixture
def home(tmp_path: Path, kit: Any) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "operator.token").touch(0o600)
    (home / "operator.token").write_text(kit.token)
    return home


def run(home: Path, *words: str, text: str | None = None, **environ: str) -> Result:
    env = {"PARVIS_HOME": str(home), "COLUMNS": "250", **environ}
    return CliRunner().invoke(main, words, env=env, input=text)


@pytest.fixture
async def parvis(premises: Any, kit: Any, home: Path) -> AsyncIterator[Parvis]:
    """Run a command in a thread of its own, while the operator's listener serves here."""
    async with kit.listening(make_app(premises.operator_desk())) as address:
        listen = address.removeprefix("http://")

        async def command(*words: str, **given: str) -> Result:
            return await asyncio.to_thread(run, home, *words, **{"PARVIS_OPERATOR__LISTEN": listen, **given})

        yield command


async def good(command: Awaitable[Result]) -> str:
    result = await command
    assert result.exit_code == 0, result.output
    return result.stdout


async def value(command: Awaitable[Result]) -> Any:
    return json.loads(await good(command))


@pytest.fixture
async def acme(parvis: Parvis) -> None:
    await good(parvis("org", "create", "Acme", "--id", "acme"))
    await good(parvis("tenant", "create", "acme", "Production", "--id", "acme-prod"))


# Organisations, tenants, projects, people


@pytest.mark.usefixtures("acme")
async def test_a_customer_from_nothing_to_a_key(parvis: Parvis) -> None:
    assert await good(parvis("tenant", "change", "acme-prod", "--model", "smollm2*", "--address", "192.0.2.0/24"))
    rules = await value(parvis("tenant", "show", "acme-prod", "--json"))
    assert (rules["models_allowed"], rules["addresses"]) == (["smollm2*"], ["192.0.2.0/24"])
    await good(parvis("tenant", "change", "acme-prod", "--address", ""))
    assert (await value(parvis("tenant", "list", "--org", "acme", "-o", "json")))[0]["addresses"] == []
    await good(parvis("project", "create", "acme-prod", "Search", "--id", "search"))
    made = await value(parvis("key", "create", "k", "--tenant", "acme-prod", "--project", "search", "--json"))
    assert made["key"].startswith("sk-parvis_")
    assert "backend" not in await good(parvis("key", "list", "--tenant", "acme-prod", "--csv"))


@pytest.mark.usefixtures("acme")
async def test_standing_is_changed_by_commands(parvis: Parvis) -> None:
    assert await good(parvis("tenant", "suspend", "acme-prod")) == "Suspended acme-prod.\n"
    assert await good(parvis("tenant", "resume", "acme-prod")) == "Resumed acme-prod.\n"
    refused = await parvis("org", "remove", "acme", "--yes")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert (await parvis("org", "remove", "acme", text="n\n")).exit_code == 1
    await good(parvis("org", "suspend", "acme"))
    await good(parvis("org", "resume", "acme"))
    await good(parvis("org", "suspend", "acme"))
    assert await good(parvis("org", "remove", "acme", "--yes")) == "Removed acme.\n"
    assert (await value(parvis("org", "show", "acme", "--json")))["standing"] == "removed"


@pytest.mark.usefixtures("acme")
async def test_people_are_asked_in_and_given_roles(parvis: Parvis) -> None:
    invited = await good(parvis("user", "invite", "acme", "bob@acme.example", "--role", "developer@acme-prod"))
    assert invited.startswith("Invitation: inv-parvis_")
    [waiting] = await value(parvis("user", "invitations", "acme", "--json"))
    await good(parvis("user", "uninvite", "acme", waiting["id"]))
    await good(parvis("user", "create", "acme", "ada@acme.example", "--name", "Ada"))
    ada = "acme/Ada@acme.example"
    given = await value(parvis("user", "grant", ada, "developer", "--tenant", "acme-prod", "--json"))
    assert "developer over acme-prod" in await good(parvis("user", "show", ada))
    assert "developer" in await good(parvis("user", "grants", "--org", "acme"))
    await good(parvis("user", "withdraw", given["id"]))
    await good(parvis("user", "change", ada, "--language", "fr"))
    await good(parvis("user", "suspend", ada))
    await good(parvis("user", "resume", ada))
    await good(parvis("user", "remove", ada, "--yes"))
    assert await value(parvis("user", "list", "acme", "--json")) == []
    assert (await parvis("user", "show", ada)).exit_code == 1
    assert "keys.write" in await good(parvis("user", "roles"))


async def test_the_operators_people_are_asked_in(parvis: Parvis) -> None:
    assert "inv-parvis_" in await good(parvis("operator", "invite", "op@host.example", "--role", "operator_auditor"))
    [waiting] = await value(parvis("operator", "invitations", "--json"))
    await good(parvis("operator", "uninvite", waiting["id"]))
    assert await value(parvis("operator", "list", "--json")) == []


@pytest.mark.usefixtures("acme")
async def test_who_cannot_sign_in_is_reset(parvis: Parvis, premises: Any, kit: Any) -> None:
    person = await premises.person("op@host.example", (Role.OPERATOR_AUDITOR, INSTALLATION), realm=Realm.OPERATOR)
    await good(parvis("user", "create", "acme", "ada@acme.example"))
    for noun, named in (("user", "acme/ada@acme.example"), ("operator", person.user_id)):
        assert (await parvis(noun, "reset-sign-in", named, text="n\n")).exit_code == 1
        assert (await good(parvis(noun, "reset-sign-in", named, "--yes"))).startswith("Link: inv-parvis_")
        assert (await value(parvis(noun, "reset-sign-in", named, "--yes", "--json")))["link"].startswith("inv-parvis_")
        ended = "Ended 0 sessions and 0 personal tokens.\n"
        assert await good(parvis(noun, "end-sessions", named)) == ended
        assert (await value(parvis(noun, "end-sessions", named, "--tokens", "--json")))["personal_tokens"] == 0
    assert not (await premises.store.people(Realm.OPERATOR).factors(person.user_id)).password_hash


@pytest.mark.usefixtures("acme")
async def test_lists_are_whole_whatever_a_page_holds(parvis: Parvis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parvis.cli.operator_api.PAGE", 1)
    assert [one["id"] for one in await value(parvis("org", "list", "--json"))] == ["acme", "first"]
    assert [one["id"] for one in await value(parvis("org", "list", "--limit", "1", "--json"))] == ["acme"]


LISTS = (
    ("org", "list"),
    ("tenant", "list"),
    ("project", "list"),
    ("user", "list", "first"),
    ("user", "invitations", "first"),
    ("user", "grants"),
    ("user", "roles"),
    ("operator", "list"),
    ("operator", "invitations"),
    ("key", "list"),
    ("access", "list"),
    ("access", "unused"),
    ("access", "who", "--model", CHAT, "--tenant", "first"),
    ("access", "review", "list"),
    ("audit", "list"),
    ("model", "list"),
    ("price", "list"),
    ("usage",),
    ("requests", "list"),
    ("status",),
)
ONES = (
    ("org", "show", "first"),
    ("tenant", "show", "first"),
    ("model", "show", CHAT),
    ("access", "key"),
    ("access", "report"),
)


async def test_every_form_of_every_list_can_be_read_by_programs(parvis: Parvis) -> None:
    for words in (*LISTS, *ONES):
        as_json, as_yaml = await value(parvis(*words, "-o", "json")), await good(parvis(*words, "-o", "yaml"))
        if words not in (("audit", "list"), ("access", "report")):  # reading is not recorded, but time passes
            assert yaml.safe_load(as_yaml) == as_json, words
        rows = list(csv.reader((await good(parvis(*words, "--output", "csv"))).splitlines()))
        assert rows, words
        assert all(len(row) == len(rows[0]) for row in rows), words
        assert await good(parvis(*words)), words


# Access


async def test_a_report_is_signed_and_any_changed_byte_is_found(parvis: Parvis, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "report.json"
    await good(parvis("access", "report", "--tenant", "first", "--model", CHAT, "--out", str(file)))
    public_key = (await good(parvis("access", "key"))).strip()
    checked = run(home, "access", "verify", str(file), "--key", public_key, "-o", "json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["question"] == {"tenant_id": "first", "model": CHAT}
    report = json.loads(file.read_bytes())["document"]
    assert [one["who"] for one in report["answer"]] == ["first key"]
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert run(home, "access", "verify", str(file), "--key", public_key).exit_code == 1, place
    file.write_bytes(whole)
    assert run(home, "access", "verify", str(file), "--key", "00" * 32).exit_code == 1
    assert run(home, "access", "verify", str(file), "--key", "xyz").exit_code == 1


async def test_who_can_use_a_model(parvis: Parvis) -> None:
    assert [one["who"] for one in await value(parvis("access", "who", "--model", EMBED, "--tenant", "other", "--json"))]
    assert await value(parvis("access", "who", "--model", CHAT, "--tenant", "other", "--json")) == []
    assert (await parvis("access", "who", "--model", "gpt", "--tenant", "other")).exit_code == 1


async def test_a_review_is_held(parvis: Parvis, premises: Any) -> None:
    opened = await value(parvis("access", "review", "open", "Spring", "--due", DUE, "--json"))
    review = opened["id"]
    items = await value(parvis("access", "review", "items", review, "--undecided", "--json"))
    assert len(items) == opened["undecided"] == 2
    first = f"key:{premises.first.key.key_id}"
    other = f"key:{premises.other.key.key_id}"
    await good(parvis("access", "review", "decide", review, first, "keep", "--reason", "in use"))
    await good(parvis("access", "review", "decide", review, other, "withdraw", "--reason", "nobody knows it"))
    shown = await value(parvis("access", "review", "show", review, "--json"))
    assert (shown["undecided"], shown["kept"], shown["withdrawn"]) == (0, 1, 1)
    keys = {one["id"]: one["active"] for one in await value(parvis("key", "list", "--json"))}
    assert [keys[premises.first.key.key_id], keys[premises.other.key.key_id]] == [True, False]
    assert "withdraw" in await good(parvis("access", "review", "items", review, "--decision", "withdraw"))
    assert "Closed" in await good(parvis("access", "review", "close", review))


# Declarations


async def test_a_file_is_applied_once_and_for_all(parvis: Parvis, tmp_path: Path) -> None:
    file, secrets = tmp_path / "acme.yaml", tmp_path / "secrets.json"
    file.write_text(ACME)
    dry = await good(parvis("apply", str(file), "--dry-run"))
    assert "+ tenant acme/acme-prod" in dry
    assert "Nothing was changed" in dry
    assert "acme" not in [one["id"] for one in await value(parvis("org", "list", "--json"))]
    refused = await parvis("apply", str(file))
    assert (refused.exit_code, "--show-new-keys-to" in refused.stderr) == (1, True)
    await good(parvis("apply", str(file), "--show-new-keys-to", str(secrets)))
    kept = {one["object"]: one["text"][:10] for one in json.loads(secrets.read_text())}
    assert kept == {"key": "sk-parvis_", "invitation": "inv-parvis"}
    assert secrets.stat().st_mode & 0o777 == 0o600
    again = await value(parvis("apply", str(file), "--prune", "--json"))
    assert {change["sign"] for change in again["data"]} == {"same"}
    assert (await parvis("apply", str(file), "--show-new-keys-to", str(secrets))).exit_code == 1  # there is such a file
    assert json.loads(secrets.read_text())


async def test_what_a_file_owns_and_does_not_name_is_pruned(parvis: Parvis, tmp_path: Path) -> None:
    file, secrets = tmp_path / "acme.yaml", tmp_path / "secrets.json"
    file.write_text(ACME)
    await good(parvis("apply", str(file), "--show-new-keys-to", str(secrets)))
    said = yaml.safe_load(ACME)
    tenant = said["organisations"][0]["tenants"][0]
    tenant["keys"], tenant["projects"] = [], []
    tenant["name"] = "Prod"
    file = tmp_path / "less.json"
    file.write_text(json.dumps(said, default=str))
    assert "- key" not in await good(parvis("apply", str(file), "--dry-run"))
    asked = await parvis("apply", str(file), "--prune", "-o", "json")  # and nobody answers
    assert (asked.exit_code, asked.stdout, "- key acme/acme-prod/backend" in asked.stderr) == (1, "", True)
    assert [one["active"] for one in await value(parvis("key", "list", "--tenant", "acme-prod", "--json"))] == [True]
    pruned = await good(parvis("apply", str(file), "--prune", "--yes"))
    assert "- key acme/acme-prod/backend" in pruned
    assert "name: Production -> Prod" in pruned
    assert [one["active"] for one in await value(parvis("key", "list", "--tenant", "acme-prod", "--json"))] == [False]
    listed = {
        one["name"]: one["archived"]
        for one in await value(parvis("project", "list", "--tenant", "acme-prod", "--json"))
    }
    assert listed == {"Default": False, "Search": True}
    assert "0 to add, 0 to change, 0 to take away" in await good(parvis("apply", str(file), "--prune"))


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ("organisations: [{id: a, tenants: [{id: b, colour: red}]}]", "file.organisations.0.tenants.0.colour"),
        ("owns: [people]", "file.owns.0"),
        ("organisations: [{name: a}]", "file.organisations.0.id"),
        ("organisations: [{id: a}, {id: a}]", "declared twice"),
        ("organisations: [{id: a, people: [{email: nobody}]}]", "name@example.org"),
        ("organisations: [{id: a, tenants: [{id: b, keys: [{name: k, addresses: [x]}]}]}]", "no network"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_path(parvis: Parvis, tmp_path: Path, content: str, param: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(content)
    result = await parvis("apply", str(file), "--dry-run")
    assert result.exit_code == 1, result.output
    assert param in result.stderr


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    texts = {
        "a.yaml": "organisations:\n- {id: a, tenants: [{id: b, keys: [{name: k, ends_at: 2030-01-01}]}]}\n",
        "a.toml": '[[organisations]]\nid="a"\n[[organisations.tenants]]\nid="b"\n'
        '[[organisations.tenants.keys]]\nname="k"\nends_at=2030-01-01\n',
        "a.json": '{"organisations":[{"id":"a","tenants":[{"id":"b","keys":[{"name":"k","ends_at":"2030-01-01"}]}]}]}',
    }
    said = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        said.append(read_declaration(tmp_path / name))
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "- a", "a: !!python/object:os.system x", "a: [", "1: 2", "\x00", "a: &a [*a]"]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(BadRequest):
        read_declaration(tmp_path / "a.yaml")


# Credentials, addresses, completion


async def test_a_personal_token_comes_from_a_file_of_ones_own(parvis: Parvis, tmp_path: Path, kit: Any) -> None:
    file = tmp_path / "token"
    file.write_text(kit.token)
    file.chmod(0o644)
    refused = await parvis("--token-file", str(file), "org", "list")
    assert (refused.exit_code, "chmod 600" in refused.stderr) == (1, True)
    file.chmod(0o600)
    assert await good(parvis("org", "list", PARVIS_TOKEN_FILE=str(file)))
    file.write_text("another")
    wrong = await parvis("--token-file", str(file), "org", "list")
    assert wrong.exit_code == 4


async def test_another_machine_is_named_by_its_address(premises: Any, kit: Any, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(kit.token)
    async with kit.listening(make_app(premises.operator_desk())) as address:
        words = ("--url", address, "--token-file", str(file), "org", "list")
        result = await asyncio.to_thread(run, home, *words)
    assert result.exit_code == 0, result.output
    without = run(home, "--url", address, "org", "list")
    assert (without.exit_code, "--token-file" in without.stderr) == (1, True)
    assert run(home, *words).exit_code == 3


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a", "https://a/b", "https://u@a", "http://10.0.0.1", "http://console.example", "https://:1", "a:b"],
)
def test_an_address_that_would_show_the_token_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        base_url(url)


def test_an_address_can_have_a_port() -> None:
    assert base_url("https://Console.example:8443/") == "https://Console.example:8443"
    assert base_url("http://[::1]:1") == "http://[::1]:1"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_can_complete(home: Path, shell: str) -> None:
    result = run(home, "completion", shell)
    assert result.exit_code == 0, result.output
    assert "_PARVIS_COMPLETE" in result.stdout


def test_commands_are_completed(home: Path) -> None:
    words = {"COMP_WORDS": "parvis ten", "COMP_CWORD": "1", "_PARVIS_COMPLETE": "bash_complete"}
    result = CliRunner().invoke(main, [], prog_name="parvis", env=words)
    assert "tenant" in result.stdout


def test_no_command_takes_a_secret_from_the_command_line() -> None:
    hidden = {"password", "secret", "token", "credential"}
    named = {(path, name) for path, names in options(main, "parvis") for name in names}
    assert {
        one for one in named if set(one[1].strip("-").split("-")) & hidden and not one[1].endswith("-file")
    } == set()


def options(group: Any, path: str) -> Any:
    yield path, [name for parameter in group.params for name in parameter.opts]
    for name, command in getattr(group, "commands", {}).items():
        yield from options(command, f"{path} {name}")


async def test_a_remote_service_is_believed_by_its_authority_alone(
    premises: Any, kit: Any, home: Path, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    authority, other = new_authority("ours", now), new_authority("theirs", now)
    served = sign_server(authority, server_names(["localhost"]), now, 30)
    for name, content in (
        ("ca.pem", authority.certificate_pem()),
        ("other.pem", other.certificate_pem()),
        ("cert.pem", served.certificate_pem()),
        ("key.pem", served.key_pem()),
        ("token", kit.token.encode()),
    ):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(content)
    tls = {"ssl_certfile": str(tmp_path / "cert.pem"), "ssl_keyfile": str(tmp_path / "key.pem")}
    sock = socket.create_server(("127.0.0.1", 0))
    app = make_app(premises.operator_desk())
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none", **tls))  # type: ignore[arg-type]  # paths
    serving = asyncio.create_task(server._serve([sock]))
    while not server.started:  # noqa: ASYNC110 - it has no event to wait for
        await asyncio.sleep(0.005)
    url = f"https://localhost:{sock.getsockname()[1]}"
    words = ("--url", url, "--token-file", str(tmp_path / "token"), "--ca")
    right = await asyncio.to_thread(run, home, *words, str(tmp_path / "ca.pem"), "org", "list")
    wrong = await asyncio.to_thread(run, home, *words, str(tmp_path / "other.pem"), "org", "list")
    server.should_exit = True
    await serving
    assert right.exit_code == 0, right.output
    assert (wrong.exit_code, "--ca" in wrong.stderr) == (3, True)
    assert run(home, *words, str(tmp_path / "token"), "org", "list").exit_code == 1
