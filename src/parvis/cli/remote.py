"""Which service a command speaks with, and as whom: the one of the data folder, or one elsewhere, by `--url`."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click

from parvis.core.errors import Misconfigured
from parvis.core.secret import Secret

_KEY = "parvis.remote"


@dataclass(frozen=True, slots=True)
class Remote:
    """What was said before the command. All empty: the service of the data folder, as its operator."""

    url: str = ""
    ca: Path | None = None
    """Who must have signed the service's certificate (PEM); without it: this machine's trust."""
    token_file: Path | None = None
    """Where a personal token is kept."""


def remember(ctx: click.Context, remote: Remote) -> None:
    """Keep it for the command that follows."""
    ctx.meta[_KEY] = remote


def remote_of(ctx: click.Context) -> Remote:
    """What was said before this command."""
    found: Remote = ctx.meta.get(_KEY, Remote())
    return found


def base_url(url: str) -> str:
    """`https://HOST[:PORT]`. Raises Misconfigured for what is none, or would show the token on the way."""
    parts = urlsplit(url)
    try:
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise Misconfigured(f"--url '{url[:100]}' must look like https://HOST:PORT.")
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        raise Misconfigured("--url: over http:// others can read the token. Use https://, or a loopback address.")
    return f"{parts.scheme}://{parts.netloc}"


def trust(ca: Path | None) -> ssl.SSLContext:
    """Whose certificates are believed. Raises Misconfigured."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as problem:
        raise Misconfigured(f"--ca {ca} cannot be read as PEM certificates: {problem}.") from None


def read_secret(path: Path, label: str) -> Secret:
    """A file that holds one secret, readable by its owner alone. Raises Misconfigured."""
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise Misconfigured(f"{path} cannot be read: {problem}.") from None
    if mode & 0o077:
        raise Misconfigured(f"{path} can be read by others. Type: chmod 600 {path}")
    if not text or not text.isascii():
        raise Misconfigured(f"{path} holds no {label}.")
    return Secret(text, label)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
