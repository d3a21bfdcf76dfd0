"""`parvis credit`: what a tenant may spend."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_json, print_json


@click.command()
@click.argument("tenant")
@click.argument("euro")
@click.option("--reference", help="The order that this is for; it is credited once, however often it is sent.")
@as_json
@click.pass_context
def credit(ctx: click.Context, tenant: str, euro: str, reference: str | None, *, json_: bool) -> None:
    """Give TENANT credit of EURO, a decimal amount."""
    with operator_api(ctx) as api:
        done = api.post("/v1/credits", {"tenant_id": tenant, "euro": euro, "reference": reference})
    if json_:
        print_json(done)
    else:
        click.echo(f"{tenant} got {done['amount']['text']} ({done['reference']}); balance {done['balance']['text']}.")
