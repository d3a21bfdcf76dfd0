"""`parvis status`: what runs now."""

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import as_json, print_facts, print_json, print_table, words

_COLUMNS = ("id", "engine", "kind", "address", "state")


@click.command()
@as_json
@click.pass_context
def status(ctx: click.Context, *, json_: bool) -> None:
    """Gateways and replicas of this moment."""
    with operator_api(ctx) as api:
        now = api.get("/v1/status")
    if json_:
        print_json(now)
        return
    print_facts({name: value for name, value in now.items() if name not in ("object", "replicas")})
    print_table(_COLUMNS, [[words(replica.get(name)) for name in _COLUMNS] for replica in now["replicas"]])
