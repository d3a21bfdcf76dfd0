"""`parvis cert`: certificates for development, and what any certificate says."""

import os
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from parvis.adapters.certificates.authority import (
    Identity,
    new_authority,
    read_authority,
    server_names,
    sign_client,
    sign_server,
)
from parvis.cli.certificate import CertificateFacts, read_certificate
from parvis.cli.output import Option, as_json, print_facts, print_json
from parvis.core.errors import Conflict, Misconfigured
from parvis.settings import data_folder

LOOPBACK = ("localhost", "127.0.0.1", "::1")
DAYS_DEFAULT, DAYS_MAX = 365, 825
"""Some clients refuse servers whose certificate lives longer."""
AUTHORITY = "ca"
"""The name of its files."""
_FILE_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,40}")


def _file_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if name == AUTHORITY or not _FILE_NAME.fullmatch(name):
        raise click.BadParameter(f"use letters, digits, dots, dashes and underscores, and not '{AUTHORITY}'")
    return name


_days: Option = click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=DAYS_DEFAULT, show_default=True, help="How long it is valid."
)
_folder: Option = click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Where the files go [DATA FOLDER/tls]."
)
_force: Option = click.option("--force", is_flag=True, help="Replace what is there; never the authority.")


@click.group()
def cert() -> None:
    """Certificates: make some for development, look at any."""


@cert.command()
@click.option("--host", "hosts", multiple=True, help="A name or address of the server; repeat [localhost].")
@click.option("--name", default="server", show_default=True, callback=_file_name, help="Of its files.")
@_days
@_folder
@_force
@as_json
@click.pass_context
def make(
    ctx: click.Context, hosts: tuple[str, ...], name: str, days: int, folder: Path | None, *, force: bool, json_: bool
) -> None:
    """Make a server's certificate, signed by an authority of your own that is made once."""
    names = server_names(hosts or LOOPBACK)
    place = Place(ctx, folder)
    place.check(name, force=force)
    made = sign_server(place.authority(), names, datetime.now(UTC), days)
    place.keep(name, made, force=force)
    if json_:
        print_json(place.told(name))
        return
    place.tell(name)
    click.echo("\nIn parvis.toml:\n\n[inference]")
    _say_settings(tls_cert=place.chain(name), tls_key=place.key(name))
    click.echo("\nClients must trust the authority:\n")
    click.echo(f"curl --cacert {place.chain(AUTHORITY)} ...")
    click.echo(f"export SSL_CERT_FILE={place.chain(AUTHORITY)}   # Python's httpx, openai")


@cert.command()
@click.option("--name", required=True, callback=_file_name, help="Who the client is; also the name of its files.")
@_days
@_folder
@_force
@as_json
@click.pass_context
def client(ctx: click.Context, name: str, days: int, folder: Path | None, *, force: bool, json_: bool) -> None:
    """Make a client's certificate, for engines that ask who calls them."""
    stem = f"client-{name}"
    place = Place(ctx, folder)
    place.check(stem, force=force)
    made = sign_client(place.authority(), name, datetime.now(UTC), days)
    place.keep(stem, made, force=force)
    if json_:
        print_json(place.told(stem))
        return
    place.tell(stem)
    click.echo("\nIn parvis.toml, of an engine whose certificate the same authority has signed:\n")
    _say_settings(tls_ca=place.chain(AUTHORITY), tls_cert=place.chain(stem), tls_key=place.key(stem))
    click.echo(f"\nThe engine demands it with {place.chain(AUTHORITY)} as the authority of its clients.")


@cert.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def show(file: Path, *, json_: bool) -> None:
    """What a certificate says: whose it is, who signed it, how long it is valid."""
    facts = _words(read_certificate(file))
    print_json(facts) if json_ else print_facts(facts)


class Place:
    """A folder with an authority and what it has signed: NAME.pem is a chain, NAME.key its key."""

    def __init__(self, ctx: click.Context, folder: Path | None) -> None:
        home: Path | None = ctx.obj
        self._folder = (folder or data_folder(home) / "tls").absolute()
        self._made = False

    def chain(self, stem: str) -> Path:
        return self._folder / f"{stem}.pem"

    def key(self, stem: str) -> Path:
        return self._folder / f"{stem}.key"

    def check(self, stem: str, *, force: bool) -> None:
        """Raises Conflict when the files of this name exist already."""
        there = [path for path in (self.chain(stem), self.key(stem)) if path.exists()]
        if there and not force:
            raise Conflict(f"{there[0]} is there already. Say --force to replace it, or --dir for another folder.")

    def authority(self) -> Identity:
        """The authority of this folder, made if there is none. Raises Misconfigured."""
        chain, key = self.chain(AUTHORITY), self.key(AUTHORITY)
        if chain.exists() or key.exists():
            return read_authority(_read(chain), _read(key))
        authority = new_authority(f"Parvis development {os.urandom(4).hex()}", datetime.now(UTC))
        self._made = True
        self._write(key, authority.key_pem(), 0o600)
        self._write(chain, authority.certificate_pem(), 0o644)
        return authority

    def keep(self, stem: str, made: Identity, *, force: bool) -> None:
        """Write what was signed, its chain up to the authority included."""
        write = self._replace if force else self._write
        write(self.key(stem), made.key_pem(), 0o600)
        write(self.chain(stem), made.certificate_pem() + _read(self.chain(AUTHORITY)), 0o644)

    def told(self, stem: str) -> dict[str, object]:
        """What was made, for programs."""
        files = {"authority": self.chain(AUTHORITY), "certificate": self.chain(stem), "key": self.key(stem)}
        paths = {name: str(path) for name, path in files.items()}
        return {**paths, "authority_made": self._made, "facts": _words(read_certificate(self.chain(stem)))}

    def tell(self, stem: str) -> None:
        """What was made, for people."""
        facts = read_certificate(self.chain(stem))
        print_facts(
            {
                "authority": f"{self.chain(AUTHORITY)} ({'made now' if self._made else 'as before'})",
                "certificate": self.chain(stem),
                "key": f"{self.key(stem)} (yours alone)",
                "for": ", ".join(facts.names) or facts.subject.removeprefix("CN="),
                "until": f"{facts.valid_until:%Y-%m-%d}",
            }
        )

    def _write(self, path: Path, data: bytes, mode: int) -> None:
        """A new file. Raises Conflict rather than touch an old one."""
        try:
            for folder in (self._folder.parent, self._folder):  # the data folder may be made here, and is private
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except FileExistsError:
            raise Conflict(f"{path} is there already. Say --dir for another folder.") from None
        except OSError as problem:
            raise Misconfigured(f"{path} cannot be written: {problem.strerror}.") from None

    def _replace(self, path: Path, data: bytes, mode: int) -> None:
        """The new file or the old one, at no time half of it: a service may be reading."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        self._write(fresh, data, mode)
        fresh.replace(path)


def _words(facts: CertificateFacts) -> dict[str, object]:
    """For JSON and for people alike."""
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(facts).items()}
    times = {"valid_from": facts.valid_from.isoformat(), "valid_until": facts.valid_until.isoformat()}
    del told["pem"]  # it stands in the file
    return {**told, **times, "days_left": facts.left(datetime.now(UTC)).days}


def _say_settings(**paths: Path) -> None:
    for name, path in paths.items():
        click.echo(f"{name} = {msgspec.json.encode(str(path)).decode()}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be read: {problem.strerror}. Use another folder (--dir).") from None
