"""`parvis completion`: what a shell must know to complete commands and options."""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_PARVIS_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script for SHELL: `eval "$(parvis completion bash)"`."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter(f"'{shell}' is a shell that we do not know.")
    click.echo(kind(ctx.find_root().command, {}, "parvis", _VARIABLE).source())
