"""`parvis reload`, `parvis gateway restart`: orders to the supervisor that runs, which says what came of them."""

import asyncio

import click

from parvis.app.orders import Word, order
from parvis.cli.output import as_json, print_json
from parvis.settings import data_folder


@click.command()
@as_json
@click.pass_context
def reload(ctx: click.Context, *, json_: bool) -> None:
    """Put changed settings in force, and read certificates anew, without disturbing anybody."""
    done = _ordered(ctx, "reload")
    if json_:
        print_json(done)
        return
    click.echo(f"In force: {', '.join(done['changed']) or 'nothing has changed'}. Certificates were read anew.")
    if done["needs_take_over"]:
        click.echo(f"Not changed, needs `parvis up --take-over`: {', '.join(done['needs_take_over'])}.")


@click.group()
def gateway() -> None:
    """The processes that serve customers."""


@gateway.command()
@as_json
@click.pass_context
def restart(ctx: click.Context, *, json_: bool) -> None:
    """Replace the gateways one after another. The old ones finish what they answer; nobody is refused."""
    done = _ordered(ctx, "restart-gateways")
    if json_:
        print_json(done)
    else:
        click.echo(f"Gateways replaced: {done['gateways']}. The old ones end when their answers have.")


def _ordered(ctx: click.Context, what: str) -> Word:
    """Raises Misconfigured when no service runs, or with its own sentence."""
    return asyncio.run(order(data_folder(ctx.obj), {"do": what}))
