"""Money and quota are integers: no float constant, no float(), no true division where they are computed."""

import ast

EXACT = ("core/money.py", "core/tokens.py", "domain/billing/", "domain/metering/", "domain/quota/")


def inexact(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float() | complex()):
            return True
        case ast.Name(id="float" | "complex"):
            return True
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
    return False


def test_the_exact_modules_exist(trees: dict[str, ast.Module]) -> None:
    assert [place for place in EXACT if not any(path.startswith(place) for path in trees)] == []


def test_no_float_where_money_is_counted(trees: dict[str, ast.Module]) -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        if path.startswith(EXACT)
        for node in ast.walk(tree)
        if inexact(node) and isinstance(node, (ast.expr, ast.stmt))
    ]
    assert found == []
