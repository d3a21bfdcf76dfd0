"""`parvis`: the group of all commands, how a refusal is said, and the exit codes."""

from pathlib import Path
from typing import Any

import click

from parvis.cli.access import access
from parvis.cli.apply import apply
from parvis.cli.audit import audit
from parvis.cli.bench import bench
from parvis.cli.budget import budget
from parvis.cli.cert import cert
from parvis.cli.chat import chat
from parvis.cli.completion import completion
from parvis.cli.config import config
from parvis.cli.credit import credit
from parvis.cli.deploy import deploy
from parvis.cli.doctor import doctor
from parvis.cli.engines import engines
from parvis.cli.estimate import estimate
from parvis.cli.invoice import invoice
from parvis.cli.keys import key
from parvis.cli.ledger import ledger
from parvis.cli.limit import limit
from parvis.cli.models import model
from parvis.cli.node import node
from parvis.cli.openapi import openapi
from parvis.cli.operator import operator
from parvis.cli.order import order, refund
from parvis.cli.org import org
from parvis.cli.prices import price
from parvis.cli.project import project
from parvis.cli.receipt import receipt
from parvis.cli.remote import Remote, remember
from parvis.cli.replica import replica
from parvis.cli.requests import requests
from parvis.cli.route import route
from parvis.cli.simulate import simulate
from parvis.cli.status import status
from parvis.cli.supervise import gateway, reload
from parvis.cli.tenant import tenant
from parvis.cli.tier import tier
from parvis.cli.top import top
from parvis.cli.up import up
from parvis.cli.usage import usage
from parvis.cli.user import user
from parvis.core.errors import Failure, NotAuthenticated, NotPermitted, Unavailable

_FILE = click.Path(dir_okay=False, path_type=Path)


class Commands(click.Group):
    """A failure is one sentence on stderr and an exit code that says of which kind it is."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            raise said_of(failure) from None


class Refused(click.ClickException):
    """Asking again as before is useless."""

    exit_code = 1


class Unreachable(click.ClickException):
    """Later it may work."""

    exit_code = 3


class NotAllowed(click.ClickException):
    """With another credential it may work."""

    exit_code = 4


def said_of(failure: Failure) -> click.ClickException:
    """The sentence and the exit code of a failure. 0 is: done; 2: a wrong option, which is click's; others: a bug."""
    match failure:
        case Unavailable():
            return Unreachable(str(failure))
        case NotAuthenticated() | NotPermitted():
            return NotAllowed(str(failure))
        case _:
            return Refused(str(failure))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="parvis", prog_name="parvis")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Data folder [PARVIS_HOME or ./data].")
@click.option("--url", envvar="PARVIS_URL", default="", help="The operator's API of another machine.")
@click.option("--ca", envvar="PARVIS_CA", type=_FILE, help="Who signed its certificate (PEM) [this machine's trust].")
@click.option("--token-file", envvar="PARVIS_TOKEN_FILE", type=_FILE, help="A personal token [operator.token].")
@click.pass_context
def main(ctx: click.Context, home: Path | None, url: str, ca: Path | None, token_file: Path | None) -> None:
    """Language models as a service, on your own machines."""
    ctx.obj = home
    remember(ctx, Remote(url, ca, token_file))


for command in (
    up,
    reload,
    gateway,
    node,
    deploy,
    replica,
    chat,
    doctor,
    usage,
    requests,
    route,
    receipt,
    invoice,
    status,
    top,
    org,
    tenant,
    project,
    user,
    operator,
    key,
    limit,
    budget,
    tier,
    access,
    audit,
    apply,
    model,
    price,
    estimate,
    simulate,
    bench,
    credit,
    order,
    refund,
    ledger,
    engines,
    cert,
    config,
    openapi,
    completion,
):
    main.add_command(command)
