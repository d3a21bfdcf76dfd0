"""`parvis price`: what a million tokens cost, and from when on."""

from typing import Any

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_json, output_option, print_done, print_rows
from parvis.core.errors import BadRequest
from parvis.domain.billing.price_text import read_price, read_unit_price

_CLASSES = ("input", "cached", "output", "reasoning")
_BATCH = tuple(f"batch_{name}" for name in _CLASSES)
_UNITS = ("audio_minute", "document", "image")
_COLUMNS = ("version", "model_id", "valid_from", *_CLASSES, *_BATCH, *_UNITS, "in_force")
_DOCUMENTS = 1_000_000


@click.group()
def price() -> None:
    """Price lists, in euro for a million tokens, a minute of audio, a million documents, an image."""


@price.command("list")
@output_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """Every price list that ever was."""
    with operator_api(ctx) as api:
        lists = api.get("/v1/prices")["data"]
    flat = [_flat(p) for p in lists] if output in ("table", "csv") else lists
    print_rows(flat, _COLUMNS, output, right=(*_CLASSES, *_BATCH, *_UNITS))


@price.command()
@click.option("--model", "model_id", default="*", show_default=True, help="Of this model, or * for all.")
@click.option("--input", "input_", required=True, help="Like 0.90")
@click.option("--cached", help="Input that came from the prefix cache [as input].")
@click.option("--output", required=True)
@click.option("--reasoning", required=True)
@click.option("--batch-input", help="In a batch, here and below [half of the class's own].")
@click.option("--batch-cached")
@click.option("--batch-output")
@click.option("--batch-reasoning")
@click.option("--audio-minute", help="Of a started minute [not sold].")
@click.option("--documents", help="Of a million reranked documents [not sold].")
@click.option("--image", help="Of one image [not sold].")
@click.option("--from", "valid_from", help="From this instant on, like 2026-08-01 [now].")
@click.option("--version", help="A name for the list [made up].")
@as_json  # --output is the price of output here
@click.pass_context
def add(ctx: click.Context, /, *, json_: bool, **said: str | None) -> None:
    """Append a price list. None is ever changed: usage stays priced as it was."""
    classes = {"input": said["input_"], **{name: said[name] for name in _CLASSES[1:]}}
    classes |= {name: said[name] for name in _BATCH}
    prices = {f"{name}_microeuro_per_mtoken": _price(text, name) for name, text in classes.items() if text is not None}
    units = (
        ("audio_pico_euro_per_minute", "audio_minute", 1),
        ("rerank_pico_euro_per_document", "documents", _DOCUMENTS),
        ("image_pico_euro_each", "image", 1),
    )
    prices |= {field: _price(text, name, count) for field, name, count in units if (text := said[name])}
    rest = {name: said[name] for name in ("model_id", "valid_from", "version")}
    with operator_api(ctx) as api:
        added = api.post("/v1/prices", {**rest, **prices})
    print_done(f"Added {added['version']}, valid from {added['valid_from']}.", added, "json" if json_ else "table")


def _price(text: str, name: str, units: int = 0) -> int:
    """For a million tokens, or for so many units."""
    try:
        return read_unit_price(text, units) if units else read_price(text)
    except ValueError as problem:
        raise BadRequest(f"--{name.replace('_', '-')}: {problem}.") from None


def _flat(prices: dict[str, Any]) -> dict[str, Any]:
    batch = {f"batch_{name}": text for name, text in prices["batch_per_mtoken"].items()}
    units = {name: text or "not sold" for name, text in prices["per_unit"].items()}
    return {**prices, **prices["per_mtoken"], **batch, **units, "in_force": _mark(prices)}


def _mark(prices: dict[str, object]) -> str:
    return "yes" if prices["in_force"] else ""
