"""Every room has its page, and every example that a docstring shows is run."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
ROOMS = sorted(SOURCE.rglob("__init__.py"))
EXAMPLES = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text())


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("page", ROOMS, ids=dotted)
def test_a_room_has_a_page_and_imports_nothing(page: Path) -> None:
    tree = ast.parse(page.read_text())
    words = ast.get_docstring(tree)
    assert words is not None
    assert len(words.splitlines()) >= 3
    assert len(tree.body) == 1, "a page that imports would load its whole room into every process that passes by"


def test_the_examples_of_docstrings_run() -> None:
    failed = {dotted(path): doctest.testmod(importlib.import_module(dotted(path))).failed for path in EXAMPLES}
    assert {name for name, count in failed.items() if count} == set()
