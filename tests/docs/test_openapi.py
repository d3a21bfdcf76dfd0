"""The descriptions for programs are those that the code gives, and that of inference describes every route."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from parvis.api.inference.openapi import description
from parvis.api.inference.routes import ROUTES
from parvis.cli.main import main
from parvis.wire.chat_shapes import MESSAGES_MAX

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
DOCUMENT = FOLDER / "openapi.json"
DOCUMENTS = {"inference": DOCUMENT, **{name: FOLDER / f"openapi-{name}.json" for name in ("console", "operator")}}


@pytest.mark.parametrize("listener", DOCUMENTS)
def test_the_document_is_the_one_that_the_command_prints(listener: str) -> None:
    """After a change type `parvis openapi console > docs/reference/openapi-console.json`, and so for each."""
    printed = CliRunner().invoke(main, ["openapi", listener])
    assert printed.exit_code == 0
    assert DOCUMENTS[listener].read_text() == printed.stdout


def test_without_a_name_it_is_that_of_inference() -> None:
    assert CliRunner().invoke(main, ["openapi"]).stdout == DOCUMENT.read_text()


def test_every_route_is_described() -> None:
    described = {(verb.upper(), path) for path, verbs in description()["paths"].items() for verb in verbs}
    assert described == {(route.method, f"{route.path}{{model}}" if route.rest else route.path) for route in ROUTES}


def test_bounds_are_described() -> None:
    messages = json.loads(DOCUMENT.read_text())["components"]["schemas"]["ChatBody"]["properties"]["messages"]
    assert messages["maxItems"] == MESSAGES_MAX
