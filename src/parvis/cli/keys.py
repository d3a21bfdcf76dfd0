"""`parvis key`: credentials of customers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from parvis.cli.asking import limit_option, said
from parvis.cli.key_sync import sync
from parvis.cli.limit_options import asked_limits, limit_options, said_limits
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows, print_value
from parvis.cli.spans import SPAN

_COLUMNS = ("id", "name", "tenant_id", "models", "active", "phase", "due_at", "ends_at", "last_used_at")
_PATH = "/v1/keys"
_SPANS = ("every", "overlap", "notice", "grace")
Command = Callable[..., Any]


@click.group()
def key() -> None:
    """API keys."""


key.add_command(sync)


def _terms(command: Command) -> Command:
    """What can be said of a key when it is made and when it is changed."""
    for option in reversed(
        (
            click.option("--model", "models", multiple=True, help="Only these models: names, or patterns with *."),
            click.option("--deny", "models_denied", multiple=True, help="Not these; '' for none."),
            click.option("--endpoint", "endpoints", multiple=True, help="Only at these: chat, embeddings ... [all]."),
            click.option("--address", "addresses", multiple=True, help="Only from these networks; '' for any."),
            click.option(
                "--ends", "ends_at", help="When it expires: 2026-12-31, or 2026-12-31T12:00:00Z; '' for never."
            ),
            click.option("--every", type=SPAN, help="Its secret is due to be followed once in so long: 90d."),
            click.option("--overlap", type=SPAN, help="For so long two secrets work [7d]."),
            click.option("--notice", type=SPAN, help="So long before it is due its owners are told [14d]."),
            click.option("--grace", type=SPAN, help="So long after it was due the old secret still works [14d]."),
            click.option("--project", "project_id", help="The project in which it is; '' for none."),
            click.option("--tag", "tags", multiple=True, help="A word to find it by; '' for none."),
        )
    ):
        command = option(command)
    return command


@key.command()
@click.argument("name")
@click.option("--tenant", "tenant_id", help="Whose key [the only tenant].")
@click.option("--owner", "owner_id", help="The user whose key it is, and with whom it goes [the tenant's own].")
@_terms
@limit_options
@output_option
@click.pass_context
def create(ctx: click.Context, /, output: str, **asked: Any) -> None:
    """Make a key. It is shown this once and stored nowhere."""
    limits = asked_limits(asked)
    with operator_api(ctx) as api:
        made = api.post(_PATH, _form(asked) | ({"limits": limits} if limits else {}))
    if output in ("json", "yaml"):
        print_value(made, output)
        return
    click.echo("This is the API key. It is shown once; keep it.", err=True)
    click.echo(f"API key: {made['key']}")


@key.command("list")
@click.option("--tenant", help="Of this tenant only.")
@click.option("--phase", help="In this phase of their rotation only: current, notice, due, overlap, expired.")
@click.option("--project", help="Of this project only.")
@click.option("--tag", help="With this tag only.")
@click.option("--active", is_flag=True, help="Without revoked ones.")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, /, tenant: str | None, limit: int | None, output: str, **only: Any) -> None:
    """All keys, without their secrets, with the last use of each."""
    with operator_api(ctx) as api:
        found = []
        for one in api.every(_PATH, tenant=tenant):
            if _is_asked(one, **only):
                found.append(one if output in ("json", "yaml") else _row(one))
            if len(found) == limit:
                break
    print_rows(found, _COLUMNS, output)


@key.command()
@click.argument("key_id", metavar="KEY")
@output_option
@click.pass_context
def show(ctx: click.Context, key_id: str, output: str) -> None:
    """One key: what it is for, where it stands in its rotation, the last use of each of its secrets."""
    with operator_api(ctx) as api:
        found = api.get(f"{_PATH}/{key_id}")
    print_one(found if output in ("json", "yaml") else _facts(found), output)


@key.command()
@click.argument("key_id", metavar="KEY")
@click.option("--name", help="Another name.")
@click.option("--no-schedule", is_flag=True, help="Its secret is never due, and has no end.")
@_terms
@output_option
@click.pass_context
def change(ctx: click.Context, /, key_id: str, no_schedule: bool, output: str, **asked: Any) -> None:  # noqa: FBT001 - click names it
    """Other terms. What is not said stays; its secrets stay in any case."""
    with operator_api(ctx) as api:
        before = api.get(f"{_PATH}/{key_id}")["schedule"] or {}
        form = _form(asked, before)
        if no_schedule:
            form["schedule"] = None
        changed = api.patch(f"{_PATH}/{key_id}", form)
    print_done(f"Changed {key_id}.", changed, output)


@key.command()
@click.argument("key_id", metavar="KEY")
@output_option
@click.pass_context
def rotate(ctx: click.Context, key_id: str, output: str) -> None:
    """Its next secret is due now. Whoever holds the key fetches it; the current one works until the grace ends."""
    _act(ctx, key_id, {"act": "start"}, "The next secret of {} is due. The current one works until {}.", output)


@key.command("end-old-secret")
@click.argument("key_id", metavar="KEY")
@output_option
@click.pass_context
def end_old_secret(ctx: click.Context, key_id: str, output: str) -> None:
    """End the older of its two secrets now, everywhere within a second."""
    _act(ctx, key_id, {"act": "end_old"}, "The old secret of {} works no more.", output)


@key.command()
@click.argument("key_id", metavar="KEY")
@click.option("--by", type=SPAN, help="For so long from now: 7d.")
@click.option("--until", help="Until then: 2026-12-31.")
@output_option
@click.pass_context
def extend(ctx: click.Context, key_id: str, by: int | None, until: str | None, output: str) -> None:
    """Let its current secret work for longer, though nobody has fetched the next one."""
    if (by is None) == (until is None):
        raise click.UsageError("Say either --by or --until.")
    ends = until if by is None else (datetime.now(UTC) + timedelta(seconds=by)).isoformat(timespec="milliseconds")
    _act(ctx, key_id, {"act": "extend", "ends_at": ends}, "The secret of {} works until {}.", output)


@key.command()
@click.argument("key_id", metavar="KEY")
@output_option
@click.pass_context
def revoke(ctx: click.Context, key_id: str, output: str) -> None:
    """End a key for good, everywhere."""
    with operator_api(ctx) as api:
        revoked = api.delete(f"{_PATH}/{key_id}")
    print_done(f"Revoked {key_id}.", revoked, output)


def _act(ctx: click.Context, key_id: str, form: Json, sentence: str, output: str) -> None:
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{key_id}/rotation", form)
    print_done(sentence.format(key_id, changed["rotation"]["ends_at"]), changed, output)


def _form(asked: dict[str, Any], schedule_before: Json | None = None) -> Json:
    """The body: the four spans are one schedule, and '' takes an end or a project away."""
    spans = {f"{name}_s": asked.pop(name) for name in _SPANS}
    form = said(**asked)
    if form.get("ends_at") == "":
        form["ends_at"] = None
    if schedule := {name: span for name, span in spans.items() if span is not None}:
        form["schedule"] = {**(schedule_before or {}), **schedule}
    return form


def _is_asked(found: Json, *, phase: str | None, project: str | None, tag: str | None, active: bool) -> bool:
    return (
        phase in (None, found["rotation"]["phase"])
        and project in (None, found["project_id"])
        and (tag is None or tag in found["tags"])
        and (found["active"] or not active)
    )


def _row(found: Json) -> Json:
    """What a table shows: of an end the sooner one, of uses the last."""
    rotation = found["rotation"]
    uses = [secret["last_used_at"] for secret in rotation["secrets"] if secret["last_used_at"]]
    beside = {"phase": rotation["phase"], "due_at": rotation["due_at"], "ends_at": rotation["ends_at"]}
    return {**found, **beside, "last_used_at": max(uses, default=None)}


def _facts(found: Json) -> Json:
    facts = {name: value for name, value in _row(found).items() if name not in ("rotation", "schedule")}
    return {**facts, "limits": said_limits(found["limits"]), "schedule": _said_schedule(found), **dict(_secrets(found))}


def _said_schedule(found: Json) -> str | None:
    schedule = found["schedule"]
    return None if schedule is None else ", ".join(f"{name[:-2]} {span} s" for name, span in schedule.items())


def _secrets(found: Json) -> Iterator[tuple[str, str]]:
    for number, secret in enumerate(found["rotation"]["secrets"], 1):
        ends, used = secret["ends_at"] or "never", secret["last_used_at"] or "never"
        yield f"secret {number}", f"made {secret['made_at']}, ends {ends}, last used {used}"
