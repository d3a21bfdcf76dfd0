"""Promise 20: tenants cannot touch each other.

Every route of both administration listeners is asked by everybody (`parvis.testing.two_customers.ROLES`, and programs)
about what is their own, their sibling's, another customer's and nobody's, with the right credential and with a forged
one. What each must be answered stands in `row_20_matrix.csv`, which was read by people and is computed by nothing.

Everything that changes something is asked while the record cannot be written: who is admitted gets as far as that and
no further, so that each answer is that of the same house. That nothing happened is looked at in the end (promise 16).

A new route, role or permission: `python tests/system/test_row_20_matrix.py` writes the file anew from what is answered.
Read the difference, line by line, before you keep it: from then on it is what must be.
"""

import asyncio
import csv
import hmac
import json
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from parvis.api.console.app import ROUTES as CONSOLE
from parvis.api.operator.app import ROUTES as OPERATOR
from parvis.api.web import admission
from parvis.api.web.door import DESCRIPTION
from parvis.api.web.routes import Route
from parvis.domain.identity.principal import Principal
from parvis.testing.two_customers import NOWHERE, PLACES, TwoCustomers, contents, forbid_the_record, furnish

FILE = Path(__file__).with_name("row_20_matrix.csv")
CELLS_MIN = 10_000
SHARE = {"C": 5, "N": 1}
"""One cell of so many is asked, and each route at least once."""
CELLS_OF_A_CONTROL = 150
SEED = 20
ANYWHERE, FORGED = "any", "forged"
"""Of a route that names nothing; and the credential that is nearly right, about what would be one's own."""
HOLE = re.compile(r"\{(\w+)(?::path)?\}")
Key = tuple[str, str, str, str]
Verdicts = dict[str, str]


class Cell(NamedTuple):
    """One question."""

    listener: str
    route: Route
    caller: str
    place: str


def routes() -> Iterator[tuple[str, Route]]:
    yield from (("console", route) for route in (*CONSOLE, DESCRIPTION))
    yield from (("operator", route) for route in (*OPERATOR, DESCRIPTION))


def places_of(route: Route) -> tuple[str, ...]:
    return (*PLACES, NOWHERE) if HOLE.search(route.path) else (ANYWHERE,)


def cells(callers: Iterable[str]) -> list[Cell]:
    """Every question that there is."""
    named = list(callers)
    return [
        Cell(listener, route, caller, place)
        for listener, route in routes()
        for caller in named
        for place in (*places_of(route), FORGED)
    ]


def sample(every: list[Cell], one_of: int) -> list[Cell]:
    """Some of them, the same each time, with each route among them."""
    drawn = random.Random(SEED)
    first = {(cell.listener, cell.route.method, cell.route.path): cell for cell in drawn.sample(every, len(every))}
    return [*first.values(), *drawn.sample(every, len(every) // one_of)] if one_of > 1 else every


# ------------------------------------------------------------------------------------------------------- the file


HEAD = ("listener", "method", "path", "permission", "places")


def rows() -> Iterator[Verdicts]:
    """The lines of the file, each cell by the name of its column."""
    with FILE.open(newline="") as file:
        for row in csv.DictReader(file):
            yield {name.strip(): value.strip() for name, value in row.items()}


def declared() -> dict[Key, Verdicts]:
    """Listener, method, path and place, and the verdict for each caller."""
    found: dict[Key, Verdicts] = {}
    for row in rows():
        listener, method, path, _, places = (row.pop(name) for name in HEAD)
        found |= {(listener, method, path, place): row for place in places.split("+")}
    return found


def expected(cell: Cell, table: Mapping[Key, Verdicts]) -> str:
    """A forged credential is worth what none is."""
    place = places_of(cell.route)[0] if cell.place == FORGED else cell.place
    verdicts = table.get((cell.listener, cell.route.method, cell.route.path, place), {})
    return verdicts.get("nobody" if cell.place == FORGED else cell.caller, "no row")


def write(answers: Mapping[Cell, str], callers: list[str]) -> None:
    """The file anew: one row for the places of a route at which everybody is answered the same."""
    table = [[*HEAD, *callers]]
    for listener, route in routes():
        alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for place in places_of(route):
            alike[tuple(answers[Cell(listener, route, caller, place)] for caller in callers)].append(place)
        for verdicts, places in alike.items():
            table.append([listener, route.method, route.path, route.permission, "+".join(places), *verdicts])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [", ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    FILE.write_text("\n".join(lines) + "\n")


# ------------------------------------------------------------------------------------------------------ the answers


def path_of(cell: Cell, house: TwoCustomers) -> str:
    """The path of a route, with the ids of a place in its holes."""
    place = "own" if cell.place == FORGED else cell.place
    ids = dict(house.things.get(place, {}))
    if place == "own":
        ids |= {name: own for name, own in house.callers[cell.caller].own.items() if name != "user_id"}
    if place in PLACES and ("operator_" in cell.route.path or "{operator_id}" in cell.route.path):
        ids |= house.staff
    return HOLE.sub(lambda hole: ids.get(hole[1], f"no-such-{hole[1]}"), cell.route.path)


async def answer(cell: Cell, house: TwoCustomers) -> str:
    """`ok`, or the status of the refusal."""
    caller = house.callers[cell.caller]
    headers = caller.forged if cell.place == FORGED else caller.headers
    status, body = await house.visitor.ask(cell.listener, cell.route.method, path_of(cell, house), headers, b"{}")
    if status not in (401, 403, 404, 500):
        return "ok"
    code = json.loads(body)["error"]["code"]
    return str(status) if code not in ("unknown_route", "host_not_allowed", "origin_missing") else code


async def disagreements(asked: list[Cell], house: TwoCustomers) -> list[str]:
    """Where an answer is not what stands in the file."""
    table, told = declared(), []
    for cell in asked:
        said, wanted = await answer(cell, house), expected(cell, table)
        if said != wanted:
            where = f"{cell.listener} {cell.route.method} {cell.route.path}"
            told.append(f"{where}: {cell.caller} at {cell.place} was answered {said}, not {wanted}")
    return told


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwoCustomers]:
    furnished = await furnish(f"sqlite:///{tmp_path}/store.db")
    await forbid_the_record(furnished.store)
    yield furnished
    await furnished.store.close()


# ---------------------------------------------------------------------------------------------------------- promises


def test_every_route_has_its_rows() -> None:
    """After a new route: see the top of this file."""
    served = {(listener, route.method, route.path, str(route.permission)) for listener, route in routes()}
    assert {tuple(row[name] for name in HEAD[:4]) for row in rows()} == served
    for listener, route in routes():
        there = {place for *said, place in declared() if said == [listener, route.method, route.path]}
        assert there == set(places_of(route)), route.path


async def test_everybody_is_answered_what_the_file_says(house: TwoCustomers, level: Literal["C", "N"]) -> None:
    every = cells(house.callers)
    assert len(every) >= CELLS_MIN
    before, began_s = await contents(house.store), time.monotonic()
    asked = sample(every, SHARE[level])
    found = await disagreements(asked, house)
    took_s = time.monotonic() - began_s
    print(f"\nrow 20: {len(asked)} of {len(every)} cells in {took_s:.1f} s, {len(found)} disagreements")
    assert found == []
    assert await contents(house.store) == before


def ignore_the_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "checked_place", lambda _principal, _permission, target: target)


def ask_for_the_permission_anywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Principal, "may", lambda self, permission, _target: self.may_somewhere(permission))


def show_that_it_exists(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Principal, "sees", lambda _self, _target: True)


def believe_every_secret(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hmac, "compare_digest", lambda _one, _other: True)


CONTROLS = [ignore_the_place, ask_for_the_permission_anywhere, show_that_it_exists, believe_every_secret]


async def test_a_missing_check_is_seen(house: TwoCustomers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls: each of these bugs must turn cells red."""
    asked = random.Random(SEED).sample(cells(house.callers), CELLS_OF_A_CONTROL)
    for plant in CONTROLS:
        with monkeypatch.context() as patch:
            plant(patch)
            found = await disagreements(asked, house)
        print(f"\nrow 20, control {plant.__name__}: {len(found)} of {len(asked)} disagree")
        assert found, plant.__name__


async def rewrite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = await furnish(f"sqlite:///{folder}/store.db")
        await forbid_the_record(house.store)
        answers = {cell: await answer(cell, house) for cell in cells(house.callers) if cell.place != FORGED}
        write(answers, list(house.callers))
        await house.store.close()


if __name__ == "__main__":
    asyncio.run(rewrite())
    sys.exit(0)
