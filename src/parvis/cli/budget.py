"""`parvis budget`: what may be spent in a month. A budget is one of the limits of a subject."""

from typing import Any

import click

from parvis.cli.asking import limit_option
from parvis.cli.limit_options import asked_limits, budget_options, merged
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_rows

_PATH = "/v1/limits"
_COLUMNS = ("subject", "name", "month", "limit", "spent", "leased", "left", "expected")
_AMOUNTS = ("limit", "spent", "leased", "left", "expected")


@click.group()
def budget() -> None:
    """Budgets of a month (of UTC), each on a SUBJECT: see `limit`."""


@budget.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """Every budget that was set, and how its month stands."""
    found: list[Json] = []
    with operator_api(ctx) as api:
        for one in api.every(_PATH):
            if {"monthly_euro", "notice_euro"} & one["set"].keys():
                found.append(api.get(f"{_PATH}/{one['subject']}"))
            if len(found) == limit:
                break
    shown = found if output in ("json", "yaml") else [{**one, **one["budget"]} for one in found]
    print_rows(shown, _COLUMNS, output, right=_AMOUNTS)


@budget.command("set")
@click.argument("subject")
@click.argument("euro", required=False)
@budget_options
@output_option
@click.pass_context
def set_(ctx: click.Context, /, subject: str, euro: str | None, output: str, **asked: Any) -> None:
    """No more than EURO is spent by SUBJECT in a month, from now on. What is not said stays; '' takes it away."""
    said = asked_limits(asked)
    if euro is not None:
        said["monthly_euro"] = euro or None
    if not said:
        raise click.UsageError("Say an amount, like 5.00, or when to give notice.")
    with operator_api(ctx) as api:
        before = api.get(f"{_PATH}/{subject}")["set"]
        changed = api.put(f"{_PATH}/{subject}", merged(before, said))
    month = changed["budget"]
    limit = month["limit"]["text"] if month["limit"] else "none"
    print_done(f"Budget of {subject}: {limit} a month; {month['spent']['text']} are spent.", changed, output)
