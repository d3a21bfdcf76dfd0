"""`parvis simulate`, as somebody types it: its forms, its refusals, and the files that it reads and writes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from parvis.cli.main import main

SHORT = ("--hours", "0.01", "--pool", "70b")
FLEET = """
hours = 0.01
faults = "harsh"

[pools.chat]
gpu = "8b-h100"
machines = 2
goal = { percentile = 95, first_token_ms = 300 }
traffic = { output_tokens_per_s = 200, think_s = 5 }
"""


def simulate(*words: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *words])


def test_the_service_is_simulated_for_people_and_for_programs() -> None:
    shown, told = simulate(*SHORT), simulate(*SHORT, "-o", "json")
    assert shown.exit_code == told.exit_code == 0, shown.output + told.output
    assert "met: p99 < 1000 ms" in shown.output
    figures = json.loads(told.output)
    assert figures["simulated"] is True
    assert [pool["pool"] for pool in figures["pools"]] == ["70b"]
    assert figures["requests"] == figures["pools"][0]["requests"] > 0


def test_policies_are_compared_in_one_table() -> None:
    lines = simulate(*SHORT, "--policy", "parvis", "--policy", "round-robin", "-o", "csv").output.splitlines()
    assert [line.split(",")[0] for line in lines] == ["policy", "parvis", "round-robin"]


def test_the_planner_answers_with_a_number_of_machines() -> None:
    found = json.loads(simulate(*SHORT, "--find", "machines", "--p99-ms", "900", "-o", "json").output)
    assert found[0]["machines"] >= 1
    assert found[0]["first_token_ms"] <= 900


def test_recorded_traffic_gives_what_was_recorded(tmp_path: Path) -> None:
    fleet, traffic = tmp_path / "fleet.toml", tmp_path / "traffic.jsonl"
    fleet.write_text(FLEET)
    assert simulate(str(fleet), "--requests", "9", "--record", str(traffic)).exit_code == 0
    assert len(traffic.read_text().splitlines()) == 9
    told = simulate(str(fleet), "--traffic", str(traffic), "-o", "json")
    assert json.loads(told.output)["requests"] == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.toml",), "no such file"),
        (("service", "--pool", "3b"), "There are: 8b, 13b, 70b"),
        (("service", "--faults", "some"), "There are: none, usual, harsh"),
    ],
    ids=["file", "pool", "faults"],
)
def test_a_refusal_names_what_there_is(words: tuple[str, ...], said: str) -> None:
    refused = simulate(*words)
    assert refused.exit_code == 1
    assert said in refused.output
