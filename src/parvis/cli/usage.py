"""`parvis usage`: who used what, and what it cost."""

from typing import IO, Any

import click

from parvis.cli.exporting import export_options
from parvis.cli.operator_api import operator_api
from parvis.cli.output import bar, output_option, print_csv, print_table, print_value

_CLASSES = ("input", "cached", "output", "reasoning")
_UNITS = ("audio_minutes", "documents", "images")


_GROUPS = "tenant,project,user,tag,key,model,day"


@click.group(invoke_without_command=True)
@click.option("--by", default="model", show_default=True, help=f"Split by any of {_GROUPS}.")
@click.option("--since", help="From this instant on, like 2026-07-14 (UTC).")
@click.option("--until", help="Up to this instant, itself left out.")
@click.option("--tenant", help="Of this tenant only.")
@output_option
@click.pass_context
def usage(ctx: click.Context, by: str, since: str | None, until: str | None, tenant: str | None, output: str) -> None:
    """Tokens and money, exactly. A key with two tags counts in both of them, and once in the total."""
    if ctx.invoked_subcommand is not None:
        return
    with operator_api(ctx) as api:
        report = api.get("/v1/usage", group_by=by, since=since, until=until, tenant=tenant)
    if output in ("json", "yaml"):
        print_value(report, output)
    elif output == "csv":
        _print_csv(report)
    else:
        _print_table(report)


@usage.command()
@click.option("--by", default="key,day", show_default=True, help=f"Split by any of {_GROUPS}.")
@export_options
@click.pass_context
def export(
    ctx: click.Context, by: str, since: str | None, until: str | None, tenant: str | None, form: str, to: IO[bytes]
) -> None:
    """Every group of a span, as a file for other programs."""
    with operator_api(ctx) as api:
        api.save("/v1/usage/export", to, group_by=by, since=since, until=until, tenant=tenant, format=form)


def _print_csv(report: dict[str, Any]) -> None:
    groups = list(report["data"][0]["group"]) if report["data"] else []
    header = [
        *groups,
        "requests",
        *_CLASSES,
        "billed_pico_euro",
        "written_off_pico_euro",
        "estimated_requests",
        *_UNITS,
    ]
    print_csv(header, [_numbers(row) for row in report["data"]])


def _numbers(row: dict[str, Any]) -> list[object]:
    tokens = [row["tokens"][name] for name in _CLASSES]
    money = [row[name]["pico_euro"] for name in ("billed", "written_off")]
    return [*row["group"].values(), row["requests"], *tokens, *money, row["estimated_requests"], *row["units"].values()]


def _print_table(report: dict[str, Any]) -> None:
    total = report["total"]
    groups = list(report["data"][0]["group"]) if report["data"] else []
    whole = total["billed"]["pico_euro"]
    units = [name for name in _UNITS if total["units"][name]]
    numbers = ["requests", *_CLASSES, *(name.replace("_", " ") for name in units), "cost"]
    rows = [
        [*row["group"].values(), *_cells(row, units), bar(row["billed"]["pico_euro"], whole)] for row in report["data"]
    ]
    if groups:
        rows.append(["total", *[""] * (len(groups) - 1), *_cells(total, units), ""])
    print_table([*groups, *numbers, "share"], rows or [[*_cells(total, units), ""]], right=numbers)
    if total["written_off"]["pico_euro"]:
        click.echo(f"Written off, and billed to nobody: {total['written_off']['text']}")
    if total["estimated_requests"]:
        click.echo(f"Counted by estimate, not by the engine: {total['estimated_requests']} requests")


def _cells(row: dict[str, Any], units: list[str]) -> list[object]:
    """Units that nobody used have no column."""
    tokens = (row["tokens"][name] for name in _CLASSES)
    return [row["requests"], *tokens, *(row["units"][name] for name in units), row["billed"]["text"]]
