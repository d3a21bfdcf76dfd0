"""TLS towards engines: whom the gateway believes, and how it proves who it is."""

import ssl

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.replica import TlsFiles

_WITHOUT_WORDS: dict[type, str] = {
    ConnectionResetError: "it hung up in the handshake: does it speak an older TLS only (tls_min)?",
    TimeoutError: "it did not answer in time",
}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def engine_context(files: TlsFiles) -> ssl.SSLContext:
    """A client that verifies the engine's certificate and name. Reads files: 1 ms, with the machine's trust 50 ms.

    Raises Misconfigured, naming the file and the reason.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[files.version_min]
    context.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # an intermediate, or the engine's own, may be what is trusted
    context.set_alpn_protocols(["http/1.1"])
    try:
        if files.authority:
            context.load_verify_locations(files.authority)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except OSError as problem:
        raise Misconfigured(f"tls_ca = {files.authority} cannot be used: {why(problem)}.") from None
    try:
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key, _no_password)
    except (OSError, ValueError) as problem:
        raise Misconfigured(
            f"tls_cert = {files.certificate} and tls_key = {files.key} cannot be used: {why(problem)}."
        ) from None
    return context


def why(problem: BaseException) -> str:
    """The reason of a failed connection or of an unusable file, in OpenSSL's words or the machine's; no secrets."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return problem.verify_message
    if isinstance(problem, ssl.SSLError):
        return (
            str(problem.reason).replace("_", " ").lower() if problem.reason else "it is not what its name says in PEM"
        )
    said = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
    return said or _WITHOUT_WORDS.get(type(problem), type(problem).__name__)


def _no_password() -> str:
    raise ValueError("the key is encrypted, and there is nobody to ask for its password")
