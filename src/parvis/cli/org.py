"""`parvis org`: customers."""

from typing import Any

import click

from parvis.cli.asking import limit_option, said, yes_option
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.cli.sign_in import sign_in

_COLUMNS = ("id", "name", "standing", "second_factor", "created_at")
_PATH = "/v1/organisations"


@click.group()
def org() -> None:
    """Organisations: customers, who have the contract and the people."""


org.add_command(sign_in)


@org.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All organisations."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit), _COLUMNS, output)


@org.command()
@click.argument("name")
@click.option("--id", "organisation_id", help="How it is called in paths and records, for good [made up].")
@output_option
@click.pass_context
def create(ctx: click.Context, name: str, organisation_id: str | None, output: str) -> None:
    """A new customer called NAME."""
    with operator_api(ctx) as api:
        made = api.post(_PATH, said(name=name, organisation_id=organisation_id))
    print_done(f"Created {made['id']}.", made, output)


@org.command()
@click.argument("organisation")
@output_option
@click.pass_context
def show(ctx: click.Context, organisation: str, output: str) -> None:
    """One organisation."""
    with operator_api(ctx) as api:
        print_one(api.get(f"{_PATH}/{organisation}"), output)


@org.command()
@click.argument("organisation")
@click.option("--name", help="Another name.")
@click.option("--second-factor/--no-second-factor", default=None, help="Whether local accounts must show one.")
@output_option
@click.pass_context
def change(ctx: click.Context, /, organisation: str, output: str, **asked: Any) -> None:
    """Another name, or another rule for second factors."""
    with operator_api(ctx) as api:
        changed = api.patch(f"{_PATH}/{organisation}", said(**asked))
    print_done(f"Changed {changed['id']}.", changed, output)


@org.command()
@click.argument("organisation")
@output_option
@click.pass_context
def suspend(ctx: click.Context, organisation: str, output: str) -> None:
    """Serve it no more, within a second: neither its keys nor its people."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{organisation}/suspend", {})
    print_done(f"Suspended {changed['id']}.", changed, output)


@org.command()
@click.argument("organisation")
@output_option
@click.pass_context
def resume(ctx: click.Context, organisation: str, output: str) -> None:
    """Serve it again."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{organisation}/resume", {})
    print_done(f"Resumed {changed['id']}.", changed, output)


@org.command()
@click.argument("organisation")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, organisation: str, output: str) -> None:
    """End it for good, with all its keys. It must be suspended."""
    with operator_api(ctx) as api:
        removed = api.delete(f"{_PATH}/{organisation}")
    print_done(f"Removed {removed['id']}.", removed, output)
