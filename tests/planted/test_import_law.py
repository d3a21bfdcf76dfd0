"""Planted on purpose: imports that break the law. The check proves itself by turning red at each of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VIOLATIONS = {
    "a decision that acts": ("domain/billing/planted.py", "import parvis.adapters.store"),
    "two adapters that meet": ("adapters/link/planted.py", "import parvis.adapters.journal"),
    "a listener that knows another": ("api/inference/planted.py", "import parvis.api.operator"),
    "two rooms of the domain that meet": ("domain/quota/planted.py", "import parvis.domain.billing"),
    "a story that acts": ("flows/planted.py", "import parvis.adapters.journal"),
    "a story that reads the wire": ("flows/planted.py", "import parvis.wire"),
    "an adapter that tells a story": ("adapters/link/planted.py", "import parvis.flows.serve"),
    "an adapter that writes SQL outside the store": ("adapters/journal/planted.py", "import sqlalchemy"),
    "a gateway that starts children": ("app/planted.py", "import parvis.adapters.processes"),
    "a product that leans on its test double": ("app/planted.py", "import parvis.testing"),
    "a codec that calls out": ("wire/planted.py", "import httpx"),
    "a room without a floor": ("planted/__init__.py", ""),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source and the law, apart from the checkout, so that nothing planted can be left behind."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the import law on this tree, as `make check` does on the checkout."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = os.environ | {"PYTHONPATH": str(tree / "src")}
    return subprocess.run(command, cwd=tree, env=env, check=False, capture_output=True, text=True, timeout=100)


def test_the_clean_tree_keeps_the_law(copy: Path) -> None:
    done = check(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_planted_violation_turns_the_check_red(copy: Path, violation: str) -> None:
    path, line = VIOLATIONS[violation]
    file = copy / "src" / "parvis" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'"""Planted."""\n\n{line}\n')
    done = check(copy)
    assert done.returncode == 1, done.stdout
    assert "planted" in done.stdout
