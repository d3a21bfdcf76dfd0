"""`parvis openapi`: the customers' protocol, for programs."""

import json

import click

from parvis.api.inference.openapi import description


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of the inference listener."""
    click.echo(json.dumps(description(), indent=2, ensure_ascii=False))
