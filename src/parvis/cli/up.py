"""`parvis up`: the service on this machine, until Ctrl-C."""

import os
from importlib import import_module
from pathlib import Path

import click

from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.cli.place import settings_of


@click.command()
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM) of the inference listener.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--take-over", is_flag=True, help="Take the place of the service that runs, without refusing anybody.")
@click.pass_context
def up(ctx: click.Context, tls_cert: Path | None, tls_key: Path | None, *, take_over: bool) -> None:
    """Start the service: gateway, control and engines. Ctrl-C drains and stops it; twice ends it at once."""
    log_to_stderr()
    # A later `parvis reload` reads the settings again, and what was said here holds on.
    for name, path in (("TLS_CERT", tls_cert), ("TLS_KEY", tls_key)):
        if path is not None:
            os.environ[f"PARVIS_INFERENCE__{name}"] = str(path.absolute())
    # Loaded here: it needs the database's libraries, for whose half a second every other command would wait too.
    import_module("parvis.app.supervisor").run(settings_of(ctx), click.echo, take_over=take_over)
