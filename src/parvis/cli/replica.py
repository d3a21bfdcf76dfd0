"""`parvis replica`: each running server, its state, and why."""

import click

from parvis.cli.asking import limit_option
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows

_ALL = "/v1/replicas"
_COLUMNS = ("id", "pool", "kind", "address", "state", "seen", "in_flight", "slots", "first_byte_ms", "why")


@click.group()
def replica() -> None:
    """Replicas: the running servers of pools."""


@replica.command("list")
@click.option("--pool", help="Of this pool only.")
@click.option("--deployment", help="Of this deployment only.")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, pool: str | None, deployment: str | None, limit: int | None, output: str) -> None:
    """All; `state` is what operator and machine say, `seen` what gateways find."""
    with operator_api(ctx) as api:
        found = api.some(_ALL, limit, pool=pool, deployment=deployment)
    print_rows(found, _COLUMNS, output, right=("in_flight", "slots", "first_byte_ms"))


@replica.command()
@click.argument("replica_id", metavar="REPLICA")
@output_option
@click.pass_context
def show(ctx: click.Context, replica_id: str, output: str) -> None:
    """One of them."""
    with operator_api(ctx) as api:
        print_one(api.get(f"{_ALL}/{replica_id}"), output)


@replica.command()
@click.argument("replica_id", metavar="REPLICA")
@output_option
@click.pass_context
def cordon(ctx: click.Context, replica_id: str, output: str) -> None:
    """REPLICA takes nothing new, and stays."""
    _told(ctx, replica_id, "cordon", output)


@replica.command()
@click.argument("replica_id", metavar="REPLICA")
@output_option
@click.pass_context
def uncordon(ctx: click.Context, replica_id: str, output: str) -> None:
    """REPLICA serves again, as far as its deployment does."""
    _told(ctx, replica_id, "uncordon", output)


@replica.command()
@click.argument("replica_id", metavar="REPLICA")
@output_option
@click.pass_context
def drain(ctx: click.Context, replica_id: str, output: str) -> None:
    """REPLICA takes nothing new. An engine process of a deployment then ends, and another follows it."""
    _told(ctx, replica_id, "drain", output)


def _told(ctx: click.Context, replica_id: str, what: str, output: str) -> None:
    with operator_api(ctx) as api:
        marked = api.post(f"{_ALL}/{replica_id}/{what}", {})
    print_done(f"{marked['id']} is marked {marked['marked']}.", marked, output)
