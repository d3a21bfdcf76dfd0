"""`Outbound` with httpx: the address is looked up once, checked, and then called under the name that was asked for."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from socket import SOCK_STREAM
from urllib.parse import SplitResult, urlsplit

import httpx

from parvis.core.addresses import acceptable
from parvis.core.errors import BadRequest, Misconfigured, Unavailable

CALL_S_MAX = 5.0
REPLY_BYTES_MAX = 256 << 10
_PORTS = {"https": 443, "http": 80}
Reply = tuple[int, bytes]


class OutboundClient:
    """Hosts are `name:port`. Those of `private_hosts` may have addresses of this machine and its networks.

    `authority` is a PEM file of who signs the certificates of these hosts; without one, whom this machine trusts.
    Raises Misconfigured when it cannot be used.
    """

    def __init__(self, hosts: Collection[str], private_hosts: Collection[str] = (), authority: str = "") -> None:
        self._private = frozenset(host.lower() for host in private_hosts)
        self._hosts = frozenset(host.lower() for host in hosts) | self._private
        # Reading the machine's trust takes 50 ms, which who lists nobody need not wait for.
        self._tls = _trusting(authority) if self._hosts else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """See the port."""
        return await self._call("GET", url, None, headers)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """See the port."""
        return await self._call("POST", url, body, headers)

    async def addresses(self, host: str, port: int) -> list[str]:
        """See the port."""
        listed = f"{host.lower()}:{port}"
        if listed not in self._hosts:
            raise BadRequest(
                f"The operator has not listed {listed[:300]} among the hosts that this service may call.",
                code="host_not_listed",
            )
        found = await _looked_up(host, port)
        allowed = [ip for ip in found if acceptable(ip, private=listed in self._private)]
        if not allowed:
            raise BadRequest(
                f"{listed} has no address that may be called. The operator may list it among the private hosts.",
                code="address_not_allowed",
            )
        return allowed

    async def _call(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None) -> Reply:
        parts, host, port = _read_url(url)
        try:
            async with asyncio.timeout(CALL_S_MAX):
                addresses = await self.addresses(host, port)
                self._check_scheme(parts.scheme, f"{host}:{port}", addresses)
                return await self._ask_one_of(addresses, method, parts, port, body, headers or {})
        except TimeoutError:
            raise Unavailable(
                f"{host}:{port} did not answer within {CALL_S_MAX:.0f} s.", code="outbound_failed"
            ) from None

    def _check_scheme(self, scheme: str, listed: str, addresses: Collection[str]) -> None:
        if scheme == "http" and not (listed in self._private and all(ip_address(ip).is_loopback for ip in addresses)):
            raise BadRequest(f"{listed} must be called by https.", code="https_required")

    async def _ask_one_of(
        self,
        addresses: Collection[str],
        method: str,
        parts: SplitResult,
        port: int,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Reply:
        """The first that lets us connect answers. Raises Unavailable."""
        host = parts.hostname or ""
        problem = "it has no address"
        # The certificate is checked against the name; the connection goes to the number.
        named = {**headers, "host": parts.netloc, "accept-encoding": "identity"}
        async with self._client() as client:
            for ip in addresses:
                numbered = parts._replace(netloc=f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}", fragment="")
                request = client.build_request(method, numbered.geturl(), content=body, headers=named)
                request.extensions["sni_hostname"] = host
                try:
                    return await _answer(client, request)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    problem = _reason(error)
                except httpx.HTTPError as error:
                    problem = _reason(error)
                    break
        raise Unavailable(f"{host}:{port} cannot be called: {problem}.", code="outbound_failed")

    def _client(self) -> httpx.AsyncClient:
        """One call, one connection: these calls are rare, and nothing stays open towards other people's machines."""
        return httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=CALL_S_MAX)


async def _answer(client: httpx.AsyncClient, request: httpx.Request) -> Reply:
    """Read it all, as far as it may go. Raises HTTPError, Unavailable."""
    response = await client.send(request, stream=True)
    try:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unavailable(f"{request.headers['host']} sends a compressed answer.", code="outbound_failed")
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > REPLY_BYTES_MAX:
                raise Unavailable(f"{request.headers['host']} sends too long an answer.", code="outbound_failed")
        return response.status_code, body
    finally:
        await response.aclose()


def _read_url(url: str) -> tuple[SplitResult, str, int]:
    """Raises BadRequest for anything but `https://HOST[:PORT]/...` (or http, which is judged later)."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise BadRequest(f"'{url[:300]}' is no https:// address.", code="invalid_url") from None
    if not parts.hostname or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise BadRequest(f"'{url[:300]}' is no https:// address of a host.", code="invalid_url")
    return parts, parts.hostname, port


async def _looked_up(host: str, port: int) -> list[str]:
    """The numeric addresses of a name, each once. Raises Unavailable."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable(f"The name {host[:300]} cannot be found.", code="outbound_failed") from None
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def _trusting(authority: str) -> ssl.SSLContext:
    """A client that verifies certificate and name. Reads files. Raises Misconfigured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if authority:
            context.load_verify_locations(authority)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except OSError as problem:
        raise Misconfigured(f"The authority {authority} cannot be used: {problem.strerror or problem}.") from None
    return context


def _reason(error: httpx.HTTPError) -> str:
    """A few words without anything that the other side sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return {"ConnectError": "nobody answers there", "ReadTimeout": "it answers too slowly"}.get(
        type(error).__name__, "the connection broke"
    )
