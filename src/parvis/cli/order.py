"""`parvis order` and `parvis refund`: credit that tenants have bought, and corrections."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_rows

_COLUMNS = ("id", "tenant_id", "kind", "amount", "unspent", "expired", "made_at", "expires_at", "note")


@click.group()
def order() -> None:
    """Prepaid credit. What expires first is spent first."""


@order.command("list")
@click.option("--tenant", help="Of this tenant only.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", help="Go on after the order of this id.")
@output_option
@click.pass_context
def list_(ctx: click.Context, tenant: str | None, limit: int, after: str | None, output: str) -> None:
    """Orders and refunds, and what is left of each."""
    with operator_api(ctx) as api:
        page = api.get("/v1/orders", tenant=tenant, limit=limit, after=after)
    print_rows(page["data"], _COLUMNS, output, right=("amount", "unspent", "expired"))
    if page["next"] and output == "table":
        click.echo(f"More: parvis order list --after '{page['next']}'")


@order.command()
@click.argument("tenant")
@click.argument("euro")
@click.option("--id", "order_id", help="The number of the order; it is credited once, however often it is sent.")
@click.option("--expires", "expires_at", help="What is unspent then goes back, like 2027-01-01 [never].")
@click.option("--note", default="", help="For whoever reads the books.")
@output_option
@click.pass_context
def add(ctx: click.Context, /, *, output: str, **said: str | None) -> None:
    """Give TENANT credit of EURO, a decimal amount."""
    form = {"tenant_id": said.pop("tenant"), **said}
    with operator_api(ctx) as api:
        done = api.post("/v1/orders", form)
    print_done(f"{done['tenant_id']} got {done['amount']['text']} ({done['id']}).", done, output)


@click.command()
@click.argument("tenant")
@click.argument("euro")
@click.option("--note", required=True, help="Why; it stands in the books.")
@click.option("--reference", help="What this corrects; it is refunded once, however often it is sent.")
@output_option
@click.pass_context
def refund(ctx: click.Context, /, *, output: str, **said: str | None) -> None:
    """Give back EURO that TENANT was billed."""
    form = {"tenant_id": said.pop("tenant"), **said}
    with operator_api(ctx) as api:
        done = api.post("/v1/refunds", form)
    got = f"{done['tenant_id']} got back {done['amount']['text']} ({done['reference']})"
    print_done(f"{got}; balance {done['balance']['text']}.", done, output)
