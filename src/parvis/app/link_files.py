"""The certificates of the link between machines, in the data folder: control's authority and its own, or a machine's.

They are no web certificates: each side believes one authority, control's, and no other.
"""

import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from parvis.adapters.certificates.authority import (
    Identity,
    fingerprint,
    new_authority,
    read_authority,
    server_names,
    sign_request,
    sign_server,
)
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.node import CERTIFICATE_DAYS
from parvis.flows.nodes import Certificate

CONTROL_NAME = "control.parvis.internal"
"""As which control is known on the link, wherever it is."""
SERVER_DAYS = 365
RENEW_BEFORE = timedelta(days=30)
FOLDER = "link"
_CA, _CA_KEY, _SERVER, _SERVER_KEY = "ca.pem", "ca.key", "control.pem", "control.key"
NODE, NODE_KEY = "node.pem", "node.key"


class LinkAuthority:
    """Control's. Made at its first use, and kept."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._identity = kept_authority("Parvis link", self._folder / _CA, self._folder / _CA_KEY)
        self._renew_server()

    @property
    def fingerprint(self) -> bytes:
        """See `flows.nodes.Authority`."""
        return fingerprint(_load(self._folder / _SERVER).public_bytes(Encoding.DER))

    @property
    def certificate_pem(self) -> bytes:
        """See `flows.nodes.Authority`."""
        return self._identity.certificate_pem()

    def sign(self, request: bytes, name: str, now: datetime) -> Certificate:
        """See `flows.nodes.Authority`."""
        signed = sign_request(self._identity, request, name, now, CERTIFICATE_DAYS)
        return Certificate(f"{signed.serial_number:x}", signed.public_bytes(Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """For control's listener: TLS 1.3, and of those that show a certificate only ours."""
        context = _context(ssl.PROTOCOL_TLS_SERVER, self._folder, (_SERVER, _SERVER_KEY))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = 0
        return context

    def _renew_server(self) -> None:
        """Sign our own anew when there is none, or none for long."""
        path, now = self._folder / _SERVER, datetime.now(UTC)
        if not path.exists() or _load(path).not_valid_after_utc - RENEW_BEFORE < now:
            names = server_names([CONTROL_NAME])
            _keep(sign_server(self._identity, names, now, SERVER_DAYS), path, self._folder / _SERVER_KEY)


def kept_authority(name: str, certificate: Path, key: Path) -> Identity:
    """The authority of these files, which is made where there is none. Raises Misconfigured."""
    if not certificate.exists():
        _keep(new_authority(name, datetime.now(UTC)), certificate, key)
    return read_authority(certificate.read_bytes(), key.read_bytes())


def node_context(home: Path) -> ssl.SSLContext:
    """With which a machine calls control. Raises Misconfigured when it never joined."""
    if not (home / FOLDER / NODE).exists():
        raise Misconfigured("This machine has not joined yet. Say --join CODE; `parvis node code` makes one.")
    return _context(ssl.PROTOCOL_TLS_CLIENT, home / FOLDER, (NODE, NODE_KEY))


def keep_membership(home: Path, key: bytes, certificate: bytes, authority: bytes) -> None:
    """What a machine was given when it joined (PEM); the certificate comes last and says that all is there."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in ((_CA, authority), (NODE_KEY, key), (NODE, certificate)):
        _write(folder / name, text)


def link_socket(listen: str) -> socket.socket:
    """Control's, for other machines. Raises Misconfigured."""
    host, _, port = listen.rpartition(":")
    try:
        return socket.create_server(
            (host.strip("[]"), int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as problem:
        raise Misconfigured(f"link.listen: {listen} cannot be used ({problem.strerror}).") from None


def _context(protocol: "ssl._SSLMethod", folder: Path, own: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(folder / _CA)
        context.load_cert_chain(folder / own[0], folder / own[1])
    except (ssl.SSLError, OSError) as problem:
        raise Misconfigured(f"The certificates in {folder} cannot be used: {problem.strerror}.") from None
    return context


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _keep(identity: Identity, certificate: Path, key: Path) -> None:
    _write(key, identity.key_pem())
    _write(certificate, identity.certificate_pem())


def _write(path: Path, text: bytes) -> None:
    """For this user alone, and whole or not at all."""
    fresh = path.with_name(f".{path.name}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
