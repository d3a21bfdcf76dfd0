"""The description of the protocol for programs is the one that the code gives, and it describes every route."""

import json
from pathlib import Path

from click.testing import CliRunner

from parvis.api.inference.openapi import description
from parvis.api.inference.routes import ROUTES
from parvis.cli.main import main
from parvis.wire.chat_shapes import MESSAGES_MAX

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def test_the_document_is_the_one_that_the_command_prints() -> None:
    """After a change type `parvis openapi > docs/reference/openapi.json`."""
    printed = CliRunner().invoke(main, ["openapi"])
    assert printed.exit_code == 0
    assert DOCUMENT.read_text() == printed.stdout


def test_every_route_is_described() -> None:
    described = {(verb.upper(), path) for path, verbs in description()["paths"].items() for verb in verbs}
    assert described == {(route.method, f"{route.path}{{model}}" if route.rest else route.path) for route in ROUTES}


def test_bounds_are_described() -> None:
    messages = json.loads(DOCUMENT.read_text())["components"]["schemas"]["ChatBody"]["properties"]["messages"]
    assert messages["maxItems"] == MESSAGES_MAX
