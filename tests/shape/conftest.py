"""The source tree as these tests read it: files and syntax trees, nothing imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(tree: ast.Module) -> Iterator[str]:
    """The top name of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def trees() -> dict[str, ast.Module]:
    """Every module of the product: its path below `src/parvis`, and its syntax tree."""
    source = ROOT / "src" / "parvis"
    return {path.relative_to(source).as_posix(): ast.parse(path.read_text()) for path in sorted(source.rglob("*.py"))}


@pytest.fixture(scope="session")
def imports(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """The packages that each module imports, by their top names."""
    return {path: set(imported(tree)) for path, tree in trees.items()}
