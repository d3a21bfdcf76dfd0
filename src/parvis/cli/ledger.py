"""`parvis ledger`: whether the books add up, what gateways hold, and what could not be booked."""

import sys
from typing import Any

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows


@click.group()
def ledger() -> None:
    """The books: transfers between accounts, of which nothing is ever changed."""


@ledger.command()
@click.option("--whole", is_flag=True, help="Add everything up now: minutes for ten million requests.")
@output_option
@click.pass_context
def check(ctx: click.Context, *, whole: bool, output: str) -> None:
    """What the books found when they last checked themselves. Status 1 when they do not add up."""
    with operator_api(ctx) as api:
        found = api.get("/v1/check" if whole else "/v1/check/last")
    if output == "table":
        for sentence in found["differences"]:
            click.echo(sentence)
        click.echo("The books add up." if found["ok"] else f"Differences: {len(found['differences'])}.")
    else:
        print_one(found, output)
    sys.exit(0 if found["ok"] else 1)


@ledger.command()
@output_option
@click.pass_context
def runs(ctx: click.Context, output: str) -> None:
    """Runs of gateways that hold money."""
    with operator_api(ctx) as api:
        found = api.get("/v1/ledger/runs", limit=1000)["data"]
    flat = [{**run, "holds": _words(run["holds"])} for run in found] if output in ("table", "csv") else found
    print_rows(flat, ("id", "connected", "journal_at_hand", "holds"), output)


@ledger.command()
@click.argument("run")
@click.option("--note", required=True, help="What happened to the journal; it stands in the books.")
@click.option("--dry-run", is_flag=True, help="Show what would come back, and change nothing.")
@output_option
@click.pass_context
def lost(ctx: click.Context, run: str, note: str, *, dry_run: bool, output: str) -> None:
    """Declare that the journal of RUN cannot be read any more: what it held goes back to its tenants."""
    with operator_api(ctx) as api:
        done = api.post("/v1/ledger/losses", {"run": run, "note": note, "dry_run": dry_run})
    back = _words(done["returned"]) or "nothing"
    print_done(f"{'Would come back' if dry_run else 'Came back'}: {back}.", done, output)


@ledger.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", help="Go on after the request of this id.")
@output_option
@click.pass_context
def unbookable(ctx: click.Context, limit: int, after: str | None, output: str) -> None:
    """Requests that the books refused, and why."""
    with operator_api(ctx) as api:
        found = api.get("/v1/ledger/unbookable", limit=limit, after=after)["data"]
    print_rows(found, ("id", "run", "tenant_id", "set_aside_at", "reason", "note"), output)


@ledger.command()
@click.argument("request_id")
@click.option("--note", required=True, help="What you have found out; it stands in the books.")
@output_option
@click.pass_context
def dismiss(ctx: click.Context, request_id: str, note: str, output: str) -> None:
    """A request that could not be booked was looked into: it is no difference any more."""
    with operator_api(ctx) as api:
        done = api.post("/v1/ledger/dismissals", {"request_id": request_id, "note": note})
    print_done(f"{done['id']} is looked into.", done, output)


def _words(holdings: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['amount']['text']} of {one['account']}" for one in holdings)
