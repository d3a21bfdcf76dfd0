"""The commands, run against a real operator listener: what they print, and how they say what is wrong."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from parvis.api.operator.app import make_app
from parvis.cli.conversation import events
from parvis.cli.main import main
from parvis.cli.operator_api import language_of
from parvis.cli.output import bar, printable
from parvis.core.errors import Failure
from parvis.domain.catalog.model import AutoCandidate, AutoPolicy, Model
from parvis.domain.fleet.deployment import Address, Deployment
from parvis.flows.deployments import create_deployment, remove_deployment
from parvis.testing.processes import fake_engine

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
REPLICA = {
    "id": "smollm2-0",
    "engine": "smollm2",
    "kind": "llama.cpp",
    "address": "here",
    "state": "ready",
    "seen": "open",
    "why": "",
    "in_flight": 0,
    "pace": 1.0,
    "first_byte_ms": 0,
    "load": None,
    "cache": "alone",
}
Parvis = Callable[..., Awaitable[Result]]


@pytest.fixture
def home(tmp_path: Path, kit: Any) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in ("operator.token", "root.key"):
        (home / name).touch(0o600)
        (home / name).write_text(kit.token + "\n")
    return home


def run(home: Path, *words: str, **environ: str) -> Result:
    env = {"PARVIS_HOME": str(home), "COLUMNS": "200", **environ}
    return CliRunner().invoke(main, words, env=env)


@pytest.fixture
async def parvis(premises: Any, kit: Any, home: Path) -> AsyncIterator[Parvis]:
    """Run a command in a thread of its own, while the operator's listener serves here."""
    async with kit.listening(make_app(premises.operator_desk())) as address:
        listen = address.removeprefix("http://")

        async def command(*words: str, **environ: str) -> Result:
            return await asyncio.to_thread(run, home, *words, PARVIS_OPERATOR__LISTEN=listen, **environ)

        yield command


async def good(command: Awaitable[Result]) -> str:
    result = await command
    assert result.exit_code == 0, result.output
    return result.stdout


# Usage


@pytest.fixture
async def used(premises: Any, kit: Any) -> None:
    await premises.use(premises.first, [kit.record(premises.first, n, day=n % 2) for n in range(1, 5)])
    await premises.use(premises.other, [kit.record(premises.other, 9, model=EMBED)])


@pytest.mark.usefixtures("used")
async def test_usage_is_a_table_with_a_total_and_bars(parvis: Parvis) -> None:
    lines = (await good(parvis("usage", "--by", "model"))).splitlines()
    assert lines[0].split() == ["model", "requests", "input", "cached", "output", "reasoning", "cost", "share"]
    total = next(line for line in lines if line.startswith("total"))
    assert total.split()[1:6] == ["5", "190", "19", "57", "10"]
    assert any("█" in line for line in lines)


@pytest.mark.usefixtures("used")
async def test_usage_for_programs_is_whole_numbers(parvis: Parvis) -> None:
    report = json.loads(await good(parvis("usage", "--by", "key,day", "--json")))
    rows = list(csv.DictReader((await good(parvis("usage", "--by", "key,day", "--csv"))).splitlines()))
    assert [int(row["billed_pico_euro"]) for row in rows] == [r["billed"]["pico_euro"] for r in report["data"]]
    assert sum(int(row["billed_pico_euro"]) for row in rows) == report["total"]["billed"]["pico_euro"]
    assert list(rows[0])[:2] == ["key", "day"]


async def test_exports_are_files(parvis: Parvis, tmp_path: Path) -> None:
    report = json.loads(await good(parvis("usage", "--by", "key,day", "--json")))
    await good(parvis("usage", "export", "--by", "key,day", "--to", str(tmp_path / "usage.csv")))
    lines = list(csv.DictReader((tmp_path / "usage.csv").read_text().splitlines()))
    assert [line["billed_pico_euro"] for line in lines] == [str(r["billed"]["pico_euro"]) for r in report["data"]]
    requests = list(csv.DictReader((await good(parvis("requests", "export"))).splitlines()))
    assert len(requests) == report["total"]["requests"]


async def test_usage_of_nothing_is_zero(parvis: Parvis) -> None:
    assert "0 €" in await good(parvis("usage"))
    assert (await good(parvis("usage", "--csv"))).startswith("requests,input,")


@pytest.mark.usefixtures("used")
async def test_requests_are_listed_and_shown(parvis: Parvis) -> None:
    listed = await good(parvis("requests", "list", "--limit", "2"))
    assert "req_first_0003" in listed
    assert "More: parvis requests list --after" in listed
    assert "smollm2-0" in await good(parvis("requests", "show", "req_first_0003"))
    assert json.loads(await good(parvis("requests", "show", "req_first_0003", "--json")))["id"] == "req_first_0003"


# Changing things


async def test_a_key_is_made_listed_and_revoked(parvis: Parvis) -> None:
    text = (await good(parvis("key", "create", "notebook", "--tenant", "first", "--model", CHAT))).strip()
    assert text.startswith("API key: sk-parvis_")
    key_id = text.split("_")[1]
    assert key_id in await good(parvis("key", "list"))
    assert key_id in await good(parvis("key", "revoke", key_id))
    listed = {key["id"]: key for key in json.loads(await good(parvis("key", "list", "--json")))}
    assert (listed[key_id]["active"], listed[key_id]["models"]) == (False, [CHAT])


async def test_models_are_added_listed_and_shown(parvis: Parvis) -> None:
    added = parvis("model", "add", "acme-7b", "--engine", "gpu", "--context", "4096", "--can", "chat", "--alias", "a")
    assert await good(added) == "Added acme-7b.\n"
    assert "acme-7b" in await good(parvis("model", "list"))
    assert (await good(parvis("model", "list", "--csv"))).startswith("id,aliases,state,")
    shown = json.loads(await good(parvis("model", "show", "acme-7b", "--json")))
    assert (shown["engine_model"], shown["aliases"], shown["track"]) == ("acme-7b", ["a"], "stable")
    assert "134515008" in await good(parvis("model", "show", CHAT))


async def test_a_file_is_applied_after_its_diff(parvis: Parvis, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(f'[[models]]\nid = "{CHAT}"\nlicence = "other"\ntags = ["small"]\n')
    dry = await good(parvis("model", "apply", str(file), "--dry-run"))
    assert "licence: Apache-2.0 -> other" in dry
    assert "Nothing was changed" in dry
    assert "licence: Apache-2.0 -> other" in await good(parvis("model", "apply", str(file)))
    assert await good(parvis("model", "apply", str(file))) == f"= {CHAT}\n"


@pytest.mark.parametrize("content", ["models = 3", "[[models]]\nid =", "[other]\n", "\xff"])
async def test_a_file_of_something_else_is_refused(home: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "models.toml"
    file.write_bytes(content.encode("latin-1"))
    result = run(home, "model", "apply", str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {file} ")


async def test_prices_are_said_in_euro(parvis: Parvis) -> None:
    words = ("--input", "1.80", "--output", "8", "--reasoning", "8", "--from", "2999-08-01", "--version", "next")
    assert await good(parvis("price", "add", *words)) == "Added next, valid from 2999-08-01T00:00:00.000Z.\n"
    listed = {price["version"]: price for price in json.loads(await good(parvis("price", "list", "--json")))}
    assert listed["next"]["input_microeuro_per_mtoken"] == listed["next"]["cached_microeuro_per_mtoken"] == 1_800_000
    assert "1.8 €" in await good(parvis("price", "list"))
    units = ("--batch-output", "3", "--audio-minute", "0.01", "--documents", "4", "--version", "units")
    await good(parvis("price", "add", *words[:6], *units))
    listed = {price["version"]: price for price in json.loads(await good(parvis("price", "list", "--json")))}
    assert listed["units"]["per_unit"] == {"audio_minute": "0.01 €", "document": "0.000004 €", "image": None}
    assert listed["units"]["batch_per_mtoken"]["output"] == "3 €"
    assert listed["next"]["batch_per_mtoken"]["input"] == "0.9 €"
    wrong = await parvis("price", "add", "--input", "0.0000001", "--output", "8", "--reasoning", "8")
    assert (wrong.exit_code, wrong.stderr[:16]) == (1, "Error: --input: ")


async def test_credit_is_given(parvis: Parvis) -> None:
    assert "other got 200.5 € (order); balance 200.5 €." in await good(
        parvis("credit", "other", "200.50", "--reference", "order")
    )


async def test_status_shows_what_runs(parvis: Parvis, premises: Any) -> None:
    premises.status |= {"gateways": ["run-7"], "replicas": [REPLICA]}
    shown = await good(parvis("status"))
    assert "run-7" in shown
    assert "smollm2-0" in shown


# What is wrong, in one sentence


async def test_a_refusal_is_one_sentence(parvis: Parvis) -> None:
    result = await parvis("model", "show", "gpt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The catalogue has no model 'gpt'.\n"


def test_a_service_that_is_away_is_named(home: Path) -> None:
    result = run(home, "usage", PARVIS_OPERATOR__LISTEN="127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stderr == "Error: The service does not answer at 127.0.0.1:1. Start it with `parvis up`.\n"


def test_a_folder_without_a_token_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "status"])
    assert result.exit_code == 1
    assert "operator.token. Start the service with `parvis up`" in result.stderr


def test_a_wrong_option_is_another_status(home: Path) -> None:
    assert run(home, "usage", "--colour").exit_code == 2


def test_a_wrong_setting_is_one_sentence(home: Path) -> None:
    result = run(home, "status", PARVIS_OPERATOR__PORT="1")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


# Settings


def test_the_settings_are_shown_without_passwords(home: Path) -> None:
    url = "postgresql://parvis:very-secret@db.example:5432/parvis"
    shown = run(home, "config", "show", PARVIS_STORE__URL=url).stdout
    assert 'url = "postgresql://parvis:***@db.example:5432/parvis"' in shown
    assert json.loads(run(home, "config", "show", "--json").stdout)["home"] == str(home)


def test_what_is_shown_can_be_the_settings(home: Path) -> None:
    shown = run(home, "config", "show").stdout
    (home / "parvis.toml").write_text(shown)
    assert run(home, "config", "check").stdout == f"{home}/parvis.toml is right.\n"
    again = run(home, "config", "show").stdout.splitlines()
    assert again == [line for line in shown.splitlines() if not line.startswith("#")]  # nothing is left to choose


def test_the_schema_is_json(home: Path) -> None:
    assert "$defs" in json.loads(run(home, "config", "schema").stdout)


# The doctor


async def test_a_healthy_installation_is_well(parvis: Parvis, premises: Any) -> None:
    premises.status |= {"ready": True, "gateways": ["run"], "replicas": [REPLICA]}
    free = {"PARVIS_INFERENCE__LISTEN": "127.0.0.1:0", "PARVIS_CONSOLE__LISTEN": "127.0.0.1:0"}
    report = json.loads(await good(parvis("doctor", "--json", **free)))
    states = {check["what"]: check["state"] for check in report["checks"]}
    assert report["ok"]
    assert states["ledger"] == states["service"] == states["weights of smollm2"] == states["port of operator"] == "ok"


async def test_the_doctor_knows_deployments_and_that_auto_entries_have_no_engine(parvis: Parvis, premises: Any) -> None:
    yard, address = premises.operator_desk().yard, Address("http://127.0.0.1:1")
    await create_deployment(yard, Deployment(deployment_id="small-chat", pool="", model="small", addresses=(address,)))
    policy = AutoPolicy((AutoCandidate("small"),))
    auto = Model(id="auto", engine="", engine_model="", context_tokens=0, capabilities=(), auto=policy)
    await premises.store.put_model(auto)
    assert (await catalogue_found(parvis))["state"] == "ok"
    await remove_deployment(yard, "small-chat")
    found = await catalogue_found(parvis)
    assert (found["state"], found["detail"]) == ("problem", "no such engine: small (small-chat)")


async def catalogue_found(parvis: Parvis) -> Any:
    """What the doctor says of the catalogue."""
    report = json.loads((await parvis("doctor", "--json")).stdout)
    return next(check for check in report["checks"] if check["what"] == "catalogue")


def test_an_installation_that_was_never_started_is_no_problem(tmp_path: Path) -> None:
    listen = {f"PARVIS_{name}__LISTEN": "127.0.0.1:0" for name in ("INFERENCE", "CONSOLE", "OPERATOR")}
    result = run(tmp_path / "none", "doctor", **listen)
    assert result.exit_code == 0, result.output
    assert "`parvis up` makes it" in result.output


def neglect(home: Path) -> None:
    """Everything in a data folder that can be wrong."""
    home.chmod(0o755)
    (home / "operator.token").chmod(0o644)
    engines = '[engines.far]\naddresses = ["http://127.0.0.1:1"]\n[engines.own]\nweights = "/nowhere.gguf"\n'
    (home / "parvis.toml").write_text(engines)


async def test_every_problem_has_its_remedy(parvis: Parvis, home: Path, kit: Any) -> None:
    neglect(home)
    with kit.occupied() as port:
        result = await parvis("doctor", "--json", PARVIS_INFERENCE__LISTEN=f"127.0.0.1:{port}")
    problems = {check["what"]: check for check in json.loads(result.stdout)["checks"] if check["state"] == "problem"}
    assert result.exit_code == 1
    assert problems.keys() >= {
        "data folder",
        "operator.token",
        "weights of own",
        "engine far",
        "port of inference",
        "service",
        "catalogue",
    }
    assert all(check["fix"] for check in problems.values())
    assert problems["operator.token"]["fix"] == f"chmod 600 {home}/operator.token"


def test_wrong_settings_are_a_finding(home: Path) -> None:
    (home / "parvis.toml").write_text("colour = 1")
    result = run(home, "doctor")
    assert result.exit_code == 1
    assert "settings" in result.output


# Chat


def chat(home: Path, address: str, *words: str, **given: Any) -> Result:
    env = {"PARVIS_HOME": str(home), "OPENAI_API_KEY": "sk-test"}
    return CliRunner().invoke(main, ["chat", "--url", f"{address}/v1", *words], env=env, **given)


def test_one_message_gets_one_answer_and_its_tokens(home: Path) -> None:
    with fake_engine() as engine:
        result = chat(home, engine.address, "--model", "fake-8b", "--message", "Hello")
        [asked] = engine.ended(count=1)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "tokens in" in result.stderr
    assert asked.body["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_conversation_is_kept(home: Path) -> None:
    with fake_engine() as engine:
        result = chat(home, engine.address, "--model", "fake-8b", input="Hello\nAnd then?\n\n")
        first, second = engine.ended(count=2)
    assert result.exit_code == 0, result.output
    assert [len(asked.body["messages"]) for asked in (first, second)] == [1, 3]


@pytest.mark.parametrize("fault", ["@cut_after=3", "@no_done", "@garbage", "@error_event", "@drop", "@status=503"])
def test_an_answer_that_is_not_whole_is_a_failure(home: Path, fault: str) -> None:
    with fake_engine() as engine:
        result = chat(home, engine.address, "--model", "fake-8b", "--message", f"Hello {fault}")
    code = 3 if "503" in fault else 1
    assert (result.exit_code, result.stderr.count("Error: "), result.stderr.count("\n")) == (code, 1, 1)


def test_the_model_called_default_is_taken(home: Path, premises: Any) -> None:
    with fake_engine() as engine:
        result = chat(home, engine.address, "--message", "Hello")
    assert result.exit_code == 1
    assert "No model that can chat is served to this key" in result.stderr


def test_without_a_key_it_says_where_to_put_one(home: Path) -> None:
    result = run(home, "chat", "--message", "Hello", OPENAI_API_KEY="")
    assert result.exit_code == 1
    assert "OPENAI_API_KEY" in result.stderr


def test_an_error_in_a_stream_is_said() -> None:
    with pytest.raises(Failure, match="broke"):
        list(events(['data: {"choices": []}', "", 'data: {"error": {"message": "it broke"}}']))
    with pytest.raises(Failure, match="cut"):
        list(events(['data: {"choices": []}']))


# How things look


def test_a_share_is_drawn_to_an_eighth() -> None:
    assert [bar(part, 16, 2) for part in (0, 1, 8, 15, 16)] == ["", "▏", "█", "█▉", "██"]
    assert bar(0, 0) == ""


def test_no_text_takes_over_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\n") == "a[31mb\n"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "fr_CA"}, "fr"),
        ({"LANG": "fr_FR", "LC_ALL": "de_DE"}, "de"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_service_is_asked_in_the_language_of_the_terminal(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


async def test_a_change_of_nothing_and_a_scale_of_addresses_are_refused(parvis: Parvis) -> None:
    made = await parvis("deploy", "create", "far", "--kind", "vllm", "--model", "far-8b", "--address", "http://h:1")
    assert made.exit_code == 0, made.stderr
    assert (await parvis("deploy", "change", "far")).exit_code == 2
    scaled = await parvis("deploy", "scale", "far", "3")
    assert (scaled.exit_code, "each of its addresses" in scaled.stderr) == (1, True)


async def test_a_server_for_gpus_is_started_as_the_catalogue_says(parvis: Parvis) -> None:
    said = json.loads((await parvis("engines", "settings", CHAT, "--kind", "vllm", "--gpus", "2", "--json")).stdout)
    assert "--max-model-len 4096" in said["command"]
    assert "--tensor-parallel-size 2" in said["command"]
    assert said["settings"].startswith(f"[engines.{CHAT}]\n")
    refused = await parvis("engines", "settings", CHAT, "--kind", "sglang", "--context", "64")
    assert refused.exit_code == 1
    assert "promises 4096 tokens" in refused.stderr
