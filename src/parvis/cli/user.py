"""`parvis user`: people of customers, and what they may do."""

import click

from parvis.cli.asking import limit_option, said, yes_option
from parvis.cli.operator_api import Json, OperatorApi, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.core.errors import BadRequest

_COLUMNS = ("id", "email", "name", "standing", "created_at", "last_seen_at")
_INVITED = ("id", "email", "roles", "state", "invited_by", "ends_at")
_GRANTED = ("id", "user_id", "role", "organisation_id", "tenant_id", "granted_by", "granted_at")
_PATH = "/v1/users"
tokens_option = click.option("--tokens", is_flag=True, help="Their personal tokens too.")


@click.group()
def user() -> None:
    """People of customers. Nobody's password passes through here."""


@user.command("list")
@click.argument("organisation")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, organisation: str, limit: int | None, output: str) -> None:
    """The people of an organisation."""
    with operator_api(ctx) as api:
        print_rows(api.some(f"/v1/organisations/{organisation}/users", limit), _COLUMNS, output)


@user.command()
@click.argument("organisation")
@click.argument("email")
@click.option("--name", help="How they are called [the address].")
@output_option
@click.pass_context
def create(ctx: click.Context, organisation: str, email: str, name: str | None, output: str) -> None:
    """Somebody who comes by OpenID. Who has a password is invited instead."""
    with operator_api(ctx) as api:
        made = api.post(f"/v1/organisations/{organisation}/users", {"email": email, "name": name or email})
    print_done(f"Created {made['id']}.", made, output)


@user.command()
@click.argument("organisation")
@click.argument("email")
@click.option("--role", "roles", multiple=True, help="ROLE over the organisation, or ROLE@TENANT; repeat for more.")
@output_option
@click.pass_context
def invite(ctx: click.Context, organisation: str, email: str, roles: tuple[str, ...], output: str) -> None:
    """Ask somebody in. The link is shown this once and stored nowhere."""
    body = {"email": email, "roles": [role_said(text) for text in roles]}
    with operator_api(ctx) as api:
        made = api.post(f"/v1/organisations/{organisation}/invitations", body)
    print_invitation(made, output)


@user.command()
@click.argument("organisation")
@limit_option
@output_option
@click.pass_context
def invitations(ctx: click.Context, organisation: str, limit: int | None, output: str) -> None:
    """Who was asked in, in every state."""
    with operator_api(ctx) as api:
        print_rows(api.some(f"/v1/organisations/{organisation}/invitations", limit), _INVITED, output)


@user.command("uninvite")
@click.argument("organisation")
@click.argument("invitation")
@output_option
@click.pass_context
def uninvite(ctx: click.Context, organisation: str, invitation: str, output: str) -> None:
    """Withdraw an invitation: its link opens nothing any more."""
    with operator_api(ctx) as api:
        gone = api.delete(f"/v1/organisations/{organisation}/invitations/{invitation}")
    print_done(f"Withdrew the invitation of {gone['email']}.", gone, output)


@user.command()
@click.argument("user_id", metavar="USER")
@output_option
@click.pass_context
def show(ctx: click.Context, user_id: str, output: str) -> None:
    """One person and their roles. USER is an id, or ORGANISATION/EMAIL."""
    with operator_api(ctx) as api:
        found = api.get(user_path(api, user_id))
        print_one({**found, "roles": [_words(one) for one in api.every(f"{_PATH}/{found['id']}/grants")]}, output)


@user.command()
@click.argument("user_id", metavar="USER")
@click.option("--name", help="Another name.")
@click.option("--language", type=click.Choice(["en", "fr"]), help="Of mails and of the console.")
@output_option
@click.pass_context
def change(ctx: click.Context, user_id: str, name: str | None, language: str | None, output: str) -> None:
    """Another name or language."""
    with operator_api(ctx) as api:
        changed = api.patch(user_path(api, user_id), said(name=name, language=language))
    print_done(f"Changed {changed['email']}.", changed, output)


@user.command()
@click.argument("user_id", metavar="USER")
@output_option
@click.pass_context
def suspend(ctx: click.Context, user_id: str, output: str) -> None:
    """Nothing of theirs works until they are resumed."""
    with operator_api(ctx) as api:
        changed = api.post(f"{user_path(api, user_id)}/suspend", {})
    print_done(f"Suspended {changed['email']}.", changed, output)


@user.command()
@click.argument("user_id", metavar="USER")
@output_option
@click.pass_context
def resume(ctx: click.Context, user_id: str, output: str) -> None:
    """They may come again, with what they had."""
    with operator_api(ctx) as api:
        changed = api.post(f"{user_path(api, user_id)}/resume", {})
    print_done(f"Resumed {changed['email']}.", changed, output)


@user.command()
@click.argument("user_id", metavar="USER")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, user_id: str, output: str) -> None:
    """For good: their sessions, tokens, roles and own keys end."""
    with operator_api(ctx) as api:
        removed = api.delete(user_path(api, user_id))
    print_done(f"Removed {removed['email']}.", removed, output)


@user.command("reset-sign-in")
@click.argument("user_id", metavar="USER")
@yes_option
@output_option
@click.pass_context
def reset_sign_in(ctx: click.Context, user_id: str, output: str) -> None:
    """Take away password, factors, sessions and tokens. The link for another password is shown this once."""
    with operator_api(ctx) as api:
        made = api.post(f"{user_path(api, user_id)}/sign_in/reset", {})
    print_reset(made, output)


@user.command("end-sessions")
@click.argument("user_id", metavar="USER")
@tokens_option
@output_option
@click.pass_context
def end_sessions(ctx: click.Context, user_id: str, output: str, *, tokens: bool) -> None:
    """Sign somebody out everywhere."""
    with operator_api(ctx) as api:
        ended = api.delete(f"{user_path(api, user_id)}/sessions{'?personal_tokens=true' * tokens}")
    print_signed_out(ended, output)


@user.command()
@click.argument("user_id", metavar="USER")
@click.argument("role")
@click.option("--tenant", help="Over this tenant [the whole organisation].")
@output_option
@click.pass_context
def grant(ctx: click.Context, user_id: str, role: str, tenant: str | None, output: str) -> None:
    """Give a role. `parvis user roles` names them."""
    with operator_api(ctx) as api:
        given = api.post(f"{user_path(api, user_id)}/grants", said(role=role, tenant_id=tenant))
    print_done(f"Granted {_words(given)}: {given['id']}.", given, output)


@user.command()
@click.option("--org", help="Of this organisation only.")
@limit_option
@output_option
@click.pass_context
def grants(ctx: click.Context, org: str | None, limit: int | None, output: str) -> None:
    """Every role that somebody has."""
    with operator_api(ctx) as api:
        print_rows(api.some("/v1/grants", limit, organisation=org), _GRANTED, output)


@user.command()
@click.argument("grant_id", metavar="GRANT")
@output_option
@click.pass_context
def withdraw(ctx: click.Context, grant_id: str, output: str) -> None:
    """Take a role away."""
    with operator_api(ctx) as api:
        gone = api.delete(f"/v1/grants/{grant_id}")
    print_done(f"Withdrew {_words(gone)}.", gone, output)


@user.command()
@output_option
@click.pass_context
def roles(ctx: click.Context, output: str) -> None:
    """Every role: over what it is granted, what it excludes, and what it gives."""
    with operator_api(ctx) as api:
        print_rows(api.get("/v1/roles")["data"], ("id", "levels", "excludes", "permissions"), output)


def role_said(text: str) -> Json:
    """`developer@acme-prod`."""
    role, _, tenant = text.partition("@")
    return {"role": role, "tenant_id": tenant}


def user_path(api: OperatorApi, named: str) -> str:
    """The path of a user who is named by id, or as ORGANISATION/EMAIL. Raises BadRequest for nobody."""
    organisation, slash, email = named.partition("/")
    if not slash:
        return f"{_PATH}/{named}"
    for one in api.every(f"/v1/organisations/{organisation}/users"):
        if one["email"].casefold() == email.casefold():
            return f"{_PATH}/{one['id']}"
    raise BadRequest(f"The organisation '{organisation}' has no user '{email}'.")


def print_invitation(made: Json, output: str) -> None:
    """With its link, which is shown this once."""
    if output == "table":
        click.echo("This invitation is good for seven days and once. It is shown once; send it.", err=True)
        click.echo(f"Invitation: {made['link']}")
    else:
        print_one(made, output)


def print_reset(made: Json, output: str) -> None:
    """With its link, which is shown this once."""
    if output == "table":
        click.echo(f"{made['email']} signs in no more until this link is used.", err=True)
        click.echo("It sets another password, within seven days and once. It is shown once; send it.", err=True)
        click.echo(f"Link: {made['link']}")
    else:
        print_one(made, output)


def print_signed_out(ended: Json, output: str) -> None:
    """How many of what were ended."""
    print_done(f"Ended {ended['sessions']} sessions and {ended['personal_tokens']} personal tokens.", ended, output)


def _words(given: Json) -> str:
    return f"{given['role']} over {given['tenant_id'] or given['organisation_id'] or 'the installation'}"
