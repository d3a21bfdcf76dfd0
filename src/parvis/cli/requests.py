"""`parvis requests`: what was asked, one line a request."""

from typing import IO, Any

import click

from parvis.cli.exporting import export_options
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_csv, print_one, print_table, print_value, words

_COLUMNS = (
    "id",
    "started_at",
    "tenant_id",
    "key_id",
    "model",
    "outcome",
    "tokens",
    "billed",
    "first_byte_ms",
    "total_ms",
)
_NUMBERS = ("tokens", "billed", "first_byte_ms", "total_ms")


@click.group()
def requests() -> None:
    """The request history. Contents are not in it."""


@requests.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--after", help="Go on after the page that ended with this.")
@click.option("--tenant", help="Of this tenant only.")
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int, after: str | None, tenant: str | None, output: str) -> None:
    """The newest requests."""
    with operator_api(ctx) as api:
        page = api.get("/v1/requests", limit=limit, after=after, tenant=tenant)
    rows = [[_cell(record, name) for name in _COLUMNS] for record in page["data"]]
    if output in ("json", "yaml"):
        print_value(page, output)
    elif output == "csv":
        print_csv(_COLUMNS, rows)
    else:
        print_table(_COLUMNS, rows, right=_NUMBERS)
        if page["next"]:
            click.echo(f"More: parvis requests list --after '{page['next']}'")


@requests.command()
@click.argument("request_id")
@output_option
@click.pass_context
def show(ctx: click.Context, request_id: str, output: str) -> None:
    """One request."""
    with operator_api(ctx) as api:
        print_one(api.get(f"/v1/requests/{request_id}"), output)


@requests.command()
@export_options
@click.pass_context
def export(
    ctx: click.Context, since: str | None, until: str | None, tenant: str | None, form: str, to: IO[bytes]
) -> None:
    """Every request of a span, oldest first, as a file for other programs."""
    with operator_api(ctx) as api:
        api.save("/v1/requests/export", to, since=since, until=until, tenant=tenant, format=form)


def _cell(record: dict[str, Any], name: str) -> str:
    return str(record["tokens"]["total"]) if name == "tokens" else words(record[name])
