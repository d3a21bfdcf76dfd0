"""What mypyc compiles (the list stands in `pyproject.toml`) keeps clear of what it compiles wrongly."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
COMPILED = [path.lstrip("/") for path in HOOK["mypyc"]["include"]]


def lost_raises(source: str) -> list[int]:
    """Lines with a bare `raise` in a handler that awaits: compiled, it no longer knows what to raise."""
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    inside = [list(ast.walk(handler)) for handler in handlers]
    awaiting = [nodes for nodes in inside if any(isinstance(node, ast.Await) for node in nodes)]
    return [node.lineno for nodes in awaiting for node in nodes if isinstance(node, ast.Raise) and node.exc is None]


@pytest.mark.parametrize("path", COMPILED)
def test_no_bare_raise_stands_behind_an_await(path: str) -> None:
    assert lost_raises((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", COMPILED)
def test_no_struct_is_compiled(path: str) -> None:
    bases = [
        ast.unparse(base)
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    ]
    assert not [base for base in bases if base in ("Struct", "msgspec.Struct")]


def test_a_bare_raise_behind_an_await_is_found() -> None:
    source = "async def story():\n  try:\n    pass\n  except ValueError:\n    await end()\n    raise\n"
    assert lost_raises(source) == [6]
    assert lost_raises(source.replace("await ", "")) == []
