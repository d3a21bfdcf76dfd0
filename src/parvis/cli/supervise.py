"""`parvis reload`, `parvis gateway restart`: orders to the supervisor that runs, which says what came of them."""

import asyncio
from importlib import import_module
from pathlib import Path

import click

from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.app.orders import Word, order
from parvis.cli.output import as_json, print_json
from parvis.cli.place import settings_of
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


@click.group(invoke_without_command=True)
@click.option("--control", help="HOST:PORT of `link.listen` where control is: serve here, and only gateways.")
@click.option("--join", "code", default="", help="The code of `parvis node code`; at the first start only.")
@click.pass_context
def gateway(ctx: click.Context, control: str | None, code: str) -> None:
    """The processes that serve customers; with --control, a machine that has only these, until Ctrl-C."""
    if ctx.invoked_subcommand is not None:
        return
    if control is None or not control.rpartition(":")[2].isdecimal():
        raise click.UsageError("Say --control HOST:PORT, or a command: restart.")
    log_to_stderr()
    outpost = import_module("parvis.app.outpost")  # it needs libraries for which other commands would wait
    outpost.run(settings_of(ctx), outpost.Membership(control, _code(code)), click.echo)


def _code(said: str) -> str:
    """A code is a secret for an hour: from a file, by `@FILE`, it stands in no list of processes."""
    if not said.startswith("@"):
        return said
    try:
        return Path(said[1:]).read_text().strip()
    except OSError as problem:
        raise click.UsageError(f"{said[1:]} cannot be read: {problem.strerror}.") from None


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
