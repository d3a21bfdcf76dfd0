"""The descriptions of the console and operator listeners leave nothing out: no route, no refusal, no parameter."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

import pytest

from parvis.api.console.app import ROUTES as CONSOLE
from parvis.api.operator.app import ROUTES as OPERATOR
from parvis.api.statuses import _STATUSES
from parvis.api.web.desk import FrontDesk
from parvis.api.web.door import Door
from parvis.api.web.routes import Route
from parvis.domain.identity.principal import ANYBODY

Json = dict[str, Any]
NEVER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.METHOD_NOT_ALLOWED}
"""What no route of ours answers with."""


class Unfurnished:
    """A desk at which nobody ever asks: a description needs none."""

    store = clock = randomness = pepper = site = None


def description(routes: tuple[Route, ...]) -> Json:
    return Door("a listener", routes, cast("FrontDesk", Unfurnished())).openapi()


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
