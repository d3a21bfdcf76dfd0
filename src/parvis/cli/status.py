"""`parvis status`: what runs now."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_facts, print_rows, print_value

_COLUMNS = ("id", "engine", "kind", "address", "state", "seen", "in_flight", "cache", "why")


@click.command()
@output_option
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Gateways and replicas of this moment."""
    with operator_api(ctx) as api:
        now = api.get("/v1/status")
    if output in ("json", "yaml"):
        print_value(now, output)
        return
    if output == "table":
        print_facts({name: value for name, value in now.items() if name not in ("object", "replicas")})
    print_rows(now["replicas"], _COLUMNS, output)
