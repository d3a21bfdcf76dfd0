"""`parvis engines settings`: how to start a server for GPUs, made from the catalogue's entry."""

from typing import Any

import click

from parvis.cli.operator_api import operator_api
from parvis.cli.output import output_option, print_value, printable
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.gpu_server import GPU_KINDS, GpuServer, command_line, settings_block
from parvis.domain.fleet.replica import EngineKind

_GPUS_MAX = 1024


@click.command("settings")
@click.argument("model_id", metavar="MODEL")
@click.option("--kind", type=click.Choice([str(kind) for kind in GPU_KINDS]), required=True, help="Which server.")
@click.option("--weights", default="", help="The folder of the weights there [/srv/models/MODEL].")
@click.option("--gpus", type=click.IntRange(1, _GPUS_MAX), default=1, help="Divide the network among so many [1].")
@click.option("--parallel", type=click.IntRange(1, 4096), help="Requests side by side [as the server finds].")
@click.option("--context", "context_tokens", type=click.IntRange(64), help="Tokens [those of the catalogue's entry].")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address on which it listens.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its port [the server's usual one].")
@click.option("--key-file", default="", help="A file with the key that it demands.")
@click.option("--reasoning-parser", default="", help="How it finds reasoning, as qwen3; it depends on the model.")
@click.option("--tool-parser", default="", help="How it finds calls of tools, as hermes; it depends on the model.")
@output_option
@click.pass_context
def settings(ctx: click.Context, /, model_id: str, kind: str, output: str, **said: Any) -> None:
    """Print the command that starts vLLM or SGLang for MODEL, and the block of parvis.toml that leads to it.

    Context and kind of the model are those of its entry in the catalogue.
    """
    with operator_api(ctx) as api:
        entry = api.get(f"/v1/models/{model_id}")
    wanted = GpuServer(
        kind=EngineKind(kind),
        model=entry["id"],
        weights=said["weights"] or f"/srv/models/{entry['id']}",
        context_tokens=_context(entry, said["context_tokens"]),
        gpus=said["gpus"],
        parallel=said["parallel"] or 0,
        embedding="embeddings" in entry["capabilities"],
        host=said["host"],
        port=said["port"] or 0,
        key_file=said["key_file"],
        reasoning_parser=said["reasoning_parser"],
        tool_parser=said["tool_parser"],
    )
    command, block = command_line(wanted), settings_block(wanted)
    if output == "table":
        click.echo(printable(f"{command}\n\n{block}"))
    else:
        print_value({"command": command, "settings": block}, "yaml" if output == "yaml" else "json")


def _context(entry: dict[str, Any], said: int | None) -> int:
    """A server with less than the catalogue promises would refuse what customers may send."""
    promised = int(entry["context_tokens"])
    if not promised:
        raise Misconfigured(f"{entry['id']} is no model of its own: it chooses one. Name one of its candidates.")
    if said is not None and said < promised:
        raise Misconfigured(f"The catalogue promises {promised} tokens of context for {entry['id']}. Change it first.")
    return said or promised
