"""`parvis config`: the machine settings."""

import re
from pathlib import Path
from typing import Any

import click
import msgspec

from parvis.app.laying_out import lay_out
from parvis.app.machine import look
from parvis.cli.output import as_json, print_json
from parvis.cli.place import settings_of
from parvis.domain.fleet.layout import told
from parvis.settings import FILE, EngineSettings, Settings

_URL = re.compile(
    r"(?P<scheme>\w[\w+.-]*://)?(?:(?P<user>[^:/?]*)(?P<password>:.*)?@)?(?P<place>[^?]*)(?P<options>\?.*)?"
)


@click.group()
def config() -> None:
    """The settings: parvis.toml in the data folder, overridden by PARVIS_SECTION__NAME."""


@config.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Read the settings as the service would."""
    settings = settings_of(ctx)
    file = settings.home / FILE
    click.echo(f"{file} is right." if file.exists() else f"There is no {file}: the defaults are right.")


@config.command()
@as_json
@click.pass_context
def show(ctx: click.Context, *, json_: bool) -> None:
    """The settings in force, without passwords. What nobody has said of engines is shown as it is chosen here."""
    said, machine = settings_of(ctx), look()
    laid = lay_out(said, machine)
    shown = msgspec.to_builtins(laid.settings, enc_hook=str)
    shown["store"]["url"] = _without_secrets(shown["store"]["url"])
    if json_:
        print_json(shown)
        return
    for line in _toml("", {name: value for name, value in shown.items() if name != "home"}):
        click.echo(line)
    for name, layout in laid.layouts.items():
        if chosen := _chosen(said.engines[name], laid.settings.engines[name]):
            click.echo(f"# engines.{name}: {', '.join(chosen)} chosen: {told(layout, machine)}")


def _chosen(said: EngineSettings, used: EngineSettings) -> list[str]:
    """The names of what was not said."""
    return [name for name, value in msgspec.structs.asdict(used).items() if getattr(said, name) != value]


def _without_secrets(url: str) -> str:
    """What stands between a colon and the last @ is a password, however it is written; so may any option be."""
    part = _URL.fullmatch(url)
    if part is None or "@" in url.partition("?")[2]:  # a password with a ? in it, or an option with an @?
        return "***"
    user = "" if part["user"] is None else part["user"] + (":***" if part["password"] else "") + "@"
    return (part["scheme"] or "") + user + part["place"] + ("?***" if part["options"] else "")


@config.command()
def schema() -> None:
    """What can be set, as a JSON Schema."""
    print_json(msgspec.json.schema(Settings, schema_hook=_path_schema))


def _path_schema(kind: type) -> dict[str, Any]:
    if issubclass(kind, Path):
        return {"type": "string"}
    raise TypeError(f"a setting of type {kind.__name__} has no JSON Schema yet")


def _toml(section: str, values: dict[str, Any]) -> list[str]:
    """The text of a parvis.toml that says all this. TOML has no null: what is not set is left out."""
    said = {name: value for name, value in values.items() if value is not None}
    plain = [f"{name} = {_value(value)}" for name, value in said.items() if not isinstance(value, dict)]
    head = ["", f"[{section}]"] if section and plain else []
    nested = [
        line
        for name, value in said.items()
        if isinstance(value, dict)
        for line in _toml(f"{section}.{name}".lstrip("."), value)
    ]
    return [*head, *plain, *nested]


def _value(value: object) -> str:
    """JSON's texts, numbers, truth values and lists are also TOML's."""
    return msgspec.json.encode(value).decode()
