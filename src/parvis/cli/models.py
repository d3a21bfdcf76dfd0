"""`parvis model`: the catalogue."""

import tomllib
from pathlib import Path
from typing import Any

import click

from parvis.cli.asking import limit_option
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_csv, print_done, print_one, print_rows, print_value, words
from parvis.core.errors import BadRequest

_COLUMNS = ("id", "aliases", "state", "track", "context_tokens", "capabilities", "engine", "licence")


@click.group()
def model() -> None:
    """The catalogue: what users can name."""


@model.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All entries, in every state."""
    with operator_api(ctx) as api:
        print_rows(api.some("/v1/models", limit), _COLUMNS, output, right=("context_tokens",))


@model.command()
@click.argument("model_id")
@output_option
@click.pass_context
def show(ctx: click.Context, model_id: str, output: str) -> None:
    """All that the catalogue knows of one model."""
    with operator_api(ctx) as api:
        print_one(api.get(f"/v1/models/{model_id}"), output)


@model.command()
@click.argument("model_id")
@click.option("--engine", help="The engine of parvis.toml, or the pool, that serves it.")
@click.option("--engine-model", help="What that engine calls it [the same].")
@click.option("--context", "context_tokens", type=int, help="Tokens of one conversation.")
@click.option("--can", "capabilities", multiple=True, default=("chat",), show_default=True, help="Repeat for more.")
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    metavar="MODEL[=DIFFICULTY]",
    help="In the place of an engine: a model to choose for tasks up to a difficulty of 0 to 1. From small to large.",
)
@click.option("--language", help="With --candidate: what callers write, as 'fr' [guessed from each request].")
@click.option("--alias", "aliases", multiple=True, help="Another name; repeat for more.")
@click.option("--experimental", is_flag=True, help="Not promised to stay the same for 12 months.")
@output_option
@click.pass_context
def add(ctx: click.Context, /, *, output: str, **said: Any) -> None:
    """Add an entry. Everything else about it can be told by `parvis model apply`."""
    entry = {
        "id": said["model_id"],
        "aliases": said["aliases"],
        "track": "experimental" if said["experimental"] else "stable",
        **(_choosing(said) if said["candidates"] else _served(said)),
    }
    with operator_api(ctx) as api:
        added = api.post("/v1/models", entry)
    print_done(f"Added {added['id']}.", added, output)


def _served(said: dict[str, Any]) -> dict[str, Any]:
    if said["engine"] is None or said["context_tokens"] is None:
        raise click.UsageError("Say --engine and --context; or --candidate, for an entry that chooses a model.")
    return {
        "engine": said["engine"],
        "engine_model": said["engine_model"] or said["model_id"],
        "context_tokens": said["context_tokens"],
        "capabilities": said["capabilities"],
    }


def _choosing(said: dict[str, Any]) -> dict[str, Any]:
    if said["engine"] or said["engine_model"] or said["context_tokens"]:
        raise click.UsageError("An entry that chooses has no engine and no context: --candidate stands alone.")
    language = {"language": said["language"]} if said["language"] else {}
    return {"auto": {"candidates": [_candidate(one) for one in said["candidates"]], **language}}


def _candidate(text: str) -> dict[str, Any]:
    name, _, difficulty = text.partition("=")
    try:
        return {"model": name, "difficulty_max": float(difficulty or 1)}
    except ValueError:
        raise click.BadParameter(f"'{difficulty}' is no number.", param_hint="--candidate") from None


@model.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@output_option
@click.pass_context
def apply(ctx: click.Context, file: Path, *, dry_run: bool, output: str) -> None:
    """Make the entries what FILE says: one [[models]] table each. What it does not say stays."""
    body = {"models": _read(file), "dry_run": dry_run}
    with operator_api(ctx) as api:
        done = api.post("/v1/models/apply", body)
    if output in ("json", "yaml"):
        print_value(done, output)
        return
    if output == "csv":
        print_csv(
            ("kind", "id", "fields"),
            [(c["kind"], c["id"], words([f["name"] for f in c["fields"]])) for c in done["data"]],
        )
        return
    for change in done["data"]:
        _print_change(change)
    if dry_run:
        click.echo("Nothing was changed: this was a dry run.")


def _print_change(change: dict[str, Any]) -> None:
    sign = {"add": "+", "change": "~"}.get(change["kind"], "=")
    click.echo(f"{sign} {change['id']}")
    for field in change["fields"]:
        before = f"{words(field['before'])} -> " if change["kind"] == "change" else ""
        click.echo(f"    {field['name']}: {before}{words(field['after'])}")


def _read(file: Path) -> list[Any]:
    try:
        content = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as problem:
        raise BadRequest(f"{file} cannot be read: {problem}.") from None
    entries = content.pop("models", None)
    if content or not isinstance(entries, list):
        raise BadRequest(f"{file} must hold [[models]] tables and nothing else.")
    return entries
