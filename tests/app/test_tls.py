"""A certificate is tried before it is used, and what is wrong with it is said in one sentence."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parvis.app.tls import pinning_context, server_context
from parvis.core.errors import Misconfigured
from parvis.settings import load

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Folder:
    """Certificates and keys, good and bad."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def certificate(
        self,
        key: Key | None = None,
        *,
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + DAY,
        use: x509.ObjectIdentifier | None = None,
        secret: KeySerializationEncryption | None = None,
    ) -> tuple[str, str]:
        """Self-signed, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins, ends)
        if use is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret or NoEncryption())
        return self.file(signed.public_bytes(Encoding.PEM)), self.file(pem)

    def file(self, data: bytes) -> str:
        path = self._path / f"{len(list(self._path.iterdir()))}.pem"
        path.write_bytes(data)
        return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def refusal(certificate: str, key: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        server_context(certificate, key)
    return str(refused.value)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(65537, 3072),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519", "RSA-2048", "RSA-3072"],
)
def test_good_keys_are_taken(folder: Folder, key: Key) -> None:
    server_context(*folder.certificate(key))


def test_what_it_speaks(folder: Folder) -> None:
    context = server_context(*folder.certificate())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED
    spoken = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
    assert spoken == ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]
    assert context.num_tickets == 1


def test_times_are_kept(folder: Folder) -> None:
    for begins, ends, reason in (
        (NOW - 2 * DAY, NOW - DAY, "certificate has expired"),
        (NOW + DAY, NOW + 2 * DAY, "certificate is not yet valid"),
    ):
        certificate, key = folder.certificate(begins=begins, ends=ends)
        said = refusal(certificate, key)
        assert f"The certificate {certificate} cannot be used: {reason}" in said
        assert f"parvis cert show {certificate}" in said


def test_a_key_of_another_certificate_is_named(folder: Folder) -> None:
    (certificate, _), (_, key) = folder.certificate(), folder.certificate()
    said = refusal(certificate, key)
    assert certificate in said
    assert key in said
    assert "do not work together: key values mismatch" in said


def test_weak_keys_are_refused(folder: Folder) -> None:
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())):  # noqa: S505 - weak on purpose: they must be refused
        certificate, file = folder.certificate(key)
        assert certificate in refusal(certificate, file)


def test_a_client_is_no_server(folder: Folder) -> None:
    assert "purpose" in refusal(*folder.certificate(use=ExtendedKeyUsageOID.CLIENT_AUTH))
    server_context(*folder.certificate(use=ExtendedKeyUsageOID.SERVER_AUTH))


def test_an_encrypted_key_is_refused_and_nobody_is_asked(folder: Folder) -> None:
    certificate, key = folder.certificate(secret=BestAvailableEncryption(b"secret"))
    assert f"The key {key} is encrypted" in refusal(certificate, key)


def test_what_is_no_certificate_or_no_key_is_named(folder: Folder) -> None:
    certificate, key = folder.certificate()
    junk, away = folder.file(b"junk"), "/nowhere/cert.pem"
    assert f"The file {junk} holds no certificate in PEM form" in refusal(junk, key)
    assert "the key file holds no private key in PEM form" in refusal(certificate, junk)
    assert f"The TLS file {away} cannot be read: No such file or directory" in refusal(away, key)
    assert f"The TLS file {away} cannot be read" in refusal(certificate, away)


def test_a_pin_fits_one_certificate_whatever_its_names(folder: Folder) -> None:
    ours, others = folder.certificate(), folder.certificate()
    server = server_context(*ours)

    def agree(pinned: str) -> str | None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pinning_context(pinned).wrap_bio(to_client, to_server)
        answerer = server.wrap_bio(to_server, to_client, server_side=True)
        for side in (client, answerer, client):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        return client.version()

    assert agree(ours[0]) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        agree(others[0])


def test_a_key_of_openssl_is_taken(tmp_path: Path) -> None:
    files = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = "openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=localhost -out {} -keyout {}".format(*files)
    subprocess.run(command.split(), check=True, capture_output=True, timeout=30)
    server_context(*files)


# ------------------------------------------------------------------------------------------------ engines


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('addresses = ["ftp://10.0.0.1"]', "must look like http://HOST:PORT"),
        ('addresses = ["10.0.0.1:8000"]', "must look like http://HOST:PORT"),
        ('addresses = ["https://10.0.0.1:port"]', "must look like http://HOST:PORT"),
        ('addresses = ["https://10.0.0.1"]\ntls_cert = "cert.pem"', "tls_cert and tls_key go together"),
        ('addresses = ["http://10.0.0.1"]\ntls_ca = "ca.pem"', "no https:// address"),
        ('addresses = ["https://10.0.0.1"]\ntls_min = "1.1"', "tls_min"),
    ],
)
def test_tls_settings_of_engines_make_sense(tmp_path: Path, lines: str, reason: str) -> None:
    (tmp_path / "parvis.toml").write_text(f"[engines.far]\n{lines}\n")
    with pytest.raises(Misconfigured, match=r"engines") as refused:
        load(tmp_path, {})
    assert reason in str(refused.value)


def test_tls_files_of_an_engine_travel_as_paths(tmp_path: Path) -> None:
    (tmp_path / "parvis.toml").write_text('[engines.far]\naddresses = ["https://10.0.0.1"]\ntls_ca = "/etc/ca.pem"\n')
    files = load(tmp_path, {}).engines["far"].tls
    assert files is not None
    assert (files.authority, files.version_min) == ("/etc/ca.pem", "1.3")
