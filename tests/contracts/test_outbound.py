"""Calls to other people's machines: listed hosts, checked addresses, bounded answers, nothing of the environment."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.outbound.client import OutboundClient
from parvis.core.errors import BadRequest, Failure, Misconfigured, Unavailable
from parvis.flows.outbound import Outbound

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers every request with the same bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes, port: int = 0) -> None:
        self.answer = answer
        self.port = port
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readuntil(b"\r\n\r\n"))
        if self.answer:
            writer.write(self.answer)
        else:
            await reader.read()  # until the caller gives up
        writer.close()


@asynccontextmanager
async def listening(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


async def refused(call: Awaitable[object], kind: type[Failure], code: str) -> str:
    with pytest.raises(kind) as failure:
        await call
    assert failure.value.code == code
    return str(failure.value)


def test_the_client_is_the_port() -> None:
    _: Callable[[], Outbound] = lambda: OutboundClient([])  # noqa: E731 - only its type counts


async def test_a_listed_host_is_called_by_its_name_at_its_address() -> None:
    async with listening(OK) as server:
        client = OutboundClient([], [f"LocalHost:{server.port}"])
        assert await client.get(f"http://localhost:{server.port}/a?b=c", {"accept": "text/plain"}) == (200, b"{}")
        assert await client.post(f"http://localhost:{server.port}/", b"sent") == (200, b"{}")
    assert server.heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"host: localhost:{server.port}\r\n".encode() in server.heard[0].lower()
    assert b"accept: text/plain" in server.heard[0]


@pytest.mark.parametrize("private", [[], ["localhost:1"], ["127.0.0.1:{port}"], ["localhost"]])
async def test_who_is_not_listed_hears_nothing(private: list[str]) -> None:
    async with listening(OK) as server:
        client = OutboundClient([], [name.format(port=server.port) for name in private])
        said = await refused(client.get(f"http://localhost:{server.port}/"), BadRequest, "host_not_listed")
        assert f"localhost:{server.port}" in said
        assert server.heard == []


async def test_a_listed_name_that_leads_inside_is_refused() -> None:
    async with listening(OK) as server:
        client = OutboundClient([f"localhost:{server.port}"])
        await refused(client.get(f"https://localhost:{server.port}/"), BadRequest, "address_not_allowed")
        assert server.heard == []


async def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere the second time gains nothing."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def changing(host: str, port: int, *more: Any, **named: Any) -> Any:
        if host != "idp.example":
            return real(host, port, *more, **named)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port, *more, **named)

    async with listening(OK) as server:
        monkeypatch.setattr(socket, "getaddrinfo", changing)
        client = OutboundClient([], [f"idp.example:{server.port}"])
        assert (await client.get(f"http://idp.example:{server.port}/"))[0] == 200
        await refused(client.get(f"http://idp.example:{server.port}/"), BadRequest, "address_not_allowed")
    assert len(asked) == 2
    assert len(server.heard) == 1


async def test_http_is_for_this_machine_alone() -> None:
    client = OutboundClient(["1.1.1.1:80"], ["10.0.0.1:80"])
    await refused(client.get("http://1.1.1.1/"), BadRequest, "https_required")
    await refused(client.get("http://10.0.0.1/"), BadRequest, "https_required")


@pytest.mark.parametrize("url", ["ftp://a.example/", "https:///x", "a.example", "https://u:p@a.example/", "https://é/"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    await refused(OutboundClient(["a.example:443"]).get(url), BadRequest, "invalid_url")


async def test_no_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with listening(moved) as server:
        client = OutboundClient([], [f"localhost:{server.port}"])
        assert await client.get(f"http://localhost:{server.port}/") == (302, b"")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (300 << 10), "too long an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\n.", "compressed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n.", "the connection broke"),
        (b"nonsense\r\n\r\n", "the connection broke"),
    ],
)
async def test_an_answer_is_bounded_and_whole(answer: bytes, reason: str) -> None:
    async with listening(answer) as server:
        client = OutboundClient([], [f"localhost:{server.port}"])
        said = await refused(client.get(f"http://localhost:{server.port}/"), Unavailable, "outbound_failed")
    assert reason in said


async def test_who_is_silent_or_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parvis.adapters.outbound.client.CALL_S_MAX", 0.3)
    async with listening(b"") as server:
        client = OutboundClient([], [f"localhost:{server.port}"])
        said = await refused(client.get(f"http://localhost:{server.port}/"), Unavailable, "outbound_failed")
        assert "did not answer" in said or "too slowly" in said
    said = await refused(client.get(f"http://localhost:{server.port}/"), Unavailable, "outbound_failed")
    assert "nobody answers there" in said


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with listening(OK) as server:
        client = OutboundClient([], [f"localhost:{server.port}"])
        assert (await client.get(f"http://localhost:{server.port}/"))[0] == 200


async def test_a_certificate_must_name_the_host(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = new_authority("outbound", now)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem())
    for names, good in ((["localhost"], True), (["127.0.0.1"], False), (["other.example"], False)):
        signed = sign_server(authority, server_names(names), now, 1)
        (tmp_path / "cert.pem").write_bytes(signed.certificate_pem() + signed.key_pem())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "cert.pem")
        async with listening(OK, tls) as server:
            client = OutboundClient([], [f"localhost:{server.port}"], str(tmp_path / "ca.pem"))
            call = client.get(f"https://localhost:{server.port}/")
            if good:
                assert await call == (200, b"{}")
            else:
                assert "certificate is not trusted" in await refused(call, Unavailable, "outbound_failed")


async def test_a_strange_authority_is_not_believed(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    signed = sign_server(new_authority("one", now), server_names(["localhost"]), now, 1)
    (tmp_path / "cert.pem").write_bytes(signed.certificate_pem() + signed.key_pem())
    (tmp_path / "ca.pem").write_bytes(new_authority("another", now).certificate_pem())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem")
    async with listening(OK, tls) as server:
        client = OutboundClient([], [f"localhost:{server.port}"], str(tmp_path / "ca.pem"))
        call = client.get(f"https://localhost:{server.port}/")
        assert "certificate is not trusted" in await refused(call, Unavailable, "outbound_failed")


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", Path(__file__)):
        with pytest.raises(Misconfigured, match=str(path)):
            OutboundClient(["a.example:443"], authority=str(path))
