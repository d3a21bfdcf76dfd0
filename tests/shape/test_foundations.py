"""The lowest floors lean on nothing: core on the standard library, wire on that and the JSON codec."""

import sys

import pytest

LEANS_ON = {"core": {"parvis"}, "wire": {"parvis", "msgspec"}}


@pytest.mark.parametrize("floor", LEANS_ON)
def test_a_foundation_imports_only_what_it_may(floor: str, imports: dict[str, set[str]]) -> None:
    allowed = sys.stdlib_module_names | LEANS_ON[floor]
    strange = {path: names - allowed for path, names in imports.items() if path.startswith(f"{floor}/")}
    assert {path: names for path, names in strange.items() if names} == {}
