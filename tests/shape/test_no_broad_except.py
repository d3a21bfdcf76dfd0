"""An error is caught by its name. A broad `except` hides the bug that it was not written for.

Two forms pass: a handler that ends by raising again, and a place listed here with its reason.
"""

import ast
from collections.abc import Iterator

BROAD = {"BaseException", "Exception", "ExceptionGroup", "BaseExceptionGroup"}
ALLOWED: dict[str, str] = {
    "api/inference/listener.py:Listener._run": "the net under every request: 500 with its id, the place to the log",
    "adapters/store/group_commit.py:_Job.attempt": "a transaction's error is its caller's and reaches it by the "
    "future; the writer thread must live on",
}


def names(caught: ast.expr | None) -> set[str]:
    match caught:
        case None:
            return BROAD
        case ast.Tuple(elts=several):
            return {name for one in several for name in names(one)}
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
    return set()


def swallows(node: ast.AST) -> bool:
    """Whether this node catches everything and carries on."""
    match node:
        case ast.ExceptHandler():
            return bool(names(node.type) & BROAD) and not isinstance(node.body[-1], ast.Raise)
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
            return any(names(argument) & BROAD for argument in node.args)
    return False


def places(tree: ast.AST, inside: str = "") -> Iterator[str]:
    """The function around each broad handler, as `outer.inner`."""
    for node in ast.iter_child_nodes(tree):
        here = inside
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            here = f"{inside}.{node.name}".lstrip(".")
        if swallows(node):
            yield here
        yield from places(node, here)


def test_every_broad_except_is_listed_with_its_reason(trees: dict[str, ast.Module]) -> None:
    found = {f"{path}:{place}" for path, tree in trees.items() for place in places(tree)}
    assert found == ALLOWED.keys()


def test_the_detector_sees_the_forms_that_it_names() -> None:
    seen = """
def a():
    try: x()
    except (ValueError, Exception): pass
def b():
    with contextlib.suppress(Exception): x()
def c():
    try: x()
    except: pass
def d():
    try: x()
    except BaseException:
        y()
        raise
def e():
    try: x()
    except ValueError: pass
"""
    assert list(places(ast.parse(seen))) == ["a", "b", "c"]
