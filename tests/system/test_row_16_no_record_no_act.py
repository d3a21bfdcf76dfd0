"""Promise 16, as far as it goes before the audit log is there: no privileged action without a record.

Every route of both administration listeners that changes something is asked by who may, with a body that it takes,
while the record cannot be written. Each must fail at its intent, and nothing may have happened. (With the audit log
come the sinks that are full, hang or are killed.)
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.api.console.app import ROUTES as CONSOLE
from parvis.api.operator.app import ROUTES as OPERATOR
from parvis.api.web import acts
from parvis.api.web.routes import Route
from parvis.domain.audit.entry import SERVICE, Entry, Step
from parvis.domain.identity.permission import Permission
from parvis.testing.two_customers import TwoCustomers, by_hand, contents, forbid_the_record, furnish

Json = dict[str, Any]
HOLE = re.compile(r"\{(\w+)(?::path)?\}")
TEXTS = {
    "price": "1",
    "euro": "1.00",
    "email": "a@example.eu",
    "due_at": "2030-01-01",
    "role": "member",
    "month": "2026-09",
}
"""What a field of this name takes, where any text would not do."""
SECRET = re.compile(r"(?:sk|pat|opt|inv)-parvis_[0-9a-z]{16}_[0-9a-z]{40}|otpauth://|\"(?:secret|recovery_codes)\":")
"""What is shown once: keys, tokens, links, seeds and codes."""
CHANGES_OF_A_CONTROL = 20


def example(schema: Json, forms: Json, name: str = "") -> Any:
    """A value that a form takes."""
    if "$ref" in schema:
        return example(forms[schema["$ref"].rpartition("/")[2]], forms, name)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], forms, name)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    fields = schema.get("properties", {})
    examples: dict[str, Callable[[], Any]] = {
        "object": lambda: {field: example(fields[field], forms, field) for field in schema.get("required", [])},
        "array": lambda: [example(schema["items"], forms, name)] if schema.get("minItems") else [],
        "integer": lambda: max(1, schema.get("minimum", 1)),
        "boolean": lambda: True,
        "string": lambda: TEXTS.get(name, "x" * max(1, schema.get("minLength", 1))),
    }
    return examples[schema["type"]]()


def acting(house: TwoCustomers) -> Iterator[tuple[str, Route, Json]]:
    """Every route with an action, and a body that it takes."""
    for listener, routes in (("console", CONSOLE), ("operator", OPERATOR)):
        document = house.visitor.description(listener)
        for route in (route for route in routes if route.action):
            said = document["paths"][route.path.replace(":path}", "}")][route.method.lower()]
            form = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            yield listener, route, example(form, document["components"]["schemas"]) if form else {}


def who_may(listener: str, route: Route) -> str:
    """The widest role at this door; and programs where none is wide enough."""
    programs = {Permission.KEY_SYNC: "key", Permission.KEY_REPORT: "nobody"}
    return programs.get(route.permission, "org_owner" if listener == "console" else "operator")


async def ask(
    house: TwoCustomers, listener: str, route: Route, body: Json, more: Mapping[str, str] | None = None
) -> tuple[int, str]:
    caller = house.callers[who_may(listener, route)]
    ids = house.things["own"] | {name: own for name, own in caller.own.items() if name != "user_id"}
    ids |= house.staff if "operator_" in route.path else {}
    path = HOLE.sub(lambda hole: ids.get(hole[1], "x"), route.path)
    headers = {**caller.headers, **(more or {})}
    status, said = await house.visitor.ask(listener, route.method, path, headers, json.dumps(body).encode())
    return status, said.decode()


async def make_read_only(store: SqlStore) -> None:
    await by_hand(store, "PRAGMA query_only = ON")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwoCustomers]:
    furnished = await furnish(f"sqlite:///{tmp_path}/store.db")
    yield furnished
    await furnished.store.close()


@pytest.mark.parametrize(("spoil", "status"), [(make_read_only, 503), (forbid_the_record, 409)])
async def test_without_a_record_nothing_is_done(
    house: TwoCustomers, spoil: Callable[[SqlStore], Awaitable[None]], status: int
) -> None:
    before, asked, told = await contents(house.store), 0, []
    await spoil(house.store)
    for listener, route, body in acting(house):
        found, said = await ask(house, listener, route, body)
        asked += 1
        if found != status:
            told.append(f"{listener} {route.method} {route.path}: {found} {said[:200]}")
    print(f"\nrow 16: {asked} routes that change something, none without a record")
    assert told == []
    assert await contents(house.store) == before


async def write_nothing(route: Route, _request: object, _values: Mapping[str, Any]) -> Entry:
    """What a bug would do: go on without a line."""
    return Entry("log_0", 0, Step.INTENT, "log_0", route.action, SERVICE.kind, SERVICE.name, "", "")


async def test_an_act_that_does_not_wait_for_its_record_is_seen(
    house: TwoCustomers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    before = await contents(house.store)
    monkeypatch.setattr(acts, "_intend", write_nothing)
    await forbid_the_record(house.store)
    for listener, route, body in list(acting(house))[:CHANGES_OF_A_CONTROL]:
        await ask(house, listener, route, body)
    assert await contents(house.store) != before


async def test_an_answer_with_a_secret_is_declared_and_not_kept(house: TwoCustomers) -> None:
    """Whoever asks again under the same key is shown no secret, because no copy of it lies anywhere."""
    shown = 0
    for number, (listener, route, body) in enumerate(acting(house)):
        if route.method == "POST":
            status, said = await ask(house, listener, route, body, {"idempotency-key": f"{number}"})
            if status < 300 and SECRET.search(said):
                shown += 1
                assert route.secret_answer, f"{listener} {route.path}"
    kept = (await contents(house.store))["repetitions"]
    print(f"\nrow 16: {shown} answers held a secret, {len(kept)} are kept")
    assert shown > 3
    assert not [row for row in kept if SECRET.search(str(row))]
