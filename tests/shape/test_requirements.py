"""The locks are complete and hashed, name no address, and every direct dependency has its written reason."""

import re
import tomllib
from pathlib import Path

import pytest

LOCKS = ("build", "dev", "runtime", "weights")
DIRECT_MAX = 25
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[\w.+!]+)(?: ; [^\\]+)?")
ADDRESS = re.compile(r"://|@|--(?:index-url|extra-index-url|find-links|trusted-host)|(?:^|\s)[/~]|file:/")


def lock(root: Path, name: str) -> str:
    return (root / "requirements" / f"{name}.txt").read_text()


def pins(text: str) -> dict[str, str]:
    """Every locked package and its version."""
    return {found["name"]: found["version"] for line in text.splitlines() if (found := PIN.match(line))}


def direct(root: Path) -> set[str]:
    """Names of the packages that we ask for ourselves when the service runs, models included."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] + project["dependency-groups"]["weights"]
    return {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0] for line in asked}


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_pinned_and_hashed(root: Path, name: str) -> None:
    code = re.sub(r"(?m)^ *#.*\n?", "", lock(root, name))
    entries = re.sub(r"\\\n\s*", " ", code).splitlines()
    hashed = re.compile(PIN.pattern + r"(?: +--hash=sha256:[0-9a-f]{64})+ *")
    assert entries
    assert [entry[:60] for entry in entries if entry and not hashed.fullmatch(entry)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_address(root: Path, name: str) -> None:
    assert [line for line in lock(root, name).splitlines() if ADDRESS.search(line)] == []


def test_the_locks_agree_with_one_another(root: Path) -> None:
    dev = pins(lock(root, "dev"))
    others = pins(lock(root, "runtime")) | pins(lock(root, "build"))
    assert others.items() - dev.items() == set()


def test_every_direct_dependency_is_locked_and_has_its_reason(root: Path) -> None:
    asked = direct(root)
    locked = pins(lock(root, "runtime")) | pins(lock(root, "weights"))
    reasons = "\n".join(page.read_text() for page in (root / "docs" / "adr").glob("*.md"))
    assert asked - locked.keys() == set()
    assert {name for name in asked if f"`{name}`" not in reasons} == set()
    assert len(asked) < DIRECT_MAX
