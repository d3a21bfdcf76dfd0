"""`parvis key`, against a real operator listener: the life of a key as an operator leads it."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from parvis.api.operator.app import make_app
from parvis.cli.main import main
from parvis.cli.spans import write_span
from parvis.flows.keys import key_named
from parvis.flows.rotation import next_secret

Parvis = Callable[..., Awaitable[str]]


@pytest.fixture
async def run(premises: Any, kit: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Result]]]:
    for name in ("operator.token", "root.key"):
        (tmp_path / name).write_text(kit.token)
        (tmp_path / name).chmod(0o600)
    async with kit.listening(make_app(premises.operator_desk())) as address:
        env = {
            "PARVIS_HOME": str(tmp_path),
            "PARVIS_OPERATOR__LISTEN": address.removeprefix("http://"),
            "COLUMNS": "250",
        }

        async def command(*words: str) -> Result:
            return await asyncio.to_thread(lambda: CliRunner().invoke(main, ["key", *words], env=env))

        yield command


@pytest.fixture
def parvis(run: Callable[..., Awaitable[Result]]) -> Parvis:
    async def good(*words: str) -> str:
        result = await run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    return good


TERMS = (
    *(
        "--tenant",
        "other",
        "--model",
        "smollm2*",
        "--deny",
        "*-mini",
        "--endpoint",
        "chat",
        "--address",
        "192.0.2.0/24",
    ),
    *("--ends", "2099-01-01", "--every", "90d", "--overlap", "2d", "--tag", "a", "--tag", "b"),
)


async def test_a_key_is_made_with_all_that_can_be_said_of_it(parvis: Parvis, premises: Any) -> None:
    made = json.loads(await parvis("create", "app", *TERMS, "--json"))
    key = await key_named(premises.store, made["id"])
    assert (key.tenant_id, key.name, key.tags) == ("other", "app", ("a", "b"))
    assert key.scope.models_allowed == ("smollm2*",)
    assert key.scope.models_denied == ("*-mini",)
    assert (key.scope.endpoints, key.scope.addresses) == (("chat",), ("192.0.2.0/24",))
    assert key.schedule is not None
    assert (key.schedule.every_ms, key.schedule.overlap_ms) == (90 * 86_400_000, 2 * 86_400_000)
    shown = await parvis("create", "other app", "--tenant", "first")
    assert shown.startswith("API key: sk-parvis_")


async def test_keys_are_listed_in_every_form_and_filtered(parvis: Parvis, premises: Any) -> None:
    made = json.loads(await parvis("create", "app", *TERMS, "--json"))
    assert len(json.loads(await parvis("list", "--json"))) == 3
    assert [key["id"] for key in yaml.safe_load(await parvis("list", "--tag", "b", "-o", "yaml"))] == [made["id"]]
    [row] = csv.DictReader(StringIO(await parvis("list", "--tenant", "first", "-o", "csv")))
    assert (row["id"], row["phase"], row["last_used_at"]) == (premises.first.key.key_id, "current", "-")
    assert made["id"] in await parvis("list", "--phase", "current")
    assert json.loads(await parvis("list", "--phase", "due", "--json")) == []
    assert len(json.loads(await parvis("list", "--limit", "1", "--json"))) == 1
    await parvis("revoke", made["id"])
    assert made["id"] not in await parvis("list", "--active")


async def test_a_change_keeps_what_was_not_said(parvis: Parvis, premises: Any) -> None:
    key_id = json.loads(await parvis("create", "app", *TERMS, "--json"))["id"]
    assert "Changed" in await parvis(
        "change", key_id, "--name", "renamed", "--overlap", "3d", "--deny", "", "--ends", ""
    )
    key = await key_named(premises.store, key_id)
    assert key.schedule is not None
    assert (key.name, key.tags, key.scope.models_denied, key.ends_unix_ms) == ("renamed", ("a", "b"), (), None)
    assert [write_span(ms // 1000) for ms in (key.schedule.every_ms, key.schedule.overlap_ms)] == ["90d", "3d"]
    await parvis("change", key_id, "--no-schedule")
    assert (await key_named(premises.store, key_id)).schedule is None


async def test_a_rotation_is_started_extended_and_ended_from_here(parvis: Parvis, run: Any, premises: Any) -> None:
    key_id = premises.first.key.key_id
    assert "is due" in await parvis("rotate", key_id)
    assert "works until" in await parvis("extend", key_id, "--by", "60d")
    await parvis("extend", key_id, "--until", "2028-01-01")
    desk = premises.operator_desk()
    await next_secret(desk.store, desk.mint, key_id, premises.first.key.secrets[0].made_unix_ms)
    shown = await parvis("show", key_id)
    assert "secret 1" in shown
    assert "secret 2" in shown
    assert "overlap" in shown
    assert json.loads(await parvis("show", key_id, "--json"))["rotation"]["phase"] == "overlap"
    await parvis("end-old-secret", key_id)
    assert "secret 2" not in await parvis("show", key_id)
    assert (await run("end-old-secret", key_id)).exit_code == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "nothing"), 1),
        (("extend", "x"), 2),
        (("extend", "x", "--by", "1d", "--until", "2028-01-01"), 2),
        (("create", "app", "--every", "soon"), 2),
        (("create", "app", "--endpoint", "nothing"), 1),
        (("create", "app", "--model", "gpt"), 1),
    ],
)
async def test_what_cannot_be_is_refused(run: Any, words: tuple[str, ...], code: int) -> None:
    result = await run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
