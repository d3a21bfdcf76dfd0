"""`parvis credit`: what a tenant may spend."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done


@click.command()
@click.argument("tenant")
@click.argument("euro")
@click.option("--reference", help="The order that this is for; it is credited once, however often it is sent.")
@output_option
@click.pass_context
def credit(ctx: click.Context, tenant: str, euro: str, reference: str | None, output: str) -> None:
    """Give TENANT credit of EURO, a decimal amount."""
    with operator_api(ctx) as api:
        done = api.post("/v1/credits", {"tenant_id": tenant, "euro": euro, "reference": reference})
    got = f"{tenant} got {done['amount']['text']} ({done['reference']}); balance {done['balance']['text']}."
    print_done(got, done, output)
