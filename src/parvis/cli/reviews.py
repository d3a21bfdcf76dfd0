"""`parvis access review`: campaigns in which each right is kept or withdrawn."""

from typing import Any

import click

from parvis.cli.asking import limit_option, said
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows

_COLUMNS = ("id", "name", "organisation_id", "tenant_id", "due_at", "undecided", "kept", "withdrawn", "overdue")
_ITEMS = ("id", "who", "what", "tenant_id", "granted_by", "proposal", "decision", "decided_by", "reason")
_NUMBERS = ("undecided", "kept", "withdrawn")
_PATH = "/v1/reviews"


@click.group()
def review() -> None:
    """Reviews: somebody looks at every right of a place, and keeps or withdraws it."""


@review.command("open")
@click.argument("name")
@click.option("--due", "due_at", required=True, help="Until this day, like 2026-12-31.")
@click.option("--org", "organisation_id", help="Of this organisation [of everything].")
@click.option("--tenant", "tenant_id", help="Of this tenant.")
@click.option("--reviewer", "reviewers", multiple=True, help="Who has this role decides [the owners of the place].")
@click.option("--unused-days", type=click.IntRange(min=1), help="Propose to remove keys unused for so long [90].")
@output_option
@click.pass_context
def open_(ctx: click.Context, /, output: str, **asked: Any) -> None:
    """Ask about every right of a place."""
    with operator_api(ctx) as api:
        made = api.post(_PATH, said(**asked))
    print_done(f"Opened {made['id']}: {made['undecided']} rights to decide about.", made, output)


@review.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All reviews, the oldest first."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit), _COLUMNS, output, right=_NUMBERS)


@review.command()
@click.argument("review_id", metavar="REVIEW")
@output_option
@click.pass_context
def show(ctx: click.Context, review_id: str, output: str) -> None:
    """One review, and how far it has come."""
    with operator_api(ctx) as api:
        print_one(api.get(f"{_PATH}/{review_id}"), output)


@review.command()
@click.argument("review_id", metavar="REVIEW")
@click.option("--undecided", is_flag=True, help="Only what was not answered.")
@click.option("--decision", type=click.Choice(["keep", "withdraw"]), help="Only what was answered so.")
@limit_option
@output_option
@click.pass_context
def items(
    ctx: click.Context, review_id: str, decision: str | None, limit: int | None, output: str, *, undecided: bool
) -> None:
    """The rights that it asks about, and what was decided."""
    asked = {"decision": decision, "undecided": "true" if undecided else None}
    with operator_api(ctx) as api:
        print_rows(api.some(f"{_PATH}/{review_id}/items", limit, **asked), _ITEMS, output)


@review.command()
@click.argument("review_id", metavar="REVIEW")
@click.argument("item")
@click.argument("decision", type=click.Choice(["keep", "withdraw"]))
@click.option("--reason", required=True, help="Why; it stands in the review for good.")
@output_option
@click.pass_context
def decide(ctx: click.Context, /, review_id: str, item: str, decision: str, reason: str, output: str) -> None:
    """Keep a right, or withdraw it everywhere and at once."""
    with operator_api(ctx) as api:
        decided = api.post(f"{_PATH}/{review_id}/items/{item}", {"decision": decision, "reason": reason})
    print_done(f"{decided['id']}: {decision}.", decided, output)


@review.command()
@click.argument("review_id", metavar="REVIEW")
@output_option
@click.pass_context
def close(ctx: click.Context, review_id: str, output: str) -> None:
    """No more decisions; what was not answered stays listed."""
    with operator_api(ctx) as api:
        closed = api.post(f"{_PATH}/{review_id}/close", {})
    print_done(f"Closed {closed['id']}: {closed['undecided']} rights were not answered.", closed, output)
