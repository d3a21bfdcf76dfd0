"""`parvis simulate`, as somebody types it: its forms, its refusals, and the files that it reads and writes."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--find", "machines", "--requests", "9"), "leave --requests out"),
        (("--find", "machines", "--traffic", "any.jsonl"), "leave --traffic out"),
        (("--p99-ms", "900"), "say --find machines"),
        (("--traffic", "any.jsonl", "--times", "2"), "leave --times out"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words: tuple[str, ...], said: str) -> None:
    refused = simulate(*words)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("= 200,", "= -100,", "[pools.chat.traffic]: `output_tokens_per_s` is -100. It must be more than 0"),
        ("= 200,", "= 200, answer_tokens = 0,", "`answer_tokens` is 0"),
        ("= 200,", "= 200, calm_s = 0,", "`calm_s` is 0"),
        ("= 200,", "= 200, tenants = 0,", "`tenants` is 0. It must be at least 1 and at most 1,000,000"),
        ("= 200,", "= nan,", "`output_tokens_per_s` is nan"),
        ("faults = ", "gateways = 0\nfaults = ", "The scenario: `gateways` is 0. It must be at least 1 and at most 64"),
        (", first_token_ms = 300", "", "[pools.chat.goal] does not say `first_token_ms`"),
        ('gpu = "8b-h100"', 'gpu = ["8b-h100"]', "[pools.chat] has no known `gpu`"),
        ("hours = 0.01", "hours = -1", "`hours` is -1"),
        ("machines = 2", "", "[pools.chat] does not say `machines`"),
        ("machines = 2", "machines = 0", "[pools.chat]: `machines` is 0"),
        ("machines = 2", "machines = 2\nslots = -3", "`slots` is -3"),
        ("output_tokens_per_s = 200, ", "", "[pools.chat.traffic] does not say `output_tokens_per_s`"),
        ('faults = "harsh"', "faults = { crash_hours = -1 }", "[faults]: `crash_hours` is -1. It must be 0, or"),
        ('faults = "harsh"', "faults = { slow_hours = 1e-9 }", "[faults]: `slow_hours` is 1e-09"),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name(before: str, after: str, said: str, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    assert before in FLEET
    fleet.write_text(FLEET.replace(before, after))
    refused = simulate(str(fleet))
    assert refused.exit_code == 1
    assert said in refused.output


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"", "There is no request in"),
        (b'{"at_ms": -1, "pool": "70b", "prompt_tokens": 9, "output_tokens": 9}', "`at_ms` is -1"),
        (b'{"at_ms": 0, "pool": "70b", "prompt_tokens": -489, "output_tokens": 9}', "`prompt_tokens` is -489"),
        (b"\xff", "is no text in UTF-8"),
    ],
    ids=["absent", "empty", "early", "negative", "no text"],
)
def test_traffic_that_cannot_be_is_refused(traffic: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    if traffic is not None:
        path.write_bytes(traffic)
    refused = simulate("--traffic", str(path))
    assert refused.exit_code == 1
    assert said in refused.output


def test_what_the_table_says_is_drawn(tmp_path: Path) -> None:
    chart = tmp_path / "times.svg"
    told = simulate(*SHORT, "--policy", "parvis", "--policy", "round-robin", "--chart", str(chart), "-o", "json")
    assert told.exit_code == 0, told.output
    drawing = ET.parse(chart).getroot()  # noqa: S314 - our own
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    rows = [row for run in json.loads(told.output) for row in run["pools"]]
    assert [f"70b, 2 machines, {row['policy']}" in words for row in rows] == [True, True]
    for row in rows:
        for one in ("p50_ms", "p95_ms", "p99_ms"):
            ms = row[one]
            assert (f"{ms:,.0f}" if ms >= 100 else f"{ms:,.1f}".removesuffix(".0")) in words
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 6


def test_a_record_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    refused = simulate(*SHORT, "--record", str(tmp_path / "nowhere" / "traffic.jsonl"))
    assert refused.exit_code == 1
    assert "cannot be written: No such file" in refused.output


def test_a_goal_out_of_reach_is_said() -> None:
    refused = simulate(*SHORT, "--find", "machines", "--p99-ms", "1")
    assert refused.exit_code == 1
    assert "Pool '70b' cannot keep p99 <= 1 ms" in refused.output


def test_programs_get_numbers_where_people_get_percent_and_bars() -> None:
    told, listed = simulate(*SHORT, "-o", "json").output, simulate(*SHORT, "-o", "csv").output
    (pool,) = json.loads(told)["pools"]
    assert all(0 <= pool[name] <= 1 for name in ("answered", "busy", "cached"))
    assert "%" not in told + listed
