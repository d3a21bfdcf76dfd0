"""`parvis key`: credentials of customers."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_csv, as_json, print_csv, print_json, print_table, words

_COLUMNS = ("id", "name", "tenant_id", "models", "active")


@click.group()
def key() -> None:
    """API keys."""


@key.command()
@click.argument("name")
@click.option("--tenant", help="Whose key [the only tenant].")
@click.option("--model", "models", multiple=True, help="Only this model; repeat for more [all].")
@as_json
@click.pass_context
def create(ctx: click.Context, name: str, tenant: str | None, models: tuple[str, ...], *, json_: bool) -> None:
    """Make a key. It is shown this once and stored nowhere."""
    form = {"name": name, "tenant_id": tenant, "models": list(models) or ["*"]}
    with operator_api(ctx) as api:
        made = api.post("/v1/keys", form)
    if json_:
        print_json(made)
        return
    click.echo("This is the API key. It is shown once; keep it.", err=True)
    click.echo(f"API key: {made['key']}")


@key.command("list")
@as_json
@as_csv
@click.pass_context
def list_(ctx: click.Context, *, json_: bool, csv_: bool) -> None:
    """All keys, without their secrets."""
    with operator_api(ctx) as api:
        found = list(api.every("/v1/keys"))
    rows = [[words(one[name]) for name in _COLUMNS] for one in found]
    if json_:
        print_json(found)
    elif csv_:
        print_csv(_COLUMNS, rows)
    else:
        print_table(_COLUMNS, rows)


@key.command()
@click.argument("key_id")
@click.pass_context
def revoke(ctx: click.Context, key_id: str) -> None:
    """End a key for good, everywhere."""
    with operator_api(ctx) as api:
        api.delete(f"/v1/keys/{key_id}")
    click.echo(f"Revoked {key_id}.")
