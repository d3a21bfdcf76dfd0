"""`parvis price`: what a million tokens cost, and from when on."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_json, output_option, print_done, print_rows
from parvis.core.errors import BadRequest
from parvis.domain.billing.price_text import read_price

_CLASSES = ("input", "cached", "output", "reasoning")
_COLUMNS = ("version", "model_id", "valid_from", *_CLASSES, "in_force")


@click.group()
def price() -> None:
    """Price lists, in euro for a million tokens."""


@price.command("list")
@output_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """Every price list that ever was."""
    with operator_api(ctx) as api:
        lists = api.get("/v1/prices")["data"]
    flat = [{**p, **p["per_mtoken"], "in_force": _mark(p)} for p in lists] if output in ("table", "csv") else lists
    print_rows(flat, _COLUMNS, output, right=_CLASSES)


@price.command()
@click.option("--model", "model_id", default="*", show_default=True, help="Of this model, or * for all.")
@click.option("--input", "input_", required=True, help="Like 0.90")
@click.option("--cached", help="Input that came from the prefix cache [as input].")
@click.option("--output", required=True)
@click.option("--reasoning", required=True)
@click.option("--from", "valid_from", help="From this instant on, like 2026-08-01 [now].")
@click.option("--version", help="A name for the list [made up].")
@as_json  # --output is the price of output here
@click.pass_context
def add(ctx: click.Context, /, *, json_: bool, **said: str | None) -> None:
    """Append a price list. None is ever changed: usage stays priced as it was."""
    classes = {"input": said["input_"], **{name: said[name] for name in _CLASSES[1:]}}
    prices = {f"{name}_microeuro_per_mtoken": _price(text, name) for name, text in classes.items() if text is not None}
    rest = {name: said[name] for name in ("model_id", "valid_from", "version")}
    with operator_api(ctx) as api:
        added = api.post("/v1/prices", {**rest, **prices})
    print_done(f"Added {added['version']}, valid from {added['valid_from']}.", added, "json" if json_ else "table")


def _price(text: str, name: str) -> int:
    try:
        return read_price(text)
    except ValueError as problem:
        raise BadRequest(f"--{name}: {problem}.") from None


def _mark(prices: dict[str, object]) -> str:
    return "yes" if prices["in_force"] else ""
