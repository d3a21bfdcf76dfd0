"""How the fleet looks in terminals: whatever their width, which replica takes no requests is seen, and why."""

import io
from typing import Any

import pytest
from rich.console import Console

from parvis.cli.fleet_screen import screen

MUCH, LITTLE = 40, 14
REASON = "Its first bytes take 12340 ms, those of its pool 100 ms, and that is much too long for anybody to wait."


def replica(name: str, state: str, why: str = "") -> dict[str, Any]:
    facts = {"in_flight": 1, "slots": 8, "tokens_per_s": 12.0, "first_byte_ms": 90}
    return {"replica_id": name, "state": state, "why": why, "since": "2026-05-01T10:00:00Z", **facts}


def pool(name: str, *replicas: dict[str, Any]) -> dict[str, Any]:
    facts = {"open": 1, "in_flight": 3, "slots": 24, "waiting": 7, "tokens_per_s": 36.0}
    return {"pool": name, "replicas": list(replicas), **facts}


FLEET = {
    "at": "2026-05-01T10:05:00Z",
    "gateways": ["one", "two"],
    "requests_per_s": 3.2,
    "tokens_per_s": 72.0,
    "per_hour": {"pico_euro": 10**12},
    "pools": [
        pool("big", replica("big-0", "open"), replica("big-of-a-machine-with-a-long-name", "closed", REASON)),
        pool("größe-七", replica("other-0", "returning", "It comes back slowly."), replica("other-1", "open")),
    ],
    "talkers": [{"tenant_id": "acme", "requests_per_s": 2.0, "tokens_per_s": 30, "per_hour": {"pico_euro": 1}}],
}


def picture(columns: int, lines: int = MUCH, **more: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, highlight=False, **more)
    console.print(screen(FLEET, columns, lines))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_states_and_reasons_stay(columns: int) -> None:
    lines = picture(columns)
    whole = " ".join(" ".join(lines).split())
    assert REASON in whole
    assert all(len(line) <= columns for line in lines)
    assert sum("closed" in line and "big-of-a-machine" in line for line in lines) == 1
    [head] = [line for line in lines if line.startswith("replica")]
    assert ("tokens/s" in head, "first byte" in head) == (columns >= 80, columns >= 100)
    assert any(line.endswith("5m  It comes back slowly.") for line in lines) == (columns >= 120)


@pytest.mark.parametrize("columns", [60, 200])
def test_what_takes_no_requests_is_shown_first(columns: int) -> None:
    lines = picture(columns, LITTLE)
    assert any("closed" in line for line in lines)
    assert REASON in " ".join(" ".join(lines).split())
    assert not any("big-0" in line for line in lines)
    assert any("and 1 more" in line for line in lines)


def test_nothing_is_coloured_where_no_terminal_is() -> None:
    assert "\x1b" not in "".join(picture(120))
    assert "\x1b[31mclosed" in "".join(picture(120, force_terminal=True, color_system="standard"))
