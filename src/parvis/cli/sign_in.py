"""`parvis org sign-in`: the identity provider of a customer."""

from pathlib import Path
from typing import Any

import click

from parvis.cli.asking import said, yes_option
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one
from parvis.cli.remote import read_secret
from parvis.core.errors import NotFound

_SHOWN_ONLY = ("object", "organisation_id", "redirect_uri", "sign_in_url")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("sign-in")
def sign_in() -> None:
    """How the people of an organisation sign in: its OpenID Connect provider."""


@sign_in.command()
@click.argument("organisation")
@output_option
@click.pass_context
def show(ctx: click.Context, organisation: str, output: str) -> None:
    """The provider, and the address to which it sends people back."""
    with operator_api(ctx) as api:
        print_one(api.get(_path(organisation)), output)


@sign_in.command("set")
@click.argument("organisation")
@click.option("--issuer", help="The provider, exactly as it writes itself.")
@click.option("--client-id", help="What it calls Parvis.")
@click.option("--client-secret-file", type=_FILE, help="A file with the secret, yours alone; without it the kept one.")
@click.option("--scope", "scopes", multiple=True, help="What is asked for [openid email profile].")
@click.option("--groups-claim", help="Where roles are read from; dots lead into objects [groups].")
@click.option(
    "--map", "mappings", multiple=True, help="VALUE=ROLE or VALUE=ROLE@TENANT: who has the value has the role."
)
@click.option("--domain", "domains", multiple=True, help="Whose e-mail ends so is let in without an invitation.")
@click.option("--vouches-for-factor/--no-vouches-for-factor", default=None, help="Believe its word on second factors.")
@click.option("--acr", "acr_values", multiple=True, help="An `acr` that stands for a second factor.")
@click.option("--required/--no-required", default=None, help="Close passwords and passkeys to all but owners.")
@output_option
@click.pass_context
def set_(ctx: click.Context, /, organisation: str, output: str, **asked: Any) -> None:
    """Set it, or change what is said of it; the rest stays. A list is replaced; said once as '', it is empty."""
    secret_file: Path | None = asked.pop("client_secret_file")
    mappings: tuple[str, ...] = asked.pop("mappings")
    body = said(**asked)
    if mappings:
        body["mappings"] = [] if mappings == ("",) else [_mapping(text) for text in mappings]
    if secret_file is not None:
        body["client_secret"] = read_secret(secret_file, "client secret").reveal()
    with operator_api(ctx) as api:
        try:
            before = api.get(_path(organisation))
        except NotFound:
            before = {}
        kept = {name: value for name, value in before.items() if name not in _SHOWN_ONLY}
        done = api.put(_path(organisation), {**kept, **body})
    print_done(
        f"Set. The provider must know {done['redirect_uri']}; people begin at {done['sign_in_url']}.", done, output
    )


@sign_in.command()
@click.argument("organisation")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, organisation: str, output: str) -> None:
    """Nobody comes by it any more; who did is signed out, and what its claims gave is withdrawn."""
    with operator_api(ctx) as api:
        removed = api.delete(_path(organisation))
    print_done("Removed.", removed, output)


@sign_in.command()
@click.argument("organisation")
@click.argument("user")
@output_option
@click.pass_context
def unlink(ctx: click.Context, organisation: str, user: str, output: str) -> None:
    """Forget by which name the provider knows USER; their e-mail finds them when they come again."""
    with operator_api(ctx) as api:
        done = api.delete(f"{_path(organisation)}/links/{user}")
    print_done(f"Unlinked {user}.", done, output)


def _path(organisation: str) -> str:
    return f"/v1/organisations/{organisation}/sign_in"


def _mapping(text: str) -> Json:
    value, equal, role = text.rpartition("=")
    if not equal or not value:
        raise click.BadParameter(f"'{text}' must look like VALUE=ROLE or VALUE=ROLE@TENANT.", param_hint="--map")
    name, _, tenant = role.partition("@")
    return {"value": value, "role": name, "tenant_id": tenant}
