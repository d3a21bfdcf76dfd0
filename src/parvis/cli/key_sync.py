"""`parvis key sync`: the agent beside a customer's application. It needs no data folder and no operator."""

import shlex
import subprocess
import time
from pathlib import Path

import click
import httpx

from parvis.cli.remote import base_url, trust
from parvis.cli.spans import SPAN
from parvis.client.key_places import EnvFile, KeyFile, KeyPlace
from parvis.client.key_sync import Synced, sync_key
from parvis.core.errors import Conflict, Failure

CALL_S_MAX = 30.0
COMMAND_S_MAX = 600
EVERY_S_MIN = 10
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--url", required=True, help="The customers' API: https://HOST:PORT.")
@click.option("--file", type=_FILE, help="The file that holds the key.")
@click.option("--env-file", type=_FILE, help="A file of NAME=value lines that holds the key.")
@click.option("--name", default="OPENAI_API_KEY", show_default=True, help="Its name in the environment file.")
@click.option("--command", help="What reloads the application; run without a shell.")
@click.option("--shell", is_flag=True, help="Run the command by /bin/sh.")
@click.option("--rotate", is_flag=True, help="Fetch the next secret now, though it is not due.")
@click.option("--every", type=SPAN, help="Go on, once in so long: 1h. [once]")
@click.option("--ca", type=_FILE, help="Who signed the service's certificate (PEM) [this machine's trust].")
def sync(  # noqa: PLR0913 - the words of a command line
    url: str,
    file: Path | None,
    env_file: Path | None,
    name: str,
    command: str | None,
    ca: Path | None,
    every: int | None,
    *,
    shell: bool,
    rotate: bool,
) -> None:
    """Fetch a key's next secret when it is due, and put it where the application reads it."""
    if (file is None) == (env_file is None):
        raise click.UsageError("Say either --file or --env-file.")
    if every is not None and every < EVERY_S_MIN:
        raise click.UsageError(f"--every is at least {EVERY_S_MIN}s.")
    place: KeyPlace = KeyFile(file) if file is not None else EnvFile(env_file or Path(), name)
    base = base_url(url)
    verified = trust(ca) if base.startswith("https:") else True

    def one(*, now: bool) -> Synced:
        with httpx.Client(base_url=base, verify=verified, timeout=CALL_S_MAX, trust_env=False) as api:
            return sync_key(api, place, rotate=now, reload=lambda: _reload(command, shell=shell))

    if every is None:
        _tell(one(now=rotate))
        return
    while True:
        try:
            _tell(one(now=rotate))
            rotate = False
        except Failure as failure:
            click.echo(f"Error: {failure}", err=True)
        time.sleep(every)


def _reload(command: str | None, *, shell: bool) -> None:
    """Raises Conflict when the command fails: the next sync runs it again."""
    if command is None:
        return
    words = ["/bin/sh", "-c", command] if shell else shlex.split(command)
    try:
        done = subprocess.run(words, check=False, timeout=COMMAND_S_MAX)  # noqa: S603 - the user's own command
    except (OSError, subprocess.TimeoutExpired, ValueError) as problem:
        raise Conflict(f"The key is new, and the command could not be run: {problem}.") from None
    if done.returncode:
        raise Conflict(f"The key is new, and the command ended with {done.returncode}. The next sync runs it again.")


def _tell(synced: Synced) -> None:
    state = synced.state
    if synced.rotated:
        click.echo(
            f"The key {state['id']} has its next secret. The old one works until {state['secrets'][-1]['ends_at']}."
        )
    else:
        due = state["due_at"] or "never"
        click.echo(f"The key {state['id']} is in the phase '{state['phase']}'. Its next secret is due: {due}.")
