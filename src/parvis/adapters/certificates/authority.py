"""A small certificate authority, and what it signs. Makes values; where files lie is others' matter.

Keys are EC P-256: every client knows them, and a signature takes 30 µs.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parvis.core.errors import Misconfigured

AUTHORITY_DAYS = 3650
SKEW = timedelta(hours=1)
"""How far the clock of who verifies may be behind ours."""
COMMON_NAME_CHARS_MAX = 64
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_HOST_CHARS_MAX = 253
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_authority(name: str, now: datetime) -> Identity:
    """An authority that signs servers and clients, but no other authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    usage = _usage(signs_certificates=True)
    builder = _builder(subject, key.public_key(), now, now + timedelta(days=AUTHORITY_DAYS)).issuer_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Identity(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def read_authority(certificate: bytes, key: bytes) -> Identity:
    """The authority of these PEM texts. Raises Misconfigured."""
    try:
        read = x509.load_pem_x509_certificate(certificate)
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as problem:
        raise Misconfigured(f"The authority's files cannot be read: {problem}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != read.public_key():
        raise Misconfigured("The authority's key is not that of its certificate. Use another folder (--dir).")
    return Identity(read, private)


def server_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    """Names and addresses as a certificate holds them. Raises Misconfigured for what can be neither."""
    return x509.SubjectAlternativeName([_general_name(host) for host in hosts])


def sign_server(authority: Identity, names: x509.SubjectAlternativeName, now: datetime, days: int) -> Identity:
    """A server's certificate for these names. Raises Misconfigured when the authority has expired."""
    first = str(next(iter(names)).value)
    common = first if len(first) <= COMMON_NAME_CHARS_MAX else "parvis"
    return _sign(authority, common, SERVER, names, now, days)


def sign_client(authority: Identity, name: str, now: datetime, days: int) -> Identity:
    """A certificate by which a client proves that it is called so. Raises Misconfigured as above."""
    return _sign(authority, name, CLIENT, None, now, days)


def _sign(
    authority: Identity,
    common_name: str,
    purpose: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName | None,
    now: datetime,
    days: int,
) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity(_certificate(authority, common_name, purpose, names, now, days, key.public_key()), key)


def client_request(name: str) -> tuple[bytes, bytes]:
    """A key of one's own, which leaves for nowhere, and the request to sign it: both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, request.public_bytes(Encoding.PEM)


def sign_request(authority: Identity, request: bytes, name: str, now: datetime, days: int) -> x509.Certificate:
    """A client's certificate for the key of a request (PEM); it is called as we say. Raises Misconfigured."""
    return _certificate(authority, name, CLIENT, None, now, days, _requested_key(request))


def sign_server_request(
    authority: Identity, request: bytes, names: x509.SubjectAlternativeName, now: datetime, days: int
) -> x509.Certificate:
    """A server's, in the same way."""
    return _certificate(authority, "parvis", SERVER, names, now, days, _requested_key(request))


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        asked = x509.load_pem_x509_csr(request)
        key = asked.public_key()
        good = asked.is_signature_valid and isinstance(key, ec.EllipticCurvePublicKey)
    except ValueError:
        good = False
    if not good or not isinstance(key, ec.EllipticCurvePublicKey):
        raise Misconfigured("What was sent is no request for a certificate with an EC key.")
    return key


def fingerprint(certificate_der: bytes) -> bytes:
    """By which a certificate is known before anybody is trusted: SHA-256, 32 bytes."""
    return hashlib.sha256(certificate_der).digest()


def _certificate(
    authority: Identity,
    common_name: str,
    purpose: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName | None,
    now: datetime,
    days: int,
    key: ec.EllipticCurvePublicKey,
) -> x509.Certificate:
    issuer = authority.certificate
    if issuer.not_valid_after_utc <= now:
        raise Misconfigured(
            "The authority has expired. Make another in a new folder (--dir), and let clients trust it."
        )
    ends = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    builder = _builder(_name(common_name), key, now, ends).issuer_name(issuer.subject)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ]
    if names is not None:
        extensions.append((names, False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host.strip("[]")))
    except ValueError:
        pass
    if len(host) > _HOST_CHARS_MAX or not _HOST.fullmatch(host):
        raise Misconfigured(
            f"'{host}' is neither a host name nor an IP address. Names in other scripts are written as xn--..."
        )
    return x509.DNSName(host.lower())
