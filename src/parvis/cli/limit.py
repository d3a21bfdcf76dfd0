"""`parvis limit`: what a key, a user, a project, a tenant, an organisation or a contract may use at most."""

from typing import Any

import click

from parvis.cli.asking import limit_option
from parvis.cli.limit_options import asked_limits, limit_options, merged, said_limits
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows

_PATH = "/v1/limits"
_COLUMNS = ("subject", "organisation_id", "tenant_id", "limits")
_KEY = "key:"


@click.group()
def limit() -> None:
    """Limits, each on a SUBJECT: key:ID, user:ID, project:ID, tenant:ID, organisation:ID or contract:TENANT."""


@limit.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """Everything that was set. What a tier gives is in `tier list`."""
    with operator_api(ctx) as api:
        found = api.some(_PATH, limit)
    shown = found if output in ("json", "yaml") else [{**one, "limits": said_limits(one["set"])} for one in found]
    print_rows(shown, _COLUMNS, output)


@limit.command()
@click.argument("subject")
@output_option
@click.pass_context
def show(ctx: click.Context, subject: str, output: str) -> None:
    """What holds for SUBJECT, and how its month stands; of a key, all that its requests are inside of."""
    with operator_api(ctx) as api:
        if subject.startswith(_KEY):
            found = api.get(f"/v1/keys/{subject.removeprefix(_KEY)}/limits")
            print_rows(found["data"] if output in ("json", "yaml") else _rows(found["data"]), _STATE, output)
        else:
            found = api.get(f"{_PATH}/{subject}")
            print_one(found if output in ("json", "yaml") else _rows([found])[0], output)


@limit.command("set")
@click.argument("subject")
@limit_options
@output_option
@click.pass_context
def set_(ctx: click.Context, /, subject: str, output: str, **asked: Any) -> None:
    """Limit SUBJECT, at every gateway within a second. What is not said stays; '' takes one away."""
    said = asked_limits(asked)
    if not said:
        raise click.UsageError("Say at least one limit, like --requests-per-minute 60 or --budget-euro 5.")
    with operator_api(ctx) as api:
        before = api.get(f"{_PATH}/{subject}")["set"]
        changed = api.put(f"{_PATH}/{subject}", merged(before, said))
    print_done(f"Limits of {subject}: {said_limits(changed['set']) or 'none'}.", changed, output)


@limit.command()
@click.argument("subject")
@output_option
@click.pass_context
def clear(ctx: click.Context, subject: str, output: str) -> None:
    """Take all limits of SUBJECT away. Wider ones go on holding."""
    with operator_api(ctx) as api:
        changed = api.delete(f"{_PATH}/{subject}")
    print_done(f"Nothing is set on {subject} any more.", changed, output)


_STATE = ("subject", "name", "tier", "limits", "budget", "spent", "leased", "left", "expected")


def _rows(states: list[Json]) -> list[Json]:
    """What a table shows of each: what is in force, and the month."""
    return [
        {
            "subject": one["subject"],
            "name": one["name"],
            "tier": one["tier"],
            "limits": said_limits(one["in_force"]),
            "budget": one["budget"]["limit"],
            **{name: one["budget"][name] for name in ("spent", "leased", "left", "expected")},
        }
        for one in states
    ]
