"""`parvis tenant`: the parts of a customer."""

from collections.abc import Callable
from typing import Any

import click

from parvis.cli.asking import limit_option, said, yes_option
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows

_COLUMNS = ("id", "organisation_id", "name", "standing", "tier_id", "models_allowed", "models_denied", "addresses")
_PATH = "/v1/tenants"


@click.group()
def tenant() -> None:
    """Tenants: parts of an organisation with an account, permissions and data of their own."""


def _contract(command: Callable[..., Any]) -> Callable[..., Any]:
    """What only the operator decides of a tenant."""
    ways = click.Choice(["clip", "refuse"])
    of_too_much = "A request that may be more than what is left: is its answer shortened, or is it refused?"
    command = click.option("--exhaustion", type=ways, help=of_too_much)(command)
    return click.option("--tier", "tier_id", help="The class of its contract; '' for none.")(command)


def _asked_contract(asked: dict[str, Any]) -> Json:
    return {name: value for name in ("tier_id", "exhaustion") if (value := asked.pop(name)) is not None}


@tenant.command("list")
@click.option("--org", help="Of this organisation only.")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, org: str | None, limit: int | None, output: str) -> None:
    """All tenants."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit, organisation=org), _COLUMNS, output)


@tenant.command()
@click.argument("organisation")
@click.argument("name")
@click.option("--id", "tenant_id", help="How it is called in paths and records, for good [made up].")
@click.option("--unlimited", "credit_unlimited", is_flag=True, help="It spends without limit [what it is given].")
@_contract
@output_option
@click.pass_context
def create(ctx: click.Context, /, organisation: str, output: str, **asked: Any) -> None:
    """A new tenant of ORGANISATION, called NAME."""
    contract = _asked_contract(asked)
    with operator_api(ctx) as api:
        made = api.post(f"/v1/organisations/{organisation}/tenants", said(**asked))
        if contract:
            made = api.put(f"{_PATH}/{made['id']}/contract", contract)
    print_done(f"Created {made['id']}.", made, output)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT")
@output_option
@click.pass_context
def show(ctx: click.Context, tenant_id: str, output: str) -> None:
    """One tenant with its rules."""
    with operator_api(ctx) as api:
        print_one(api.get(f"{_PATH}/{tenant_id}"), output)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT")
@click.option("--name", help="Another name.")
@click.option("--model", "models_allowed", multiple=True, help="A pattern of models that it may use; repeat for more.")
@click.option("--deny", "models_denied", multiple=True, help="A pattern that it may not use; '' for none.")
@click.option("--address", "addresses", multiple=True, help="A network its keys may come from; '' for any.")
@click.option("--unlimited/--limited", "credit_unlimited", default=None, help="Whether it spends without limit.")
@_contract
@output_option
@click.pass_context
def change(ctx: click.Context, /, tenant_id: str, output: str, **asked: Any) -> None:
    """Another name, other rules, another contract. What is not said stays."""
    contract, rules = _asked_contract(asked), said(**asked)
    with operator_api(ctx) as api:
        changed = api.patch(f"{_PATH}/{tenant_id}", rules) if rules or not contract else {}
        if contract:
            changed = api.put(f"{_PATH}/{tenant_id}/contract", contract)
    print_done(f"Changed {changed['id']}.", changed, output)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT")
@output_option
@click.pass_context
def suspend(ctx: click.Context, tenant_id: str, output: str) -> None:
    """Serve it no more, within a second."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{tenant_id}/suspend", {})
    print_done(f"Suspended {changed['id']}.", changed, output)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT")
@output_option
@click.pass_context
def resume(ctx: click.Context, tenant_id: str, output: str) -> None:
    """Serve it again, if its organisation is served."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{tenant_id}/resume", {})
    print_done(f"Resumed {changed['id']}.", changed, output)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, tenant_id: str, output: str) -> None:
    """End it for good, with all its keys. It must be suspended."""
    with operator_api(ctx) as api:
        removed = api.delete(f"{_PATH}/{tenant_id}")
    print_done(f"Removed {removed['id']}.", removed, output)
