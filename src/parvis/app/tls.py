"""The server's TLS: 1.3 and nothing older."""

import ssl
from pathlib import Path

from parvis.core.errors import Misconfigured


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """A context for one certificate chain and its key (PEM files). Raises Misconfigured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        if not Path(path).is_file():
            raise Misconfigured(f"The TLS file {path} does not exist. Check inference.tls_cert and inference.tls_key.")
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as problem:
        raise Misconfigured(
            f"The certificate {certificate} and the key {key} do not work together: {problem}"
        ) from None
    return context
