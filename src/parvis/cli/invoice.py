"""`parvis invoice`: who stands on invoices, closing months, and the files."""

from pathlib import Path
from typing import Any

import click
import yaml

from parvis.cli.asking import limit_option
from parvis.cli.operator_api import CHECK_S_MAX, Json, OperatorApi, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.core.errors import BadRequest, Failure
from parvis.core.money import Money
from parvis.domain.billing.invoice import PICO_PER_CENT

_FILE = click.Path(dir_okay=False, path_type=Path)
_READ = click.Path(exists=True, dir_okay=False, path_type=Path)
_COLUMNS = ("id", "kind", "organisation_id", "month", "about", "issued_at", "total")
_FORMS = {"pdf": "pdf", "xml": "xml", "json": "document"}
_NOTHING = "nothing_to_bill"


@click.group()
def invoice() -> None:
    """Invoices: closing months, credit notes, and what stands on them."""


@invoice.command()
@click.argument("file", type=_READ, required=False)
@output_option
@click.pass_context
def seller(ctx: click.Context, file: Path | None, output: str) -> None:
    """Show who sells, or say it: FILE is YAML or JSON."""
    with operator_api(ctx) as api:
        found = api.get("/v1/seller") if file is None else api.put("/v1/seller", _read(file))
    print_one(found, output)


@invoice.command()
@click.argument("organisation")
@click.argument("file", type=_READ, required=False)
@output_option
@click.pass_context
def buyer(ctx: click.Context, organisation: str, file: Path | None, output: str) -> None:
    """Show who an organisation is on invoices, or say it: FILE is YAML or JSON."""
    path = f"/v1/organisations/{organisation}/buyer"
    with operator_api(ctx) as api:
        found = api.get(path) if file is None else api.put(path, _read(file))
    print_one(found, output)


@invoice.command()
@click.argument("month")
@click.option("--org", help="This organisation only [all].")
@output_option
@click.pass_context
def close(ctx: click.Context, month: str, org: str | None, output: str) -> None:
    """Issue the invoices of MONTH, like 2026-10, which is over. They are never changed."""
    issued, refused = [], []
    with operator_api(ctx) as api:
        for organisation in [org] if org else [one["id"] for one in api.every("/v1/organisations")]:
            try:
                issued.append(_row(_closed(api, organisation, month)))
            except Failure as failure:
                if org or failure.code != _NOTHING:
                    refused.append(f"{organisation}: {failure}")
    print_rows(issued, _COLUMNS, output, right=("total",))
    if refused:
        raise BadRequest("\n".join(refused))


@invoice.command("list")
@click.option("--org", help="Of this organisation only.")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, org: str | None, limit: int | None, output: str) -> None:
    """Invoices and credit notes, by number."""
    with operator_api(ctx) as api:
        found = api.some("/v1/invoices", limit, organisation=org)
    print_rows([_row(one) for one in found], _COLUMNS, output, right=("total",))


@invoice.command("get")
@click.argument("number")
@click.option("--form", type=click.Choice(list(_FORMS)), help="The file: for people, for programs, or signed.")
@click.option("--language", type=click.Choice(["en", "fr"]), help="Of the PDF [the buyer's].")
@click.option("--out", type=_FILE, help="Where the file goes [NUMBER.FORM].")
@output_option
@click.pass_context
def get_(ctx: click.Context, /, number: str, form: str | None, output: str, **said: Any) -> None:
    """Show an invoice, or fetch its file with --form."""
    path = f"/v1/invoices/{number}"
    with operator_api(ctx) as api:
        if form is None:
            print_one(_row(api.get(path)), output)
            return
        asked = {"language": said["language"]} if form == "pdf" else {}
        content = api.download(f"{path}/{_FORMS[form]}", **asked)
    out = said["out"] or Path(f"{number}.{form}")
    try:
        out.write_bytes(content)
    except OSError as problem:
        raise BadRequest(f"{out} cannot be written: {problem.strerror}.") from None
    click.echo(f"Wrote {out}.", err=True)


@invoice.command()
@click.argument("number")
@output_option
@click.pass_context
def credit(ctx: click.Context, number: str, output: str) -> None:
    """Issue a credit note about invoice NUMBER, of what was refunded since the last one."""
    with operator_api(ctx) as api:
        made = api.post(f"/v1/invoices/{number}/credit_notes", {})
    print_done(f"Issued {made['id']} about {number}: {_row(made)['total']}.", made, output)


def _closed(api: OperatorApi, organisation: str, month: str) -> Json:
    return api.post(f"/v1/organisations/{organisation}/invoices", {"month": month}, timeout_s=CHECK_S_MAX)


def _row(one: Json) -> Json:
    return {**one, "total": str(Money(one["total_cents"] * PICO_PER_CENT))}


def _read(file: Path) -> Json:
    """Raises BadRequest for what is no object in YAML or JSON."""
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise BadRequest(f"{file} cannot be read: {problem}.") from None
    if not isinstance(said, dict):
        raise BadRequest(f"{file} holds no object.")
    return said
