"""`parvis openapi`: what a listener answers to what, for programs."""

import json
from importlib import import_module
from typing import Any

import click

from parvis.api.inference.openapi import description

LISTENERS = ("inference", "console", "operator")


@click.command()
@click.argument("listener", type=click.Choice(LISTENERS), default=LISTENERS[0])
def openapi(listener: str) -> None:
    """Print the OpenAPI document of a listener: that of inference, of the customers' console, or of the operator."""
    click.echo(json.dumps(_document(listener), indent=2, ensure_ascii=False))


def _document(listener: str) -> dict[str, Any]:
    """The framework of the other two takes long to load: only who asks for them waits for it."""
    if listener == LISTENERS[0]:
        return description()
    document: dict[str, Any] = import_module(f"parvis.api.{listener}.app").describe()
    return document
