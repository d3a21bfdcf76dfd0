"""`parvis node`: machines with gateways beside control's."""

import click

from parvis.cli.asking import limit_option, yes_option
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows

_COLUMNS = ("id", "name", "joined_at", "removed_at", "replicas")
_PATH = "/v1/nodes"


@click.group()
def node() -> None:
    """Machines that serve beside the one where control is."""


@node.command()
@output_option
@click.pass_context
def code(ctx: click.Context, output: str) -> None:
    """A code by which one machine joins within an hour: `parvis gateway --control HOST:PORT --join CODE` there."""
    with operator_api(ctx) as api:
        print_one(api.post(f"{_PATH}/codes", {}), output)


@node.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All that ever joined."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit), _COLUMNS, output, right=("replicas",))


@node.command()
@click.argument("node_id")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, node_id: str, output: str) -> None:
    """Believe it no more: its gateways lose control at once, and close within a minute."""
    with operator_api(ctx) as api:
        removed = api.delete(f"{_PATH}/{node_id}")
    print_done(f"Removed {removed['id']}.", removed, output)
