"""`parvis chat`: talk to a model in the terminal."""

import os
from pathlib import Path

import click

from parvis.cli.conversation import Conversation, base_url_of
from parvis.cli.output import printable
from parvis.cli.place import settings_of
from parvis.core.errors import Misconfigured
from parvis.core.secret import Secret

KEY_VARIABLE = "OPENAI_API_KEY"


@click.command()
@click.option("--model", help="Which model [the one called `default`].")
@click.option("--message", "-m", help="Say this, print the answer, end.")
@click.option(
    "--key-file", type=click.Path(dir_okay=False, path_type=Path), help=f"File with an API key [${KEY_VARIABLE}]."
)
@click.option("--url", help="Base URL of another service, like https://llm.example.org/v1")
@click.pass_context
def chat(ctx: click.Context, model: str | None, message: str | None, key_file: Path | None, url: str | None) -> None:
    """Talk to a model. An empty line or Ctrl-D ends; the tokens are shown then."""
    settings = settings_of(ctx)
    certificate = Path(settings.inference.tls_cert) if settings.inference.tls_cert and not url else None
    conversation = Conversation(url or base_url_of(settings), _key(key_file), certificate)
    try:
        chosen = conversation.chosen_model(model)
        if message is not None:
            _turn(conversation, chosen, message)
        else:
            _talk(conversation, chosen)
    finally:
        conversation.close()
    _show_usage(conversation, chosen)


def _talk(conversation: Conversation, model: str) -> None:
    click.echo(f"{model}. An empty line ends.", err=True)
    while text := _line():
        _turn(conversation, model, text)


def _line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        click.echo()
        return ""


def _turn(conversation: Conversation, model: str, text: str) -> None:
    for piece in conversation.say(model, text):
        click.echo(printable(piece), nl=False)
    click.echo()


def _show_usage(conversation: Conversation, model: str) -> None:
    used = conversation.usage
    click.echo(
        f"{model}: {used['prompt_tokens']} tokens in ({used['cached']} from the cache), "
        f"{used['completion_tokens']} out ({used['reasoning']} of reasoning)",
        err=True,
    )


def _key(file: Path | None) -> Secret:
    """From a file or the variable that every OpenAI client reads; never from the command line, which others can see."""
    if file is None:
        text = os.environ.get(KEY_VARIABLE, "")
    else:
        try:
            text = file.read_text()
        except OSError as problem:
            raise Misconfigured(f"{file} cannot be read: {problem.strerror}.") from None
    if not text.strip():
        raise Misconfigured(
            f"Put an API key into {KEY_VARIABLE}, or say --key-file. `parvis key create NAME` makes one."
        )
    return Secret(text.strip(), "API key")
