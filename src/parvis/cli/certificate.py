"""What a certificate says of itself: read from a PEM file, for people and for the doctor."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from parvis.core.errors import Misconfigured

RENEW_DAYS = 30
"""A certificate with fewer days left should be renewed; one of a short life when a third of it is left."""
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_USES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The first certificate of a file. Times are in UTC."""

    subject: str
    names: tuple[str, ...]
    issuer: str
    authority: bool
    """It may sign other certificates."""
    uses: tuple[str, ...]
    """`server`, `client`; empty: any."""
    key: str
    serial: str
    sha256: str
    valid_from: datetime
    valid_until: datetime
    chain: int
    """How many certificates the file holds."""
    pem: str

    def left(self, now: datetime) -> timedelta:
        """Until it expires; negative when it has."""
        return self.valid_until - now

    def soon_over(self, now: datetime) -> bool:
        """Whether it is time to renew it."""
        life = self.valid_until - self.valid_from
        return self.left(now) < min(timedelta(days=RENEW_DAYS), life / 3)


def read_certificate(path: Path) -> CertificateFacts:
    """The first certificate of a PEM file. Raises Misconfigured."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be read: {problem.strerror}.") from None
    except ValueError:
        raise Misconfigured(f"{path} holds no certificate in PEM form.") from None
    first = chain[0]
    return CertificateFacts(
        subject=first.subject.rfc4514_string(),
        names=_names(first),
        issuer=first.issuer.rfc4514_string(),
        authority=_is_authority(first),
        uses=_uses(first),
        key=_key(first),
        serial=f"{first.serial_number:x}",
        sha256=first.fingerprint(hashes.SHA256()).hex(),
        valid_from=first.not_valid_before_utc,
        valid_until=first.not_valid_after_utc,
        chain=len(chain),
        pem=first.public_bytes(Encoding.PEM).decode("ascii"),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _uses(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_USES.get(use, use.dotted_string) for use in uses)


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")
