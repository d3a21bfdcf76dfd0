"""`parvis operator`: the operator's own people."""

import click

from parvis.cli.asking import limit_option, yes_option
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.cli.user import print_invitation, print_reset, print_signed_out, tokens_option

_COLUMNS = ("id", "email", "name", "standing", "created_at", "last_seen_at")
_INVITED = ("id", "email", "roles", "state", "invited_by", "ends_at")
_ROLE = click.Choice(["operator", "operator_auditor"])
_PATH = "/v1/operators"


@click.group()
def operator() -> None:
    """The operator's people, who sign in at the operator's door with an account of their own."""


@operator.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All of them."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit), _COLUMNS, output)


@operator.command()
@click.argument("email")
@click.option("--role", type=_ROLE, default="operator", show_default=True, help="What they may do.")
@output_option
@click.pass_context
def invite(ctx: click.Context, email: str, role: str, output: str) -> None:
    """Ask somebody in. The link is shown this once and stored nowhere."""
    with operator_api(ctx) as api:
        made = api.post(_PATH, {"email": email, "role": role})
    print_invitation(made, output)


@operator.command()
@limit_option
@output_option
@click.pass_context
def invitations(ctx: click.Context, limit: int | None, output: str) -> None:
    """Who was asked in, in every state."""
    with operator_api(ctx) as api:
        print_rows(api.some("/v1/operator_invitations", limit), _INVITED, output)


@operator.command()
@click.argument("invitation")
@output_option
@click.pass_context
def uninvite(ctx: click.Context, invitation: str, output: str) -> None:
    """Withdraw an invitation: its link opens nothing any more."""
    with operator_api(ctx) as api:
        gone = api.delete(f"/v1/operator_invitations/{invitation}")
    print_done(f"Withdrew the invitation of {gone['email']}.", gone, output)


@operator.command()
@click.argument("operator_id", metavar="OPERATOR")
@output_option
@click.pass_context
def show(ctx: click.Context, operator_id: str, output: str) -> None:
    """One of them and their roles."""
    with operator_api(ctx) as api:
        found = api.get(f"{_PATH}/{operator_id}")
        roles = [f"{one['role']} ({one['id']})" for one in api.every(f"{_PATH}/{operator_id}/grants")]
    print_one({**found, "roles": roles}, output)


@operator.command()
@click.argument("operator_id", metavar="OPERATOR")
@output_option
@click.pass_context
def suspend(ctx: click.Context, operator_id: str, output: str) -> None:
    """Nothing of theirs works until they are resumed."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{operator_id}/suspend", {})
    print_done(f"Suspended {changed['email']}.", changed, output)


@operator.command()
@click.argument("operator_id", metavar="OPERATOR")
@output_option
@click.pass_context
def resume(ctx: click.Context, operator_id: str, output: str) -> None:
    """They may come again, with what they had."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_PATH}/{operator_id}/resume", {})
    print_done(f"Resumed {changed['email']}.", changed, output)


@operator.command()
@click.argument("operator_id", metavar="OPERATOR")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, operator_id: str, output: str) -> None:
    """For good: their sessions, tokens and roles end."""
    with operator_api(ctx) as api:
        removed = api.delete(f"{_PATH}/{operator_id}")
    print_done(f"Removed {removed['email']}.", removed, output)


@operator.command("reset-sign-in")
@click.argument("operator_id", metavar="OPERATOR")
@yes_option
@output_option
@click.pass_context
def reset_sign_in(ctx: click.Context, operator_id: str, output: str) -> None:
    """Take away password, factors, sessions and tokens. The link for another password is shown this once."""
    with operator_api(ctx) as api:
        made = api.post(f"{_PATH}/{operator_id}/sign_in/reset", {})
    print_reset(made, output)


@operator.command("end-sessions")
@click.argument("operator_id", metavar="OPERATOR")
@tokens_option
@output_option
@click.pass_context
def end_sessions(ctx: click.Context, operator_id: str, output: str, *, tokens: bool) -> None:
    """Sign one of them out everywhere."""
    with operator_api(ctx) as api:
        ended = api.delete(f"{_PATH}/{operator_id}/sessions{'?personal_tokens=true' * tokens}")
    print_signed_out(ended, output)


@operator.command()
@click.argument("operator_id", metavar="OPERATOR")
@click.argument("role", type=_ROLE)
@output_option
@click.pass_context
def grant(ctx: click.Context, operator_id: str, role: str, output: str) -> None:
    """Give a role over the installation."""
    with operator_api(ctx) as api:
        given = api.post(f"{_PATH}/{operator_id}/grants", {"role": role})
    print_done(f"Granted {role}: {given['id']}.", given, output)


@operator.command()
@click.argument("grant_id", metavar="GRANT")
@output_option
@click.pass_context
def withdraw(ctx: click.Context, grant_id: str, output: str) -> None:
    """Take a role away."""
    with operator_api(ctx) as api:
        gone = api.delete(f"/v1/operator_grants/{grant_id}")
    print_done(f"Withdrew {gone['role']}.", gone, output)
