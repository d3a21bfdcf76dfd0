"""The descriptions of the console and operator listeners leave nothing out: no route, refusal, parameter or field.

That answers are what is described here is seen where answers are: tests/api/test_answers.py.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

import msgspec
import pytest
from fastapi.openapi.utils import get_openapi

from parvis.api.console.app import ROUTES as CONSOLE
from parvis.api.operator.app import ROUTES as OPERATOR
from parvis.api.statuses import _STATUSES
from parvis.api.web.door import description as describe
from parvis.api.web.guarded import GuardedRoute
from parvis.api.web.routes import Route
from parvis.domain.identity.principal import ANYBODY

Json = dict[str, Any]
NEVER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.METHOD_NOT_ALLOWED}
"""What no route of ours answers with."""


ANYTHING: set[tuple[str, str]] = {
    ("PasskeyChallenge", "public_key"),
    ("FactDifference", "before"),
    ("FactDifference", "after"),
}
"""Fields in which anything can stand that JSON has: others say what."""


def description(routes: tuple[Route, ...]) -> Json:
    return describe("a listener", routes)


@pytest.fixture(params=[CONSOLE, OPERATOR], ids=["console", "operator"])
def routes(request: pytest.FixtureRequest) -> tuple[Route, ...]:
    return cast("tuple[Route, ...]", request.param)


def operations(routes: tuple[Route, ...]) -> Iterator[tuple[Route, Json]]:
    """Each route with what is said of it."""
    paths = description(routes)["paths"]
    for route in routes:
        yield route, paths[route.path.replace(":path}", "}")][route.method.lower()]


def test_every_route_is_described_and_no_other(routes: tuple[Route, ...]) -> None:
    described = {(verb.upper(), path) for path, verbs in description(routes)["paths"].items() for verb in verbs}
    served = {(route.method, route.path.replace(":path}", "}")) for route in routes}
    assert described == served | {("GET", "/openapi.json")}
    assert [path for path, said in operations(routes) if not said.get("description")] == []


def test_it_says_who_may_and_what_the_record_will_say(routes: tuple[Route, ...]) -> None:
    for route, said in operations(routes):
        assert (said["x-permission"], said["x-step-up"]) == (route.permission, route.step_up)
        assert said.get("x-action", "") == route.action


def test_every_refusal_is_described(routes: tuple[Route, ...]) -> None:
    document = description(routes)
    known = {str(int(status)) for _, status, _ in _STATUSES if status not in NEVER}
    assert document["components"]["responses"].keys() == known
    for route, said in operations(routes):
        refusals = {status for status in said["responses"] if int(status) >= HTTPStatus.BAD_REQUEST}
        opened = ANYBODY.may_somewhere(route.permission)
        impossible = ({"401"} if opened else set()) | ({"409", "413"} if route.method == "GET" else set())
        assert refusals == known - impossible, route.path
        assert str(route.status) in said["responses"], route.path


def test_every_form_and_every_parameter_is_described(routes: tuple[Route, ...]) -> None:
    document = description(routes)
    forms = document["components"]["schemas"]
    assert [name for name, schema in forms.items() if not schema.get("description") and "enum" not in schema] == []
    for route, said in operations(routes):
        held = {hole.partition(":")[0] for hole in route.path.replace("}", "{").split("{")[1::2]}
        named = {parameter["name"] for parameter in said["parameters"] if parameter["in"] == "path"}
        assert named == held, route.path


def test_posts_may_be_repeated(routes: tuple[Route, ...]) -> None:
    for route, said in operations(routes):
        headers = {parameter["name"] for parameter in said["parameters"] if parameter["in"] == "header"}
        repeatable = route.method == "POST" and not ANYBODY.may_somewhere(route.permission)
        assert ("Idempotency-Key" in headers) is repeatable, route.path
        assert "Accept-Language" in headers


def test_it_is_the_version_that_is_promised(routes: tuple[Route, ...]) -> None:
    assert description(routes)["openapi"].startswith("3.1.")


def test_every_field_of_every_answer_is_described(routes: tuple[Route, ...]) -> None:
    document = description(routes)
    for route, said in operations(routes):
        content = said["responses"][str(route.status)].get("content", {})
        if route.shows is not None:
            assert content["application/json"]["schema"]["$ref"].startswith("#/components/schemas/"), route.path
            for name, schema in reached(document, content["application/json"]["schema"]):
                assert open_fields(name, schema) == [], route.path


def reached(document: Json, schema: Json) -> Iterator[tuple[str, Json]]:
    """All objects of an answer, by their names."""
    schemas, waiting, seen = document["components"]["schemas"], [schema], set[str]()
    while waiting:
        for name in re.findall("#/components/schemas/([^']+)", str(waiting.pop())):
            if name not in seen:
                seen.add(name)
                waiting.append(schemas[name])
                yield name, schemas[name]


def open_fields(name: str, schema: Json) -> list[str]:
    """What is not said of an object: that it has no other fields, or what stands in one."""
    if "enum" in schema:
        return []
    untold = [] if schema.get("additionalProperties") is False or name == "AuditFacts" else [name]
    told = {"$ref", "type", "enum", "anyOf"}
    return untold + [
        f"{name}.{field}"
        for field, said in schema["properties"].items()
        if (name, field) not in ANYTHING and (not told & said.keys() or said == {"type": "object"})
    ]


def test_a_name_stands_for_one_thing(routes: tuple[Route, ...]) -> None:
    """What is sent and what is answered share no name but those of the domain's own lists."""
    _, shown = msgspec.json.schema_components([route.shows for route in routes if route.shows])
    sent = get_openapi(title="", version="", routes=[GuardedRoute(route) for route in routes])["components"]["schemas"]
    for name in shown.keys() & sent.keys():
        assert sorted(shown[name]["enum"]) == sorted(sent[name]["enum"]), name


def test_what_is_left_open_is_seen() -> None:
    """The controls of the check above."""
    named = {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "string"}}}
    assert open_fields("Thing", named) == []
    assert open_fields("Thing", {**named, "additionalProperties": True}) == ["Thing"]
    assert open_fields("Thing", {**named, "properties": {"x": {}}}) == ["Thing.x"]
    assert open_fields("Thing", {**named, "properties": {"x": {"type": "object"}}}) == ["Thing.x"]
