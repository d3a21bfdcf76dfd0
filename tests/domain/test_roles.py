"""Roles and places: a right over a place reaches its parts and nothing beside it, and grants only ever add."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Principal, rights_of
from parvis.domain.identity.role import RULES, Grant, Level, Role, clash, level_of

PLACES = (INSTALLATION, *(Target(org, tenant) for org in ("a", "b") for tenant in ("", "1", "2")))
places = st.sampled_from(PLACES)
roles = st.sampled_from(Role)
permissions = st.sampled_from(Permission)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """A role where it can be granted."""
    role = draw(roles)
    target = draw(places.filter(lambda place: level_of(place) in RULES[role].levels))
    return Grant("g", "u", role, target, "somebody", 0)


several = st.lists(grants(), max_size=5)


def holder(held: list[Grant]) -> Principal:
    return Principal("user u", Kind.USER, "u", rights=rights_of(held))


# --------------------------------------------------------------------------------------------------- places


@given(places)
def test_a_place_is_a_part_of_itself_and_of_the_whole(place: Target) -> None:
    assert place.covers(place)
    assert INSTALLATION.covers(place)


@given(places, places, places)
def test_a_part_of_a_part_is_a_part(a: Target, b: Target, c: Target) -> None:
    assert not (a.covers(b) and b.covers(c)) or a.covers(c)


@given(places, places)
def test_two_places_are_parts_of_one_another_only_if_they_are_one(a: Target, b: Target) -> None:
    assert (a.covers(b) and b.covers(a)) == (a == b)


def test_nothing_beside_it_is_a_part() -> None:
    assert not Target("a").covers(Target("b", "1"))
    assert not Target("a", "1").covers(Target("a", "2"))
    assert not Target("a", "1").covers(Target("b", "1"))
    assert not Target("a", "1").covers(Target("a"))
    assert not Target("a").covers(INSTALLATION)
    assert not Target("a").covers(Target("ab"))


@given(places)
def test_a_place_is_as_large_as_what_it_names(place: Target) -> None:
    sizes = {0: Level.INSTALLATION, 1: Level.ORGANISATION, 2: Level.TENANT}
    assert level_of(place) is sizes[sum(map(bool, place))]


# --------------------------------------------------------------------------------------------------- rights


@given(several, permissions, places)
def test_somebody_may_what_one_of_their_roles_gives_there(held: list[Grant], may: Permission, place: Target) -> None:
    given_there = any(may in RULES[grant.role].permissions and grant.target.covers(place) for grant in held)
    assert holder(held).may(may, place) == given_there


@given(several, permissions, places, places)
def test_a_right_over_a_place_reaches_all_of_its_parts(
    held: list[Grant], may: Permission, whole: Target, part: Target
) -> None:
    if whole.covers(part) and holder(held).may(may, whole):
        assert holder(held).may(may, part)


@given(several, grants(), permissions, places)
def test_another_grant_takes_nothing_away(held: list[Grant], more: Grant, may: Permission, place: Target) -> None:
    assert holder([*held, more]).may(may, place) >= holder(held).may(may, place)
    assert holder([*held, more]).sees(place) >= holder(held).sees(place)
    assert holder([*held, more]).may_somewhere(may) >= holder(held).may_somewhere(may)


@given(grants(), places)
def test_one_grant_reaches_nothing_beside_its_place(grant: Grant, place: Target) -> None:
    if not grant.target.covers(place):
        assert not any(holder([grant]).may(may, place) for may in Permission)
        assert holder([grant]).sees(place) == place.covers(grant.target)


@given(permissions, places)
def test_without_grants_there_is_nothing(may: Permission, place: Target) -> None:
    nobody = holder([])
    assert not nobody.may(may, place)
    assert not nobody.may_somewhere(may)
    assert not nobody.sees(place)


@given(several, permissions)
def test_places_are_where_it_is_allowed_said_as_shortly_as_possible(held: list[Grant], may: Permission) -> None:
    found = holder(held).places(may)
    for place in PLACES:
        assert holder(held).may(may, place) == any(one.covers(place) for one in found)
    assert not [1 for one, other in product(found, found) if one != other and one.covers(other)]


# ------------------------------------------------------------------------------------------------ separation


@given(grants(), grants())
def test_two_grants_clash_in_either_order_or_in_none(one: Grant, other: Grant) -> None:
    assert (clash(one.role, one.target, [other]) is None) == (clash(other.role, other.target, [one]) is None)


@given(grants(), grants())
def test_grants_clash_only_where_both_reach(one: Grant, other: Grant) -> None:
    together = one.target.covers(other.target) or other.target.covers(one.target)
    assert together or clash(one.role, one.target, [other]) is None


@given(grants(), several, several)
def test_what_clashes_goes_on_clashing_however_much_is_held(one: Grant, held: list[Grant], more: list[Grant]) -> None:
    found = clash(one.role, one.target, held)
    assert found is None or found in held
    assert found is None or clash(one.role, one.target, [*more, *held]) is not None


@given(grants())
def test_a_role_goes_with_itself(grant: Grant) -> None:
    assert clash(grant.role, grant.target, [grant]) is None


@pytest.mark.parametrize("acting", [Role.ORGANISATION_OWNER, Role.TENANT_OWNER, Role.DEVELOPER])
def test_who_audits_a_tenant_does_not_act_on_it(acting: Role) -> None:
    place = Target("a") if acting is Role.ORGANISATION_OWNER else Target("a", "1")
    held = [Grant("g", "u", acting, place, "somebody", 0)]
    assert clash(Role.AUDITOR, Target("a", "1"), held) == held[0]
    assert clash(Role.AUDITOR, Target("b"), held) is None


@pytest.mark.parametrize("role", Role)
def test_no_role_of_customers_reaches_the_operators_things(role: Role) -> None:
    theirs = {Permission.OPERATORS_WRITE, Permission.CREDITS_WRITE, Permission.PRICES_WRITE, Permission.SETTINGS_APPLY}
    if RULES[role].levels != {Level.INSTALLATION}:
        assert not theirs & RULES[role].permissions
