"""Costs are worked out in one place: nothing else multiplies, divides or sums by a price."""

import ast
import re

PRICING = "domain/billing/price.py"
PRICE = re.compile(r"_(microeuro|pico_euro)_(per_\w+|each)$")


def name_of(node: ast.AST) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def reckons(node: ast.AST) -> bool:
    """Whether a price is one side of a calculation."""
    match node:
        case ast.BinOp(left=left, right=right):
            return any(PRICE.search(name_of(side)) for side in (left, right))
        case ast.AugAssign(value=value):
            return bool(PRICE.search(name_of(value)))
    return False


def places(trees: dict[str, ast.Module]) -> list[str]:
    return [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if reckons(node) and isinstance(node, (ast.expr, ast.stmt))
    ]


def test_only_the_pricing_functions_reckon_with_a_price(trees: dict[str, ast.Module]) -> None:
    found = places(trees)
    assert len([place for place in found if place.startswith(PRICING)]) >= 4
    assert [place for place in found if not place.startswith(PRICING)] == []


def test_the_check_sees_a_price_that_is_reckoned_with_elsewhere() -> None:
    planted = "due = tokens.output * prices.output_microeuro_per_mtoken\ndue += prices.image_pico_euro_each"
    assert sorted(places({"flows/planted.py": ast.parse(planted)})) == ["flows/planted.py:1", "flows/planted.py:2"]
