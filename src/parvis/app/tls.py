"""The TLS of our listeners: 1.3 and nothing older, and a certificate that was tried before it is used.

What OpenSSL gives by itself is kept: three suites (AES-256-GCM, ChaCha20-Poly1305, AES-128-GCM, in our order), the
groups that it knows (X25519 first; with ML-KEM beside it from OpenSSL 3.5 on), no early data. TLS 1.3 itself has no
renegotiation and no compression, and a ticket never saves the key exchange.
"""

import re
import ssl
from pathlib import Path

from parvis.core.errors import Misconfigured

TICKETS_PER_HANDSHAKE = 1
"""A client of this protocol keeps one connection and comes back with one. OpenSSL's own 2 are for browsers."""
_PEM_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def server_context(certificate: str, key: str, listener: str = "inference") -> ssl.SSLContext:
    """A context for one certificate chain and its key (PEM files), proved by a handshake with itself, in 3 ms.

    Raises Misconfigured, naming the file and the reason: it cannot be read, is no PEM, the key is encrypted or another
    certificate's, the certificate is expired, not yet valid, too weak, or no server's. `listener` is the section of the
    settings that names the files.
    """
    client = pinning_context(certificate, listener)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = TICKETS_PER_HANDSHAKE
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key, listener)
    try:
        _shake_hands(client, context)
    except ssl.SSLCertVerificationError as problem:
        raise Misconfigured(
            f"The certificate {certificate} cannot be used: {problem.verify_message}. "
            f"`parvis cert show {certificate}` tells more; renew it, or set {listener}.tls_cert to another."
        ) from None
    except ssl.SSLError as problem:
        raise Misconfigured(
            f"The certificate {certificate} cannot be used for TLS 1.3 ({_reason(problem)}). "
            "Its key must be RSA of 2048 bits or more, EC (P-256, P-384, P-521) or Ed25519."
        ) from None
    return context


def pinning_context(certificate: str, listener: str = "inference") -> ssl.SSLContext:
    """A client that takes the first certificate of this file for the right one, whatever names are in it, and no other.

    Raises Misconfigured.
    """
    found = _PEM_CERTIFICATE.search(_read(certificate, listener))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Whatever the machine's own policy is: keys under 112 bits of strength (RSA-2048) are refused.
    context.set_ciphers("DEFAULT:@SECLEVEL=2")
    try:
        context.load_verify_locations(cadata=found[0] if found else "")
    except (ssl.SSLError, ValueError):
        raise Misconfigured(
            f"The file {certificate} holds no certificate in PEM form. It must be a chain, the server's own first."
        ) from None
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str, listener: str) -> None:
    """Give the context its chain and key. Raises Misconfigured."""

    def no_password() -> str:
        raise Misconfigured(
            f"The key {key} is encrypted, and there is nobody to ask for its password at a start. "
            "Store it without one (`openssl pkey -in KEY -out PLAIN`), readable by its owner alone."
        )

    _read(key, listener)
    try:
        context.load_cert_chain(certificate, key, no_password)
    except (ssl.SSLError, OSError) as problem:
        raise Misconfigured(
            f"The certificate {certificate} and the key {key} do not work together: {_reason(problem)}."
        ) from None


def _read(path: str, listener: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError as problem:
        raise Misconfigured(
            f"The TLS file {path} cannot be read: {problem.strerror}. Check {listener}.tls_cert and tls_key."
        ) from None


def _reason(problem: OSError) -> str:
    """OpenSSL's own words; of a file without a key it has none."""
    reason = getattr(problem, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else "the key file holds no private key in PEM form"


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A whole handshake in memory. Raises SSLError of the side that noticed."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server)
    answerer = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (caller, answerer, caller, answerer):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
