"""`parvis deploy`: what runs for which pool."""

from collections.abc import Callable
from typing import Any

import click

from parvis.cli.asking import limit_option, said, yes_option
from parvis.cli.operator_api import Json, operator_api
from parvis.cli.output import output_option, print_done, print_one, print_rows
from parvis.core.errors import BadRequest, Conflict

_ALL = "/v1/deployments"
_COLUMNS = ("id", "pool", "source", "kind", "state", "ready", "replicas", "load", "size_class", "from_settings", "why")
_KINDS = click.Choice(("llama.cpp", "openvino", "vllm", "sglang", "tgi", "ollama", "openai"))
Command = Callable[..., Any]


@click.group()
def deploy() -> None:
    """Deployments: what runs for a pool, and where. A pool is what `engine` of a model names."""


@deploy.command("list")
@limit_option
@output_option
@click.pass_context
def list_(ctx: click.Context, limit: int | None, output: str) -> None:
    """All, the engines of the settings too."""
    with operator_api(ctx) as api:
        print_rows(api.some(_ALL, limit), _COLUMNS, output, right=("ready", "replicas"))


@deploy.command()
@click.argument("name")
@output_option
@click.pass_context
def show(ctx: click.Context, name: str, output: str) -> None:
    """One of them."""
    with operator_api(ctx) as api:
        found = api.get(f"{_ALL}/{name}")
    print_one(found if output in ("json", "yaml") else _flat(found), output)


def _facts(command: Command) -> Command:
    """What can be said of a deployment."""
    options = (
        click.option("--model", help="The catalogue id that it serves; an entry is made if there is none."),
        click.option("--pool", help="What `engine` of its models says [as the model's entry says, or NAME]."),
        click.option("--address", "addresses", multiple=True, metavar="URL[=WEIGHT]", help="Repeat for more."),
        click.option("--here", "weights", metavar="WEIGHTS", help="Serve builtin:NAME or a GGUF file on this machine."),
        click.option("--ray", "on_ray", metavar="WEIGHTS", help="Serve them on the Ray cluster of the settings."),
        click.option("--kind", type=_KINDS, help="Which server answers there."),
        click.option("--replicas", type=click.IntRange(0, 64), help="Engine processes."),
        click.option("--replicas-max", type=click.IntRange(0, 64), help="On Ray: so many under load."),
        click.option("--gpus", type=click.IntRange(0, 64), help="On Ray: of each replica."),
        click.option("--load", type=click.Choice(("pinned", "on-demand")), help="Always, or when somebody asks."),
        click.option("--idle", "idle_s", type=click.IntRange(10, 86_400), help="On demand: seconds until unloaded."),
        click.option("--parallel", type=click.IntRange(min=1), help="Requests that one computes side by side."),
        click.option("--context", "context_tokens", type=click.IntRange(min=64), help="Tokens of one conversation."),
        click.option("--threads", type=click.IntRange(min=1), help="Of one engine process."),
        click.option("--embedding/--chat", default=None, help="What an engine process is for."),
        click.option("--engine-model", help="What the server calls the model."),
        click.option("--api-key-file", metavar="NAME", help="A file in the folder engine-keys of the data folder."),
        click.option("--tls-ca", metavar="FILE", help="Who must have signed the servers' certificates (PEM)."),
        click.option("--tls-cert", metavar="FILE", help="How we prove who we are to them."),
        click.option("--tls-key", metavar="FILE", help="Its key."),
        click.option("--tls-min", type=click.Choice(("1.2", "1.3")), help="The oldest version of TLS."),
        click.option("--cache", type=click.Choice(("tenant", "shared", "off")), help="Who shares its prefix cache."),
        click.option("--size-class", type=click.Choice(("7-8B", "13B", "70B+")), help="For your lists."),
        click.option("--slots", type=click.IntRange(min=0), help="Requests side by side at which one is fastest."),
        click.option("--weight", type=click.IntRange(min=1), help="Of twice the weight it takes twice as much."),
        click.option("--cost", type=click.IntRange(min=0), help="How dear it is beside others of its pool."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@deploy.command()
@click.argument("name")
@_facts
@output_option
@click.pass_context
def create(ctx: click.Context, /, name: str, output: str, **facts: Any) -> None:
    """A new deployment NAME: servers at addresses, or engine processes of this machine."""
    with operator_api(ctx) as api:
        made = api.post(_ALL, {"id": name, **_said(facts)})
    print_done(f"Deployed {made['id']} in the pool {made['pool']}.", made, output)


@deploy.command()
@click.argument("name")
@_facts
@output_option
@click.pass_context
def change(ctx: click.Context, /, name: str, output: str, **facts: Any) -> None:
    """Other facts of NAME; what is not said stays. Engine processes are replaced one after another where they must."""
    wanted = _said(facts)
    if not wanted:
        raise click.UsageError("Say what to change.")
    with operator_api(ctx) as api:
        changed = api.patch(f"{_ALL}/{name}", wanted)
    print_done(f"Changed {changed['id']}.", changed, output)


@deploy.command()
@click.argument("name")
@click.argument("replicas", type=click.IntRange(0, 64))
@output_option
@click.pass_context
def scale(ctx: click.Context, name: str, replicas: int, output: str) -> None:
    """So many engine processes of NAME; 0 unloads it."""
    with operator_api(ctx) as api:
        if api.get(f"{_ALL}/{name}")["source"] == "addresses":
            raise Conflict(f"'{name}' has a replica for each of its addresses: `parvis deploy change` them.")
        changed = api.patch(f"{_ALL}/{name}", {"replicas": replicas})
    print_done(f"{changed['id']}: {changed['replicas']} wanted, {changed['ready']} ready.", changed, output)


@deploy.command()
@click.argument("name")
@output_option
@click.pass_context
def cordon(ctx: click.Context, name: str, output: str) -> None:
    """NAME takes nothing new; what runs of it stays."""
    _told(ctx, name, "cordon", output)


@deploy.command()
@click.argument("name")
@output_option
@click.pass_context
def uncordon(ctx: click.Context, name: str, output: str) -> None:
    """NAME serves again, whatever it was told before."""
    _told(ctx, name, "uncordon", output)


@deploy.command()
@click.argument("name")
@output_option
@click.pass_context
def drain(ctx: click.Context, name: str, output: str) -> None:
    """NAME takes nothing new, and is stopped when nothing runs on it any more."""
    _told(ctx, name, "drain", output)


@deploy.command()
@click.argument("name")
@output_option
@click.pass_context
def restart(ctx: click.Context, name: str, output: str) -> None:
    """Replace the engine processes of NAME one after another; nobody is refused."""
    with operator_api(ctx) as api:
        changed = api.post(f"{_ALL}/{name}/restart", {})
    print_done(f"{changed['id']}: its engine processes are replaced, one after another.", changed, output)


@deploy.command()
@click.argument("name")
@yes_option
@output_option
@click.pass_context
def remove(ctx: click.Context, name: str, output: str) -> None:
    """NAME for good. What runs on its replicas may finish."""
    with operator_api(ctx) as api:
        removed = api.delete(f"{_ALL}/{name}")
    print_done(f"Removed {removed['id']}.", removed, output)


def _told(ctx: click.Context, name: str, what: str, output: str) -> None:
    with operator_api(ctx) as api:
        changed = api.post(f"{_ALL}/{name}/{what}", {})
    print_done(f"{changed['id']} is {changed['state']}.", changed, output)


def _said(facts: Json) -> Json:
    """What was said, as the service is told it."""
    plain = {name: value for name, value in facts.items() if name not in ("addresses", "on_ray")}
    body = said(**plain)
    if facts["addresses"]:
        body |= {"source": "addresses", "addresses": [_address(text) for text in facts["addresses"]]}
    if facts["weights"]:
        body["source"] = "here"
    if facts["on_ray"]:
        body |= {"source": "ray", "weights": facts["on_ray"]}
    return body


def _address(text: str) -> Json:
    """`URL` or `URL=WEIGHT`. Raises BadRequest."""
    url, found, weight = text.rpartition("=")
    if not found:
        return {"url": text}
    if not weight.isdecimal():
        raise BadRequest(f"'{text}' must look like http://HOST:PORT or http://HOST:PORT=2.", param="addresses")
    return {"url": url, "weight": int(weight)}


def _flat(found: Json) -> Json:
    """Addresses as they are typed."""
    addresses = [f"{one['url']}={one['weight']}" if one["weight"] > 1 else one["url"] for one in found["addresses"]]
    return {**found, "addresses": addresses}
