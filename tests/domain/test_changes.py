"""The difference between what is and what is declared: once applied, nothing is left to do."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.identity.changes import OWNABLE, Change, FieldChange, Kind, Path, Sheet, Sign, plan, twins

NAMES = st.sampled_from(["a", "b"])
LENGTHS = {Kind.ORGANISATION: 1, Kind.TENANT: 2, Kind.PROJECT: 3, Kind.KEY: 3, Kind.PERSON: 2, Kind.GRANT: 4}
FACTS = st.dictionaries(st.sampled_from(["name", "rule"]), st.integers(0, 2), max_size=2)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    kind = draw(st.sampled_from(sorted(LENGTHS)))
    return Sheet(kind, tuple(draw(NAMES) for _ in range(LENGTHS[kind])), draw(FACTS))


WORLDS = st.lists(sheets(), max_size=8, unique_by=lambda sheet: (sheet.kind, sheet.path))
OWNED = st.sets(st.sampled_from(OWNABLE)).map(sorted)


def applied(world: list[Sheet], changes: list[Change]) -> list[Sheet]:
    """What a world becomes."""
    here: dict[tuple[Kind, Path], Sheet] = {(sheet.kind, sheet.path): sheet for sheet in world}
    for change in changes:
        place = (change.kind, change.path)
        if change.sign is Sign.REMOVE:
            del here[place]
        else:
            before = here.get(place, Sheet(change.kind, change.path))
            here[place] = replace(before, facts={**before.facts, **change.after})
    return list(here.values())


@given(WORLDS, WORLDS, OWNED)
def test_once_applied_nothing_is_left_to_do(world: list[Sheet], wanted: list[Sheet], owned: list[Kind]) -> None:
    after = applied(world, plan(world, wanted, owned))
    again = plan(after, wanted, owned)
    assert {change.sign for change in again} <= {Sign.SAME}
    assert len(again) == len(wanted)


@given(WORLDS, WORLDS, OWNED)
def test_what_is_declared_is_so_afterwards_and_the_rest_stays(
    world: list[Sheet], wanted: list[Sheet], owned: list[Kind]
) -> None:
    after = {(s.kind, s.path): s.facts for s in applied(world, plan(world, wanted, owned))}
    for sheet in wanted:
        assert {**after[(sheet.kind, sheet.path)], **sheet.facts} == after[(sheet.kind, sheet.path)]
    kept = [s for s in world if s.kind not in owned and (s.kind, s.path) not in {(w.kind, w.path) for w in wanted}]
    assert all(after[(sheet.kind, sheet.path)] == sheet.facts for sheet in kept)


@given(WORLDS, WORLDS)
def test_nothing_goes_that_the_file_does_not_own(world: list[Sheet], wanted: list[Sheet]) -> None:
    assert all(change.sign is not Sign.REMOVE for change in plan(world, wanted))


@given(WORLDS, WORLDS, OWNED)
def test_what_others_need_comes_first_and_goes_last(world: list[Sheet], wanted: list[Sheet], owned: list[Kind]) -> None:
    order = list(Kind)
    changes = plan(world, wanted, owned)
    made = [order.index(change.kind) for change in changes if change.sign is not Sign.REMOVE]
    gone = [order.index(change.kind) for change in changes if change.sign is Sign.REMOVE]
    assert made == sorted(made)
    assert gone == sorted(gone, reverse=True)
    assert all(change.sign is Sign.REMOVE for change in changes[len(made) :])


def test_only_where_the_file_speaks_of_the_place() -> None:
    world = [Sheet(Kind.KEY, ("a", "b", "old")), Sheet(Kind.KEY, ("a", "c", "old")), Sheet(Kind.TENANT, ("a", "c"))]
    wanted = [Sheet(Kind.ORGANISATION, ("a",)), Sheet(Kind.TENANT, ("a", "b"))]
    gone = [c.path for c in plan(world, wanted, OWNABLE) if c.sign is Sign.REMOVE]
    assert gone == [("a", "b", "old"), ("a", "c")]  # of the tenant `c` it says nothing, so its keys stay


def test_what_is_put_away_already_is_not_put_away_again() -> None:
    idle = [
        Sheet(Kind.TENANT, ("a", "b"), {"standing": "suspended"}),
        Sheet(Kind.PROJECT, ("a", "c", "d"), {"archived": True}),
    ]
    wanted = [Sheet(Kind.ORGANISATION, ("a",)), Sheet(Kind.TENANT, ("a", "c"))]
    assert all(change.sign is not Sign.REMOVE for change in plan(idle, wanted, OWNABLE))


def test_a_change_says_what_was_and_what_will_be() -> None:
    before = Sheet(Kind.TENANT, ("a", "b"), {"name": "x", "rule": 1}, "id")
    [change] = plan([before], [Sheet(Kind.TENANT, ("a", "b"), {"name": "y", "rule": 1})])
    assert change == Change(Sign.CHANGE, Kind.TENANT, ("a", "b"), "id", (FieldChange("name", "x", "y"),))


def test_twins_are_found() -> None:
    one = Sheet(Kind.TENANT, ("a", "b"))
    assert twins([one, Sheet(Kind.KEY, ("a", "b", "c")), one]) == [(Kind.TENANT, ("a", "b"))]
