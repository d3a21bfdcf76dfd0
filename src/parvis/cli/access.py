"""`parvis access`: who may do what, since when and by whose grant."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from parvis.cli.asking import limit_option
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_one, print_rows, print_value
from parvis.cli.reviews import review
from parvis.core.errors import BadRequest
from parvis.domain.vault.signed_document import read_public_key, verified

_COLUMNS = ("means", "who", "what", "organisation_id", "tenant_id", "since", "granted_by", "last_used", "works", "id")
_TABLES = ("access", "answer", "organisations", "tenants")
_FACTS = ("kind", "installation", "made_at", "made_by", "question")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def access() -> None:
    """Who may do what, since when and by whose grant; reports that can be believed; reviews."""


access.add_command(review)


@access.command()
@click.option("--model", required=True, help="By id or alias.")
@click.option("--tenant", required=True)
@limit_option
@output_option
@click.pass_context
def who(ctx: click.Context, model: str, tenant: str, limit: int | None, output: str) -> None:
    """Who can use MODEL in TENANT now: keys, and people who could make such a key."""
    with operator_api(ctx) as api:
        _print(api.some("/v1/access", limit, model=model, tenant=tenant), output)


@access.command("list")
@click.option("--org", help="What reaches this organisation.")
@click.option("--tenant", help="What reaches this tenant.")
@click.option("--user", help="What this person has.")
@limit_option
@output_option
@click.pass_context
def list_(
    ctx: click.Context, org: str | None, tenant: str | None, user: str | None, limit: int | None, output: str
) -> None:
    """Every role and every key that works or could work again."""
    with operator_api(ctx) as api:
        _print(api.some("/v1/access", limit, organisation=org, tenant=tenant, user=user), output)


@access.command()
@click.option("--days", type=click.IntRange(min=1), default=90, show_default=True, help="For so long.")
@click.option("--org", help="Of this organisation only.")
@click.option("--tenant", help="Of this tenant only.")
@limit_option
@output_option
@click.pass_context
def unused(ctx: click.Context, days: int, org: str | None, tenant: str | None, limit: int | None, output: str) -> None:
    """Keys that nobody uses."""
    with operator_api(ctx) as api:
        _print(api.some("/v1/access", limit, unused_days=days, organisation=org, tenant=tenant), output)


@access.command()
@click.option("--org", "organisation", help="Of this organisation only.")
@click.option("--tenant", help="Of this tenant only.")
@click.option("--model", help="Answer who can use this model of the tenant, too.")
@click.option("--out", type=_FILE, help="Write the signed file here.")
@click.option("--table", type=click.Choice(_TABLES), default="access", show_default=True, help="Which part to print.")
@output_option
@click.pass_context
def report(ctx: click.Context, /, out: Path | None, table: str, output: str, **place: Any) -> None:
    """The facts as one document, signed by the service. `-o json` prints exactly what was signed."""
    with operator_api(ctx) as api:
        file = api.file("/v1/access/report", **place)
        public_key = read_public_key(api.get("/v1/signing_key")["public_key"])
    document = verified(file, public_key)
    if out is not None:
        _write(out, file)
        click.echo(f"Wrote {out}: {len(document['access'])} rights, signed by {document['installation']}.", err=True)
    elif output == "json":
        click.echo(file, nl=False)
    elif output == "yaml":
        print_value(document, output)
    else:
        _print_table(document.get(table, []), table, output)


@access.command()
@output_option
@click.pass_context
def key(ctx: click.Context, output: str) -> None:
    """The public key that reports are signed with. Keep it where reports are checked."""
    with operator_api(ctx) as api:
        found = api.get("/v1/signing_key")
    if output == "table":
        click.echo(found["public_key"])
    else:
        print_one(found, output)


@access.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", "key_text", required=True, metavar="PUBLIC", help="What `parvis access key` printed.")
@output_option
def verify(file: Path, key_text: str, output: str) -> None:
    """Check a report without any service: whose it is, and that no byte of it was changed."""
    document = verified(file.read_bytes(), read_public_key(key_text))
    facts: Json = {name: document[name] for name in _FACTS if name in document}
    facts["rights"] = len(document.get("access", []))
    if output == "table":
        click.echo(f"{file} is as it was signed.")
    print_one(facts, output)


def _print(found: list[Json], output: str) -> None:
    print_rows([_dated(one) for one in found] if output in ("table", "csv") else found, _COLUMNS, output)


def _print_table(rows: list[Json], table: str, output: str) -> None:
    if table in ("access", "answer"):
        models = ("models",) if table == "access" else ()
        print_rows([_dated(one) for one in rows], (*_COLUMNS, *models), output)
    else:
        print_rows(rows, ("id", "name", "standing"), output)


def _dated(one: Json) -> Json:
    """With instants that a person can read."""
    return {**one, "since": _instant(one["since_unix_ms"]), "last_used": _instant(one["last_used_unix_ms"])}


def _instant(unix_ms: int | None) -> str:
    return "" if unix_ms is None else f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as problem:
        raise BadRequest(f"{path} cannot be written: {problem.strerror}.") from None
