"""`parvis project`: groups of keys."""

import click

from parvis.cli.asking import limit_option, said
from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_done, print_rows

_COLUMNS = ("id", "tenant_id", "name", "archived", "created_at")
_PATH = "/v1/projects"


@click.group()
def project() -> None:
    """Projects: groups of keys of one tenant, by which usage is told apart."""


@project.command("list")
@click.option("--tenant", help="Of this tenant only.")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, tenant: str | None, limit: int | None, output: str) -> None:
    """All projects, archived ones included."""
    with operator_api(ctx) as api:
        print_rows(api.some(_PATH, limit, tenant=tenant), _COLUMNS, output)


@project.command()
@click.argument("tenant")
@click.argument("name")
@click.option("--id", "project_id", help="How it is called in paths and records, for good [made up].")
@output_option
@click.pass_context
def create(ctx: click.Context, tenant: str, name: str, project_id: str | None, output: str) -> None:
    """A new project of TENANT, called NAME."""
    with operator_api(ctx) as api:
        made = api.post(f"/v1/tenants/{tenant}/projects", said(name=name, project_id=project_id))
    print_done(f"Created {made['id']}.", made, output)


@project.command()
@click.argument("project_id", metavar="PROJECT")
@click.argument("name")
@output_option
@click.pass_context
def rename(ctx: click.Context, project_id: str, name: str, output: str) -> None:
    """Another NAME."""
    with operator_api(ctx) as api:
        changed = api.patch(f"{_PATH}/{project_id}", {"name": name})
    print_done(f"Renamed {changed['id']}.", changed, output)


@project.command()
@click.argument("project_id", metavar="PROJECT")
@click.option("--back", is_flag=True, help="Take it up again.")
@output_option
@click.pass_context
def archive(ctx: click.Context, project_id: str, *, back: bool, output: str) -> None:
    """Put it away. Its keys go on working."""
    with operator_api(ctx) as api:
        changed = api.patch(f"{_PATH}/{project_id}", {"archived": not back})
    print_done(f"{'Took up' if back else 'Archived'} {changed['id']}.", changed, output)
