"""`parvis receipt`: the signed receipt of a request, and its check without any service."""

from pathlib import Path

import click

from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_one
from parvis.core.errors import BadRequest
from parvis.core.money import Money
from parvis.domain.vault.signed_document import read_public_key
from parvis.flows.receipt_file import checked

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def receipt() -> None:
    """Receipts that tenants check themselves."""


@receipt.command("get")
@click.argument("request_id")
@click.option("--out", type=_FILE, help="Write the file here.")
@click.pass_context
def get_(ctx: click.Context, request_id: str, out: Path | None) -> None:
    """The receipt of a request, exactly as it was made. With --url a customer's personal token or API key will do."""
    with operator_api(ctx) as api:
        file = api.file(f"/v1/receipts/{request_id}")
    if out is None:
        click.echo(file, nl=False)
        return
    try:
        out.write_bytes(file)
    except OSError as problem:
        raise BadRequest(f"{out} cannot be written: {problem.strerror}.") from None
    click.echo(f"Wrote {out}.", err=True)


@receipt.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", "key_text", required=True, metavar="PUBLIC", help="What `parvis access key` printed.")
@output_option
def verify(file: Path, key_text: str, output: str) -> None:
    """Check a receipt without any service: what it bills, and that nothing in it was changed."""
    said = checked(file.read_bytes(), read_public_key(key_text))
    if output == "table":
        click.echo(f"{file} holds: signed by {said.batch['installation']}, one of {said.batch['size']} in its batch.")
    billed = Money(int(said.row["billed_pico_euro"]))
    facts: Json = {**said.row, "billed": str(billed)}
    print_one(facts, output)
