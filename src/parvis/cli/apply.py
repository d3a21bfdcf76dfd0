"""`parvis apply`: make everything what a file declares."""

import json
import os
from pathlib import Path

import click

from parvis.cli.declared import read_declaration
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_csv, print_value, printable, words
from parvis.core.errors import BadRequest, Conflict

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--prune", is_flag=True, help="Take away what FILE does not name, of the kinds that it `owns`.")
@click.option("--yes", is_flag=True, help="With --prune: do not ask before something is taken away.")
@click.option("--show-new-keys-to", "secrets_file", type=_FILE, help="Write new keys and invitations to this new file.")
@output_option
@click.pass_context
def apply(
    ctx: click.Context, /, file: Path, secrets_file: Path | None, output: str, *, yes: bool, **flags: bool
) -> None:
    """Make tiers, customers with all that is theirs, models, prices and deployments what FILE says: YAML, TOML or JSON.

    What it does not say stays. Applying it again changes nothing.
    """
    asked = {"file": read_declaration(file), **flags, "show_secrets": secrets_file is not None}
    if flags["prune"] and not flags["dry_run"] and not yes:
        _ask_first(ctx, asked)
    place = None if secrets_file is None or flags["dry_run"] else _new_file(secrets_file)
    done: Json = {"secrets": []}
    try:
        with operator_api(ctx) as api:
            done = api.post("/v1/apply", asked)
    finally:
        if place is not None and secrets_file is not None:
            _keep(place, secrets_file, done["secrets"])
    shown = {name: value for name, value in done.items() if name != "secrets"}
    if output == "table":
        _print_diff(shown, dry_run=flags["dry_run"])
    elif output == "csv":
        _print_csv(shown)
    else:
        print_value(shown, output)
    if done["stopped"]:
        raise Conflict(f"{done['stopped']} What was changed before stays; correct it and apply again.")


def _ask_first(ctx: click.Context, asked: Json) -> None:
    """Nothing is taken away before somebody has seen what. Raises Abort when the answer is no, or nobody is there."""
    with operator_api(ctx) as api:
        foreseen = api.post("/v1/apply", {**asked, "dry_run": True})["data"]
    gone = [change for change in foreseen if change["sign"] == "remove"]
    for change in gone:
        click.echo(printable(f"- {change['kind']} {change['path']}"), err=True)
    if gone:
        click.confirm(f"{len(gone)} will be taken away. Go on?", abort=True, err=True)


def _print_diff(done: Json, *, dry_run: bool) -> None:
    changes = done["data"]
    for change in changes:
        if change["sign"] in _SIGNS:
            _print_change(change)
    counts = {sign: sum(change["sign"] == sign for change in changes) for sign in ("add", "change", "remove", "same")}
    click.echo("{add} to add, {change} to change, {remove} to take away, {same} as they are.".format(**counts))
    if dry_run:
        click.echo("Nothing was changed: this was a dry run.")


def _print_change(change: Json) -> None:
    mark, colour = _SIGNS[change["sign"]]
    click.secho(printable(f"{mark} {change['kind']} {change['path']}"), fg=colour)
    for field in change["fields"]:
        before = f"{words(field['before'])} -> " if change["sign"] == "change" else ""
        click.secho(printable(f"    {field['name']}: {before}{words(field['after'])}"), fg=colour)


def _print_csv(done: Json) -> None:
    rows = [
        (change["sign"], change["kind"], change["path"], ", ".join(field["name"] for field in change["fields"]))
        for change in done["data"]
    ]
    print_csv(("sign", "kind", "path", "fields"), rows)


def _new_file(path: Path) -> int:
    """A file that nobody else reads, made before anything is: secrets must have somewhere to go."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as problem:
        raise BadRequest(f"--show-new-keys-to {path}: {problem.strerror}. Name a new file.") from None


def _keep(place: int, path: Path, secrets: list[Json]) -> None:
    with os.fdopen(place, "w") as file:
        json.dump(secrets, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    if secrets:
        click.echo(f"Wrote {len(secrets)} secrets to {path}. They are shown nowhere else.", err=True)
    else:
        path.unlink()
