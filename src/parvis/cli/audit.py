"""`parvis audit`: the record of privileged acts."""

from typing import Any

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_rows

_COLUMNS = ("at", "step", "action", "actor", "address", "organisation_id", "tenant_id", "objects", "result", "id")


@click.group()
def audit() -> None:
    """Who did what: a line before each privileged act, and a line after it."""


@audit.command("list")
@click.option("--org", "organisation", help="In the record of this organisation.")
@click.option("--tenant", help="Of this tenant.")
@click.option("--actor", help="By this principal, like `user usr_...`.")
@click.option("--action", help="Of this kind, like `api_key.created`.")
@click.option("--object", help="About this id.")
@click.option("--step", type=click.Choice(["intent", "outcome"]), help="Only lines before, or only those after.")
@click.option("--since", help="From this instant on, like 2026-07-14 (UTC).")
@click.option("--until", help="Up to this instant, itself left out.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="So many at most.")
@output_option
@click.pass_context
def list_(ctx: click.Context, /, limit: int, output: str, **asked: Any) -> None:
    """The newest lines."""
    with operator_api(ctx) as api:
        found = api.some("/v1/audit_logs", limit, **asked)
    flat = [{**line, "actor": line["actor"]["name"], "address": line["actor"]["address"]} for line in found]
    print_rows(flat if output in ("table", "csv") else found, _COLUMNS, output)
