"""`parvis estimate`: what a request would cost, before it is made."""

import json
from pathlib import Path
from typing import Any, TextIO

import click

from parvis.cli.operator_api import OperatorApi
from parvis.cli.output import output_option, print_rows, print_value
from parvis.cli.place import base_of, settings_of
from parvis.cli.remote import Remote, remote_of
from parvis.core.errors import Misconfigured

_KEY_FILE = click.Path(dir_okay=False, path_type=Path)
_COLUMNS = ("model", "input_tokens", "output_tokens_max", "least", "most", "batch_least", "batch_most", "counted")


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
@click.option("--model", help="Of this model [the cheapest that fits].")
@click.option("--max-tokens", type=click.IntRange(min=0), help="The longest answer [what the context leaves].")
@click.option("--tenant", "tenant_id", help="Of this tenant, where you reach several.")
@click.option("--key-file", type=_KEY_FILE, help="File with an API key or personal token [--token-file].")
@output_option
@click.pass_context
def estimate(
    ctx: click.Context, /, *, file: TextIO, output: str, key_file: Path | None, tenant_id: str | None, **said: Any
) -> None:
    """What a request would cost: FILE (or standard input) holds a text, or the JSON body of a chat."""
    body = _body(file.read()) | {name: value for name, value in said.items() if value is not None}
    if tenant_id is not None:
        body["tenant_id"] = tenant_id
    with _customers_api(ctx, key_file) as api:
        found = api.post("/v1/estimate", body)
    if output in ("json", "yaml"):
        print_value(found, output)
    else:
        print_rows([_flat(found)], _COLUMNS, output)


def _body(text: str) -> dict[str, Any]:
    """A chat if it is one, else a text."""
    try:
        chat = json.loads(text)
    except ValueError:
        chat = None
    return chat if isinstance(chat, dict) and "messages" in chat else {"input": text}


def _customers_api(ctx: click.Context, key_file: Path | None) -> OperatorApi:
    """The customers' listener: of the data folder, or the one that `--url` names."""
    settings, remote = settings_of(ctx), remote_of(ctx)
    secret = key_file or remote.token_file
    if secret is None:
        raise Misconfigured("Say --key-file: a file that holds an API key or a personal token, readable by you alone.")
    certificate = settings.console.tls_cert
    authority = remote.ca if remote.url or not certificate else Path(certificate)
    return OperatorApi(settings, Remote(remote.url or base_of(settings.console), authority, secret))


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": found["model"],
        "input_tokens": found["tokens"]["input"],
        "output_tokens_max": found["tokens"]["output_max"],
        "least": found["cost"]["least"]["text"],
        "most": found["cost"]["most"]["text"],
        "batch_least": found["batch_cost"]["least"]["text"],
        "batch_most": found["batch_cost"]["most"]["text"],
        "counted": "about" if found["estimated"] else "exactly",
    }
