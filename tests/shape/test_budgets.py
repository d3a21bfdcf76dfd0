"""Size budgets. Medians say little; the tails are where a house stops being liveable, so both are kept.

Docstrings do not count in a function: nobody should save a sentence to stay inside. Files that hold only a
page, and functions that hold only a signature (the methods of a port), would flatter the medians and are left
out.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

FILE_LINES_MAX, FILE_LINES_MEDIAN = 500, 150
FUNCTION_LINES_MAX, FUNCTION_LINES_MEDIAN = 70, 10
NAMES_WITHOUT_MEANING = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)


def docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt | None:
    return node.body[0] if ast.get_docstring(node, clean=False) is not None else None


def is_signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether nothing stands in the body but words and an ellipsis."""
    return all(isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant) for step in node.body)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last, less the docstring's."""
    words = docstring(node)
    spoken = words.end_lineno - words.lineno + 1 if words and words.end_lineno else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - spoken


def functions(trees: dict[str, ast.Module]) -> Iterator[tuple[str, int]]:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, type_of_function) and not is_signature(node):
                yield f"{path}:{node.name}", length(node)


def file_lengths(root: Path, trees: dict[str, ast.Module]) -> dict[str, int]:
    """Lines of each file that holds more than its page."""
    return {
        path: len((root / "src" / "parvis" / path).read_text().splitlines())
        for path, tree in trees.items()
        if len(tree.body) > bool(docstring(tree))
    }


def test_no_file_is_too_long(root: Path, trees: dict[str, ast.Module]) -> None:
    lengths = file_lengths(root, trees)
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_files_are_short_as_a_rule(root: Path, trees: dict[str, ast.Module]) -> None:
    assert median(file_lengths(root, trees).values()) <= FILE_LINES_MEDIAN


def test_no_function_is_too_long(trees: dict[str, ast.Module]) -> None:
    assert {name: lines for name, lines in functions(trees) if lines > FUNCTION_LINES_MAX} == {}


def test_functions_are_short_as_a_rule(trees: dict[str, ast.Module]) -> None:
    assert median(lines for _, lines in functions(trees)) <= FUNCTION_LINES_MEDIAN


def test_every_module_has_a_name_that_means_something(trees: dict[str, ast.Module]) -> None:
    words = {
        path: {part for step in Path(path).parts for part in step.removesuffix(".py").split("_")} for path in trees
    }
    assert {path for path, parts in words.items() if parts & NAMES_WITHOUT_MEANING} == set()
