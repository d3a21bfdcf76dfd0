"""Promise 20, beyond the path: what is named in a body or a query, or beside one's own in a path, and what is shown.

Admission knows the place of a path. What else is named a story must look at, and here each is asked. And nothing that
anybody is shown, in whatever list and by whatever filter, is of a place that they do not reach.
"""

import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from parvis.domain.identity.principal import Principal
from parvis.testing.two_customers import ROLES, TwoCustomers, furnish

Json = dict[str, Any]
Case = tuple[str, str, Json, tuple[str, str]]
NAME = re.compile(r"<(\w+)\.(\w+)>")
TOP = "/v1/organization"
PROJECT = f"{TOP}/projects/<own.project_id>"
DUE = str(date.today() + timedelta(days=30))  # noqa: DTZ011 - any day to come
CALLERS = ("tenant_owner", "org_owner")
NEVER, ABOVE = ("404", "404"), ("404", "ok")
"""What the two are answered about a sibling's: nobody reaches it from here; the owner of both does."""


def about(sibling: tuple[str, str], method: str, path: str, body: Json | None = None) -> Iterator[Case]:
    """The same about what is at `<X...>`: a sibling's, another customer's, nobody's."""
    for place, verdicts in (("sibling", sibling), ("foreign", NEVER), ("nothing", NEVER)):
        said = json.dumps(body or {}).replace("<X.", f"<{place}.")
        yield method, path.replace("<X.", f"<{place}."), json.loads(said), verdicts


CASES: list[Case] = [
    *about(NEVER, "POST", "/v1/tenants/<own.tenant_id>/keys", {"name": "k", "project_id": "<X.project_id>"}),
    *about(NEVER, "PATCH", "/v1/keys/<own.key_id>", {"project_id": "<X.project_id>"}),
    *about(NEVER, "GET", f"{PROJECT}/api_keys/<X.key_id>"),
    *about(NEVER, "DELETE", f"{PROJECT}/api_keys/<X.key_id>"),
    *about(NEVER, "GET", f"{PROJECT}/service_accounts/<X.key_id>"),
    *about(NEVER, "DELETE", f"{PROJECT}/service_accounts/<X.key_id>"),
    *about(NEVER, "GET", f"{PROJECT}/users/<X.user_id>"),
    *about(NEVER, "POST", f"{PROJECT}/users/<X.user_id>", {"role": "member"}),
    *about(NEVER, "DELETE", f"{PROJECT}/users/<X.user_id>"),
    *about(NEVER, "POST", "/v1/reviews/<own.review_id>/items/<X.item_id>", {"decision": "keep", "reason": "r"}),
    *about(NEVER, "DELETE", "/v1/profile/tokens/<X.token_id>"),
    *about(NEVER, "DELETE", "/v1/profile/sessions/<X.session_id>"),
    *about(NEVER, "GET", f"{TOP}/admin_api_keys/<X.token_id>"),
    *about(NEVER, "DELETE", f"{TOP}/admin_api_keys/<X.token_id>"),
    ("POST", f"{PROJECT}/users", {"email": "somebody@away.example", "role": "member"}, NEVER),
    ("POST", "/v1/grants", {"user_id": "<own.user_id>", "role": "operator"}, ("403", "404")),
    ("POST", "/v1/grants", {"user_id": "<own.user_id>", "role": "organisation_owner"}, ("403", "ok")),
    ("POST", f"{TOP}/users/<own.user_id>", {"role": "owner"}, ("403", "ok")),
    *about(ABOVE, "POST", f"{TOP}/projects", {"name": "p", "tenant_id": "<X.tenant_id>"}),
    *about(ABOVE, "POST", "/v1/reviews", {"name": "r", "due_at": DUE, "tenant_id": "<X.tenant_id>"}),
    *about(
        ABOVE,
        "POST",
        "/v1/notice-targets",
        {"kind": "mail", "address": "a@example.eu", "tenant_id": "<X.tenant_id>"},
    ),
    *about(
        ABOVE,
        "POST",
        f"{TOP}/invites",
        {"email": "new@example.eu", "role": "reader", "projects": [{"id": "<X.project_id>", "role": "member"}]},
    ),
    *about(
        ABOVE,
        "POST",
        "/v1/grants",
        {"user_id": "<own.user_id>", "role": "billing_reader", "tenant_id": "<X.tenant_id>"},
    ),
    # A colleague may be taken in by whoever owns the tenant: people belong to the organisation.
    *about(
        ("ok", "ok"),
        "POST",
        "/v1/grants",
        {"user_id": "<X.user_id>", "role": "member", "tenant_id": "<own.tenant_id>"},
    ),
    *about(("ok", "ok"), "POST", f"{PROJECT}/users", {"user_id": "<X.user_id>", "role": "member"}),
]


SAID_BY_ANYBODY = {"name", "model_id", "organisation_id", "tenant_id"}
"""Ids that people choose: as words they may stand anywhere."""
LISTS_OF_C = 300


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwoCustomers]:
    furnished = await furnish(f"sqlite:///{tmp_path}/store.db")
    yield furnished
    await furnished.store.close()


def filled(text: str, house: TwoCustomers) -> str:
    return NAME.sub(lambda name: house.things.get(name[1], {}).get(name[2], "no-such-thing"), text)


async def answer(house: TwoCustomers, caller: str, method: str, path: str, body: Json) -> tuple[str, str]:
    """`ok` or the status of a refusal, and what was said."""
    said = filled(json.dumps(body), house).encode() if body else b""
    headers = house.callers[caller].headers
    status, told = await house.visitor.ask("console", method, filled(path, house), headers, said)
    return str(status) if status in (401, 403, 404, 500) else "ok", told.decode()


async def wrong(house: TwoCustomers) -> list[str]:
    told = []
    for method, path, body, wanted in CASES:
        found = tuple([(await answer(house, caller, method, path, body))[0] for caller in CALLERS])
        if found != wanted:
            told.append(f"{method} {path} {body}: {found}, not {wanted}")
    return told


async def test_what_is_named_is_looked_at(house: TwoCustomers) -> None:
    assert await wrong(house) == []


async def test_who_looks_at_nothing_is_seen(house: TwoCustomers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a principal that is allowed everything everywhere once it was let in."""
    monkeypatch.setattr(Principal, "may", lambda self, permission, _target: self.may_somewhere(permission))
    assert len(await wrong(house)) > 1


async def test_what_is_elsewhere_is_answered_as_what_is_not_there(house: TwoCustomers) -> None:
    """Word for word, but for the name that was said."""
    told = []
    for method, path, body, wanted in CASES:
        if "<foreign." in f"{path}{body}" and wanted == NEVER:
            there = await answer(house, "org_owner", method, path, body)
            nowhere = json.loads(json.dumps(body).replace("<foreign.", "<nothing."))
            gone = await answer(house, "org_owner", method, path.replace("<foreign.", "<nothing."), nowhere)
            if without_names(there[1], house) != without_names(gone[1], house):
                told.append(f"{method} {path} {body}: {there[1]} and {gone[1]}")
    assert told == []


def without_names(said: str, house: TwoCustomers) -> str:
    for name in sorted([*house.things["foreign"].values(), "no-such-thing"], key=len, reverse=True):
        said = said.replace(name, "NAME")
    return said


# ------------------------------------------------------------------------------------------------------- what is shown


def filters(house: TwoCustomers) -> Iterator[tuple[str, str]]:
    """Every list of the console, and every name by which it can be narrowed."""
    for path, verbs in house.visitor.description("console")["paths"].items():
        if "get" in verbs and "{" not in path:
            yield path, ""
            queries = (one["name"] for one in verbs["get"]["parameters"] if one["in"] == "query")
            yield from ((path, name) for name in queries)


def reached(caller: str) -> set[str]:
    """The places of which somebody may be shown something."""
    _, place = ROLES[caller]
    return {"own"} if place.tenant_id else {"own", "sibling"}


def known_there(place: str, house: TwoCustomers) -> set[str]:
    """What only somebody can know who was shown something of this place."""
    ids = {name: value for name, value in house.things[place].items() if name not in SAID_BY_ANYBODY}
    return {*ids.values(), f"@{house.things[place]['tenant_id']}.example"}


async def test_lists_show_nothing_of_others(house: TwoCustomers, level: Literal["C", "N"]) -> None:
    """Also when they are narrowed to what is another customer's."""
    values = [value for name, value in house.things["foreign"].items() if name not in SAID_BY_ANYBODY]
    people = [caller for caller, (_, place) in ROLES.items() if place.organisation_id]
    named = [(f"{path}?{name}={value}", value) for path, name in filters(house) if name for value in values]
    whole = [(path, "") for path, name in filters(house) if not name]
    asked = [(caller, *query) for caller in people for query in (*whole, *named)]
    drawn = asked if level == "N" else random.Random(20).sample(asked, LISTS_OF_C)
    for caller, query, value in drawn:
        _, told = await answer(house, caller, "GET", query, {})
        for place in house.things.keys() - reached(caller):
            assert not {one for one in known_there(place, house) if one in told and one not in value}, (caller, query)
    print(f"\nrow 20: {len(drawn)} of {len(asked)} lists show nothing of others")
