"""`parvis engines`: what the engines counted themselves, beside the ledger, and how those for GPUs are started."""

from typing import Any

import click

from parvis.cli.engine_settings import settings
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_rows
from parvis.core.errors import Conflict

_COLUMNS = ("replica_id", "result", "since", "requests", "engine", "ledger", "notes")


@click.group()
def engines() -> None:
    """The engines behind the models."""


engines.add_command(settings)


@engines.command()
@output_option
@click.pass_context
def counts(ctx: click.Context, output: str) -> None:
    """Compare the engines' own counters with the ledger. Exit code 1 when they differ and nothing explains it."""
    with operator_api(ctx) as api:
        found = api.get("/v1/engines/counts")["data"]
    print_rows([_flat(one) for one in found] if output in ("table", "csv") else found, _COLUMNS, output)
    if wrong := [one["replica_id"] for one in found if one["difference"] and not _explained(one)]:
        raise Conflict(f"The engines' counters and the ledger differ: {', '.join(wrong)}.")


def _flat(one: dict[str, Any]) -> dict[str, Any]:
    notes = "; ".join(one["notes"])
    if not one["compared"]:
        return {**one, "result": "not compared", "notes": notes, "engine": "", "ledger": ""}
    ledger = one["ledger"]
    return {
        **one,
        "result": f"difference: {one['difference']} tokens",
        "engine": f"{one['engine']['prompt']} in, {one['engine']['completion']} out",
        "ledger": f"{ledger['input']} + {ledger['cached']} cached in, {ledger['output'] + ledger['reasoning']} out",
        "notes": notes,
    }


def _explained(one: dict[str, Any]) -> bool:
    """Requests that run, were cut, or were not booked by the engine's count: what is left is theirs."""
    return bool(one["running"]) or any("requests were cut" in note or "not booked by" in note for note in one["notes"])
