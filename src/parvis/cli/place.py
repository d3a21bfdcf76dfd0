"""Where a command works: the settings of its data folder, and the addresses that it may call."""

from ipaddress import ip_address
from pathlib import Path

import click

from parvis.settings import Listen, Settings, WebListener, load


def settings_of(ctx: click.Context) -> Settings:
    """The settings of `--home`, or of the environment. Raises Misconfigured."""
    home: Path | None = ctx.obj
    return load(home)


def reachable(listener: Listen) -> str:
    """`HOST:PORT` that answers here: an unspecified address is reached by loopback."""
    host = ip_address(listener.host)
    if host.is_unspecified:
        host = ip_address("::1" if host.version == 6 else "127.0.0.1")  # noqa: PLR2004 - IPv6
    return f"[{host}]:{listener.port}" if ":" in str(host) else f"{host}:{listener.port}"


def base_of(listener: WebListener) -> str:
    """`http://HOST:PORT` of a listener of the administration, or `https://` where it has TLS."""
    return f"{'https' if listener.tls_cert else 'http'}://{reachable(listener)}"
