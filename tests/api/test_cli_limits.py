"""`parvis limit`, `budget` and `tier`, against a real operator listener; and what else the operator decides there."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from parvis.api.operator.app import make_app
from parvis.cli.main import main
from parvis.core.money import Money
from parvis.domain.identity.organisation import Exhaustion
from parvis.domain.quota.limit import Limits, Metric, Rate, Window

Run = Callable[..., Awaitable[Result]]
Parvis = Callable[..., Awaitable[Any]]
MINUTE = Rate(Metric.REQUESTS, Window.MINUTE, 60)


@pytest.fixture
async def run(premises: Any, kit: Any, tmp_path: Path) -> AsyncIterator[Run]:
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
            return await asyncio.to_thread(lambda: CliRunner().invoke(main, words, env=env))

        yield command


@pytest.fixture
def parvis(run: Run) -> Parvis:
    """What a command that works prints, as JSON."""

    async def good(*words: str) -> Any:
        result = await run(*words, "-o", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return good


async def test_a_key_gets_a_budget_when_it_is_made_and_another_later(parvis: Parvis, run: Run, premises: Any) -> None:
    made = await parvis(
        "key", "create", "app", "--tenant", "other", "--budget-euro", "5", "--requests-per-minute", "60"
    )
    assert made["limits"] == {"requests_per_minute": 60, "monthly_euro": "5"}
    named = f"key:{made['id']}"
    assert await premises.store.limits_in_force([named]) == {named: Limits((MINUTE,), monthly=Money.euro(5))}
    assert "requests per minute 60, monthly euro 5" in (await run("key", "show", made["id"])).stdout
    changed = await parvis("budget", "set", named, "7.50", "--notice-percents", "50,90")
    assert changed["set"] == {"requests_per_minute": 60, "monthly_euro": "7.5", "notice_percents": [50, 90]}
    [listed] = await parvis("budget", "list")
    assert (listed["subject"], listed["budget"]["left"]["text"]) == (named, "7.5 €")
    table = (await run("budget", "list")).stdout
    assert named in table
    assert "7.5 €" in table
    assert premises.announced


async def test_a_limit_is_set_beside_others_and_taken_away(parvis: Parvis, run: Run) -> None:
    said = ("--requests-per-minute", "60", "--concurrent-requests", "4", "--notice-euro", "3")
    assert (await parvis("limit", "set", "tenant:other", *said))["set"]["concurrent_requests"] == 4
    later = await parvis("limit", "set", "tenant:other", "--requests-per-minute", "", "--output-tokens-per-day", "9")
    assert later["set"] == {"output_tokens_per_day": 9, "concurrent_requests": 4, "notice_euro": "3"}
    assert [one["subject"] for one in await parvis("limit", "list")] == ["tenant:other"]
    assert "concurrent requests 4" in (await run("limit", "list")).stdout
    assert "concurrent requests 4" in (await run("limit", "show", "tenant:other")).stdout
    assert (await parvis("limit", "clear", "tenant:other"))["set"] == {}
    assert await parvis("limit", "list") == []


async def test_around_a_key_all_that_it_is_inside_of_is_shown(parvis: Parvis, run: Run, premises: Any) -> None:
    key_id = premises.other.key.key_id
    await parvis("limit", "set", "organisation:first", "--requests-per-day", "1000")
    shown = await parvis("limit", "show", f"key:{key_id}")
    assert [one["level"] for one in shown] == ["contract", "organisation", "tenant", "key"]
    assert "requests per day 1000" in (await run("limit", "show", f"key:{key_id}")).stdout


async def test_a_tier_is_made_sold_and_changed_for_all_who_have_it(parvis: Parvis, run: Run, premises: Any) -> None:
    assert [tier["id"] for tier in await parvis("tier", "list")][:2] == ["enterprise", "high-volume"]
    made = await parvis(
        *("tier", "set", "gold", "--name", "Gold", "--name-fr", "Or", "--entry-credit-euro", "50"),
        *("--budget-euro", "100", "--requests-per-minute", "60"),
    )
    assert (made["name_fr"], made["entry_credit"]["text"], made["priority"]) == ("Or", "50 €", 0)
    changed = await parvis("tenant", "change", "other", "--tier", "gold", "--exhaustion", "refuse", "--name", "Else")
    assert (changed["tier_id"], changed["exhaustion"], changed["name"]) == ("gold", "refuse", "Else")
    await parvis("tier", "set", "gold", "--budget-euro", "", "--priority", "2")
    shown = await parvis("tier", "show", "gold")
    assert (shown["limits"], shown["priority"], shown["entry_credit"]["text"]) == (
        {"requests_per_minute": 60},
        2,
        "50 €",
    )
    assert await premises.store.limits_in_force() == {"contract:other": Limits((MINUTE,), priority=2)}
    agreed = await parvis("limit", "set", "contract:other", "--budget-euro", "9")
    assert (agreed["tier"], agreed["set"]) == ("gold", {"monthly_euro": "9"})
    assert agreed["in_force"] == {"requests_per_minute": 60, "monthly_euro": "9"}
    assert "Gold" in (await run("tier", "list")).stdout
    assert (await parvis("tenant", "change", "other", "--tier", ""))["tier_id"] is None
    made = await parvis("tenant", "create", "first", "New", "--id", "new", "--tier", "gold")
    assert (made["tier_id"], made["exhaustion"]) == ("gold", Exhaustion.CLIP)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("limit", "set", "tenant:other"), 2, "Say at least one limit"),
        (("limit", "set", "tenant:other", "--requests-per-minute", "many"), 1, "no number"),
        (("limit", "set", "tenant:none", "--requests-per-minute", "1"), 1, "no such object"),
        (("budget", "set", "tenant:other"), 2, "Say an amount"),
        (("tier", "show", "none"), 1, "no tier"),
        (("tenant", "change", "other", "--tier", "none"), 1, "no tier"),
        (("tier", "set", "Gold"), 1, "small letters"),
    ],
)
async def test_what_cannot_be_is_said(run: Run, words: tuple[str, ...], code: int, sentence: str) -> None:
    result = await run(*words)
    assert result.exit_code == code, result.output
    assert sentence in " ".join(result.output.split())


FILE = """
tiers:
  - {id: gold, name: Gold, entry_credit_euro: "50.00", limits: {requests_per_minute: 60, monthly_euro: "100.0"}}
organisations:
  - id: acme
    limits: {monthly_euro: "1000"}
    tenants:
      - id: acme-prod
        tier: gold
        exhaustion: refuse
        limits: {concurrent_requests: 8}
        agreed: {monthly_euro: "200"}
        projects: [{id: search, limits: {requests_per_day: 1000}}]
        keys: [{name: backend, limits: {monthly_euro: "5.00"}}]
"""


async def test_a_file_declares_tiers_contracts_and_limits(parvis: Parvis, premises: Any, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(FILE)
    words = ("apply", str(file))
    await parvis(*words, "--show-new-keys-to", str(tmp_path / "secrets"))
    key_id = next(key.key_id for key in await premises.store.keys() if key.name == "backend")
    set_on = {
        "contract:acme-prod": {"requests_per_minute": 60, "monthly_euro": "200"},
        "organisation:acme": {"monthly_euro": "1000"},
        "tenant:acme-prod": {"concurrent_requests": 8},
        "project:search": {"requests_per_day": 1000},
        f"key:{key_id}": {"monthly_euro": "5"},
    }
    for named, expected in set_on.items():
        [shown] = [one for one in await _states(parvis, named) if one["subject"] == named]
        assert shown["in_force"] == expected
    version = await premises.store.directory_version()
    again = await parvis(*words)
    assert {change["sign"] for change in again["data"]} == {"same"}
    assert await premises.store.directory_version() == version
    file.write_text(FILE.replace('{monthly_euro: "5.00"}', "{}"))
    await parvis(*words)
    assert await premises.store.limits_set([f"key:{key_id}"]) == {}


async def _states(parvis: Parvis, named: str) -> list[dict[str, Any]]:
    shown = await parvis("limit", "show", named)
    return shown if isinstance(shown, list) else [shown]
