"""What commands that write a file of lines have in common."""

from collections.abc import Callable
from typing import Any

import click

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def export_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the span, the tenant, `form` and `to`."""
    options: list[Options] = [
        click.option("--since", help="From this instant on, like 2026-07-01 (UTC)."),
        click.option("--until", help="Up to this instant, itself left out."),
        click.option("--tenant", help="Of this tenant only."),
        click.option(
            "--format",
            "form",
            type=click.Choice(("csv", "parquet")),
            default="csv",
            show_default=True,
            help="Parquet needs `parvis[parquet]` where the service runs.",
        ),
        click.option("--to", type=click.File("wb"), default="-", help="This file; by default standard output."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
