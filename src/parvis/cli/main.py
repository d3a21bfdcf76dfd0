"""`parvis`: the group of all commands, and how a refusal is said."""

from pathlib import Path
from typing import Any

import click

from parvis.cli.cert import cert
from parvis.cli.chat import chat
from parvis.cli.config import config
from parvis.cli.credit import credit
from parvis.cli.doctor import doctor
from parvis.cli.keys import key
from parvis.cli.models import model
from parvis.cli.openapi import openapi
from parvis.cli.prices import price
from parvis.cli.requests import requests
from parvis.cli.status import status
from parvis.cli.supervise import gateway, reload
from parvis.cli.up import up
from parvis.cli.usage import usage
from parvis.core.errors import Failure


class Commands(click.Group):
    """A failure is one sentence on stderr and exit status 1; a wrong option is 2; anything else is a bug."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            raise click.ClickException(str(failure)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="parvis", prog_name="parvis")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Data folder [PARVIS_HOME or ./data].")
@click.pass_context
def main(ctx: click.Context, home: Path | None) -> None:
    """Language models as a service, on your own machines."""
    ctx.obj = home


for command in (
    up,
    reload,
    gateway,
    chat,
    doctor,
    usage,
    requests,
    status,
    model,
    key,
    price,
    credit,
    cert,
    config,
    openapi,
):
    main.add_command(command)
