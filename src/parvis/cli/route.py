"""`parvis route`: which replica takes a request, and why."""

import json
from typing import Any, TextIO

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_csv, print_table, print_value, printable
from parvis.core.errors import BadRequest

_SCORES = ("load", "prefix", "latency", "weight", "cost")
_COLUMNS = ("", "replica", *_SCORES, "total", "filtered")


@click.group()
def route() -> None:
    """How requests find their replica."""


@route.command()
@click.argument("request_id", metavar="[REQUEST]", required=False)
@click.option("--file", type=click.File(encoding="utf-8"), help="The JSON body of a request ('-': standard input).")
@click.option("--key", "key_id", help="With --file: the id of the key that would send it.")
@output_option
@click.pass_context
def explain(ctx: click.Context, request_id: str | None, file: TextIO | None, key_id: str | None, output: str) -> None:
    """Each candidate and its scores: of a REQUEST as it was routed, or (--file, --key) of one as it would be now."""
    if (request_id is None) == (file is None) or (file is None) != (key_id is None):
        raise click.UsageError("Say the id of a REQUEST; or --file and --key, for one that nobody has made.")
    with operator_api(ctx) as api:
        if file is None:
            found = api.get(f"/v1/route/{request_id}")
        else:
            found = api.post("/v1/route", {"key_id": key_id, "request": _body(file)})
    if output in ("json", "yaml"):
        print_value(found, output)
        return
    decisions = found.get("routes", [found])
    if output == "csv":
        print_csv(("gateway", *_COLUMNS), [(one["gateway"], *row) for one in decisions for row in _rows(one)])
        return
    if chosen := found.get("chosen"):
        click.echo(printable(f"{chosen['name']} chooses {found['model']}: {chosen['why']}."))
    for one in decisions:
        _print(one)


def _print(one: dict[str, Any]) -> None:
    picked = one["picked"] or "nobody"
    click.echo(printable(f"Pool {one['pool']}, seen by {one['gateway']}: {picked}. {one['why']}"))
    weights = ["", "weight of the score", *(f"{one['weights'][score]:g}" for score in _SCORES), "", ""]
    print_table(_COLUMNS, [*_rows(one), weights], right=(*_SCORES, "total"))


def _rows(one: dict[str, Any]) -> list[list[str]]:
    return [_row(candidate, picked=candidate["replica_id"] == one["picked"]) for candidate in one["candidates"]]


def _row(one: dict[str, Any], *, picked: bool) -> list[str]:
    scores = [""] * (len(_SCORES) + 1) if one["filtered"] else [f"{one[name]:.3f}" for name in (*_SCORES, "total")]
    return ["*" if picked else "", one["replica_id"], *scores, one["filtered"]]


def _body(file: TextIO) -> dict[str, Any]:
    try:
        body = json.load(file)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadRequest(f"{file.name} must hold one JSON object: the body of a request.")
    return body
