"""`parvis tier`: the classes of contracts, as they are sold."""

from typing import Any

import click

from parvis.cli.limit_options import asked_limits, limit_options, merged, said_limits
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.core.errors import NotFound

_PATH = "/v1/tiers"
_COLUMNS = ("id", "name", "entry_credit", "priority", "limits")


@click.group()
def tier() -> None:
    """Tiers: what a contract lets a tenant use. `tenant change TENANT --tier TIER` gives one."""


@tier.command("list")
@output_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """All tiers."""
    with operator_api(ctx) as api:
        found = api.get(_PATH)["data"]
    shown = found if output in ("json", "yaml") else [_flat(one) for one in found]
    print_rows(shown, _COLUMNS, output, right=("entry_credit", "priority"))


@tier.command()
@click.argument("tier_id", metavar="TIER")
@output_option
@click.pass_context
def show(ctx: click.Context, tier_id: str, output: str) -> None:
    """One tier."""
    with operator_api(ctx) as api:
        found = api.get(f"{_PATH}/{tier_id}")
    print_one(found if output in ("json", "yaml") else _flat(found), output)


@tier.command("set")
@click.argument("tier_id", metavar="TIER")
@click.option("--name", help="What it is called [its id].")
@click.option("--name-fr", help="And in French [as in English].")
@click.option("--priority", type=click.IntRange(0, 100), help="Requests of a higher one go first where they wait [0].")
@click.option("--entry-credit-euro", metavar="EURO", help="The first order of a tenant is at least this [0].")
@limit_options
@output_option
@click.pass_context
def set_(ctx: click.Context, /, tier_id: str, output: str, **asked: Any) -> None:
    """Add TIER or change it, for all its contracts within a second. What is not said stays; '' takes a limit away."""
    limits = asked_limits(asked)
    with operator_api(ctx) as api:
        try:
            before = api.get(f"{_PATH}/{tier_id}")
        except NotFound:
            before = {"name": tier_id, "name_fr": None, "priority": 0, "limits": {}}
        form = {name: before[name] if asked[name] is None else asked[name] for name in ("name", "name_fr", "priority")}
        entry = asked["entry_credit_euro"] or _euro(before)
        body = {**form, "entry_credit_euro": entry, "limits": merged(before["limits"], limits)}
        changed = api.put(f"{_PATH}/{tier_id}", body)
    print_done(f"Tier {tier_id}: {said_limits(changed['limits']) or 'no limits'}.", changed, output)


def _euro(before: Json) -> str:
    text: str = before.get("entry_credit", {"text": "0 €"})["text"]
    return text.removesuffix(" €")


def _flat(found: Json) -> Json:
    return {**found, "limits": said_limits(found["limits"])}
