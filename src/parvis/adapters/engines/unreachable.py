"""Why no connection to a replica came about, in a sentence for the operator. Holds no secret."""

import socket
import ssl

from parvis.adapters.engines.tls import why
from parvis.core.errors import Misconfigured


def sentence(problem: BaseException) -> str:
    """Each cause that is mended in another place has words of its own."""
    match problem:
        case socket.gaierror():
            told = f"Its name does not resolve: {problem.strerror}."
        case UnicodeError():
            told = "Its name does not resolve: it is none that a name server could know."
        case ssl.SSLError() | Misconfigured():
            told = f"No TLS connection to it: {why(problem).rstrip('.')}."
        case TimeoutError():
            told = "No connection to it came about in time."
        case ConnectionResetError():
            told = "It hangs up on who connects."
        case _ if _refused(problem):
            told = "Nothing listens there."
        case _:
            told = f"No connection to it: {why(problem).rstrip('.')}."
    return told


def _refused(problem: BaseException) -> bool:
    """Of a name with several addresses asyncio may tell all their errors in one, which has no number."""
    several = isinstance(problem, OSError) and problem.errno is None and "refused" in str(problem).lower()
    return several or isinstance(problem, ConnectionRefusedError)
