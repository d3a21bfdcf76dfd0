"""The inference listener as it is in production: gateway, control and supervisor before a fake engine."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"


@dataclass(frozen=True)
class House:
    """The service, and the engine that it stands on."""

    service: Service
    engine: FakeEngineProcess

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def key(self) -> str:
        return self.service.api_key


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for a whole file: tests may not rely on what others have left in its log."""
    with fake_engine() as engine:
        as_named = {"engine_model": "fake-8b"}
        engines = {
            "chat": served_by(engine, model=CHAT, **as_named),
            "embed": served_by(engine, model=EMBED, kind="openai", embedding=True, context_tokens=512, **as_named),
            "other": served_by(engine, model=OTHER, **as_named),
        }
        with service(tmp_path_factory.mktemp("house") / "home", engines=engines) as running:
            yield House(running, engine)


@dataclass(frozen=True)
class TlsPair:
    """Both ends of TLS: a server that certifies itself, and a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    env: dict[str, str]
    """The settings of a service that shall be the server."""

    def connect(self, port: int, *, timeout_s: float = 30.0, receive_bytes: int = 0) -> ssl.SSLSocket:
        """A client whose handshake is done. `receive_bytes` bounds what its kernel takes before it reads."""
        peer = socket.socket()
        if receive_bytes:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        peer.settimeout(timeout_s)
        peer.connect(("127.0.0.1", port))
        return self.client.wrap_socket(peer, server_hostname="127.0.0.1")


def made_pair(folder: Path) -> TlsPair:
    """A new key and a certificate for 127.0.0.1, and what both ends make of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "parvis test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    env = {"PARVIS_INFERENCE__TLS_CERT": str(folder / "cert.pem"), "PARVIS_INFERENCE__TLS_KEY": str(folder / "key.pem")}
    return TlsPair(server, ssl.create_default_context(cafile=folder / "cert.pem"), env)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsPair:
    return made_pair(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other_tls(tmp_path_factory: pytest.TempPathFactory) -> TlsPair:
    """Of another certificate."""
    return made_pair(tmp_path_factory.mktemp("tls"))
