"""`parvis requests`: what was asked, one line a request."""

from typing import Any

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_csv, as_json, print_csv, print_facts, print_json, print_table, words

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
@as_json
@as_csv
@click.pass_context
def list_(ctx: click.Context, limit: int, after: str | None, tenant: str | None, *, json_: bool, csv_: bool) -> None:
    """The newest requests."""
    with operator_api(ctx) as api:
        page = api.get("/v1/requests", limit=limit, after=after, tenant=tenant)
    rows = [[_cell(record, name) for name in _COLUMNS] for record in page["data"]]
    if json_:
        print_json(page)
    elif csv_:
        print_csv(_COLUMNS, rows)
    else:
        print_table(_COLUMNS, rows, right=_NUMBERS)
        if page["next"]:
            click.echo(f"More: parvis requests list --after '{page['next']}'")


@requests.command()
@click.argument("request_id")
@as_json
@click.pass_context
def show(ctx: click.Context, request_id: str, *, json_: bool) -> None:
    """One request."""
    with operator_api(ctx) as api:
        record = api.get(f"/v1/requests/{request_id}")
    if json_:
        print_json(record)
    else:
        print_facts({name: value for name, value in record.items() if name != "object"})


def _cell(record: dict[str, Any], name: str) -> str:
    return str(record["tokens"]["total"]) if name == "tokens" else words(record[name])
