"""Promise 26: TLS 1.3 and nothing older, and a new certificate drops nothing.

Old greetings of every kind are refused, by our own hand and by OpenSSL's client; sslyze and testssl.sh find nothing at
level N. Handshakes that stop half way are ended. Certificates are replaced under streams that do not notice.
"""

import asyncio
import itertools
import json
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509

from parvis.adapters.certificates.authority import Identity, new_authority, server_names, sign_server
from parvis.testing.caller import Caller, Seen, chat
from parvis.testing.client_hello import greeted, modern, old_variants
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service, wait_until

ROOT = Path(__file__).parents[2]
VARIANTS = {"C": 40, "N": 400}
RELOADS = {"C": 5, "N": 50}
STREAMS = {"C": 12, "N": 50}
TOKENS = 30
FIGURE_S = 6.0
"""A handshake has five seconds, and its deadline is looked at every second."""
DEADLINE_S = FIGURE_S * 10
LOOKS = 12
"""New handshakes in a row that show a serial: with two workers, chance alone would take both in one of 2,000."""

NOW = datetime.now(UTC)

ALLOW_1_2 = {
    "parvis/app/tls.py": (
        "(ssl.PROTOCOL_TLS_SERVER)\n    context.minimum_version = ssl.TLSVersion.TLSv1_3",
        "(ssl.PROTOCOL_TLS_SERVER)\n    context.minimum_version = ssl.TLSVersion.TLSv1_2",
    )
}
DROP_ALL = {
    "parvis/api/inference/listener.py": (
        "        self._tls = tls\n        self.limits = limits\n",
        """        self._tls = tls
        self.limits = limits
        for guest in list(self._guests):
            guest.abort()
""",
    )
}


@dataclass
class Papers:
    """A certificate that is replaced as an operator would: new files in the place of the old ones."""

    folder: Path
    authority: Identity = field(default_factory=lambda: new_authority("row 26", NOW - timedelta(days=200)))

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.ca.write_bytes(self.authority.certificate_pem())
        self.renew()

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def env(self) -> dict[str, str]:
        return {
            "PARVIS_INFERENCE__TLS_CERT": str(self.certificate),
            "PARVIS_INFERENCE__TLS_KEY": str(self.folder / "key.pem"),
        }

    def renew(self) -> int:
        """New files; the serial number of the new certificate."""
        return self._keep(self._sign(NOW)).serial_number

    def spoil(self) -> Iterator[None]:
        """Files that cannot be used, each in its way; in the end the good ones again."""
        good = {name: (self.folder / name).read_bytes() for name in ("key.pem", "cert.pem")}
        self.put("cert.pem", b"junk")
        yield
        self.put("cert.pem", self._sign(NOW).certificate_pem())  # of another key
        yield
        self._keep(self._sign(NOW - timedelta(days=100)))  # expired
        yield
        for name, data in good.items():
            self.put(name, data)

    def _sign(self, now: datetime) -> Identity:
        return sign_server(self.authority, server_names(["localhost", "127.0.0.1"]), now, 90)

    def _keep(self, signed: Identity) -> x509.Certificate:
        self.put("key.pem", signed.key_pem())
        self.put("cert.pem", signed.certificate_pem() + self.authority.certificate_pem())
        return signed.certificate

    def put(self, name: str, data: bytes) -> None:
        fresh = self.folder / f".{name}"
        fresh.touch(0o600)
        fresh.write_bytes(data)
        fresh.replace(self.folder / name)

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


@contextmanager
def served(folder: Path, source: Path | None = None, workers: int = 1) -> Iterator[tuple[Service, Papers]]:
    papers = Papers(folder / "papers")
    env = papers.env | {"PARVIS_INFERENCE__WORKERS": str(workers)}
    with (
        fake_engine() as engine,
        service(folder / "home", engines={"fake": served_by(engine)}, env=env, source=source) as running,
    ):
        yield running, papers


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Papers]]:
    with served(tmp_path_factory.mktemp("usual")) as both:
        yield both


# --------------------------------------------------------------------------------------------- old versions


def answer_to(port: int, greeting: bytes) -> bytes:
    """What comes back, up to a greeting or to the end. Raises TimeoutError when there is neither."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as peer, suppress(ConnectionResetError):
        peer.sendall(greeting)
        while not greeted(answer) and (data := peer.recv(1 << 16)):
            answer += data
    return answer


def greeted_of(port: int, count: int) -> list[str]:
    """The old greetings that the server answers with its own."""
    return [one.name for one in old_variants(count) if greeted(answer_to(port, one.data))]


def asked_by_openssl() -> Iterator[list[str]]:
    """Options of OpenSSL's client that leave no way to TLS 1.3."""
    versions = (["-tls1"], ["-tls1_1"], ["-tls1_2"], ["-no_tls1_3"], ["-no_tls1_3", "-fallback_scsv"])
    suites = ("ALL:@SECLEVEL=0", "ECDHE+AESGCM:@SECLEVEL=0", "ECDHE+SHA1:@SECLEVEL=0")
    curves = ("X25519:P-256", "P-256", "P-384:P-521")
    for version, suite, curve in itertools.product(versions, suites, curves):
        yield [*version, "-cipher", suite, "-curves", curve]


def spoken(port: int, *options: str) -> str:
    """What OpenSSL's client agrees on; empty when on nothing."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    seen = subprocess.run(command, input=b"", capture_output=True, timeout=DEADLINE_S, check=False)
    found = [line for line in seen.stdout.decode().splitlines() if line.startswith("New, TLS")]
    return found[0] if found else ""


def old_and_spoken(port: int, version: str = "") -> list[str]:
    """The options with which OpenSSL's client agrees on something after all."""
    asked = (options for options in asked_by_openssl() if version in ("", options[0]))
    return [" ".join(options) for options in asked if spoken(port, *options)]


def test_old_versions_are_refused(usual: tuple[Service, Papers], level: Literal["C", "N"]) -> None:
    running, papers = usual
    assert greeted_of(running.port, VARIANTS[level]) == []
    assert old_and_spoken(running.port) == []
    assert greeted(answer_to(running.port, modern().record()))
    for suite, curve in itertools.product(
        ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("X25519", "P-256", "P-384", "P-521"),
    ):
        options = ("-ciphersuites", suite, "-groups", curve)
        assert spoken(running.port, *options) == f"New, TLSv1.3, Cipher is {suite}", curve
    assert level == "C" or faults_found(running, papers) == []
    print(f"\nrow 26: {VARIANTS[level]} old greetings and {len(list(asked_by_openssl()))} of OpenSSL refused")


def test_control_a_server_that_allows_1_2_is_noticed(tmp_path: Path) -> None:
    with planted(ROOT / "src", ALLOW_1_2) as sources, served(tmp_path, sources) as (running, _):
        by_hand, by_openssl = greeted_of(running.port, VARIANTS["C"]), old_and_spoken(running.port, "-tls1_2")
    print(f"control of row 26: {len(by_hand)} of our greetings and {len(by_openssl)} of OpenSSL's are answered")
    assert len(by_hand) >= 3
    assert len(by_openssl) >= 3


def test_the_old_greetings_are_real_ones(tmp_path: Path, level: Literal["C", "N"]) -> None:
    """A server that allows everything which this machine's OpenSSL still knows takes a good part of them."""
    papers = Papers(tmp_path / "papers")
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lenient.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    lenient.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    lenient.load_cert_chain(papers.certificate, papers.folder / "key.pem")
    taken = 0
    for one in old_variants(VARIANTS[level]):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(one.data)
        with suppress(ssl.SSLError):
            lenient.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        taken += greeted(outgoing.read())
    assert taken >= VARIANTS[level] // 4


def faults_found(running: Service, papers: Papers) -> list[str]:
    """What OpenSSL's client, sslyze and testssl.sh find wrong."""
    told = papers.folder / "found.json"
    script = [sys.executable, str(ROOT / "bench" / "scan_tls.py"), "--connect", f"localhost:{running.port}"]
    done = subprocess.run([*script, "--ca", str(papers.ca), "--json", str(told)], timeout=1_200, check=False)
    verdicts = json.loads(told.read_text())
    assert {verdict["tool"] for verdict in verdicts} == {"openssl", "sslyze", "testssl.sh"}
    faults = [
        f"{verdict['tool']}, {verdict['what']}: {verdict['found']}" for verdict in verdicts if not verdict["good"]
    ]
    assert done.returncode == bool(faults)
    return faults


# ------------------------------------------------------------------------------------ half-done handshakes


async def seconds_until_closed(port: int, *parts: bytes, pause_s: float = 0.0) -> float:
    """How long the server waits for somebody who says this, one part after the other. Raises TimeoutError."""
    started_s = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def talk() -> None:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)

    talking = asyncio.create_task(talk())
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE_S):
            while await reader.read(1 << 16):
                pass
    talking.cancel()
    writer.close()
    return time.monotonic() - started_s


async def half_done(port: int) -> list[float]:
    """Handshakes that stop somewhere, all at once; the seconds that each was given."""
    greeting = modern().record()
    dice = random.Random(26)
    halves = [greeting[: dice.randrange(1, len(greeting))] for _ in range(20)]
    return await asyncio.gather(
        seconds_until_closed(port),
        *(seconds_until_closed(port, half) for half in halves),
        seconds_until_closed(port, *(bytes([byte]) for byte in greeting), pause_s=0.3),
        *(seconds_until_closed(port, greeting) for _ in range(20)),
        seconds_until_closed(port, greeting, b"\x14\x03\x03\x00\x01\x01"),
        seconds_until_closed(port, greeting, dice.randbytes(500)),
        seconds_until_closed(port, dice.randbytes(500)),
    )


async def test_half_done_handshakes_are_ended(usual: tuple[Service, Papers]) -> None:
    running, _ = usual
    took_s = await half_done(running.port)
    assert await asyncio.to_thread(serial_of, running.port), "and a whole one is welcome"
    print(f"\nrow 26: {len(took_s)} half-done handshakes ended, the last after {max(took_s):.1f} s")


# ------------------------------------------------------------------------------------------ new certificates


def serial_of(port: int) -> int:
    """The certificate that a new handshake shows."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=DEADLINE_S)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def shown(port: int, serial: int) -> None:
    """Return when every worker shows this certificate. Raises AssertionError when that takes too long."""
    deadline_s = time.monotonic() + DEADLINE_S
    in_a_row = 0
    while in_a_row < LOOKS:
        in_a_row = in_a_row + 1 if await asyncio.to_thread(serial_of, port) == serial else 0
        assert time.monotonic() < deadline_s, f"after {DEADLINE_S} s the new certificate is not shown by all"


async def renewed_under_load(running: Service, papers: Papers, reloads: int, streams: int) -> tuple[list[Seen], int]:
    """What streams and whole answers saw while certificates came and went, and the connections that they needed."""
    seen: list[Seen] = []
    over = asyncio.Event()
    async with Caller(running.port, running.api_key, papers.trusting()) as caller:

        async def ask_again(number: int) -> None:
            while not over.is_set():
                body = chat(f"@tokens={TOKENS} @gap_ms=20 number {number}", stream=number % 3 > 0)
                seen.append(await caller.ask("/v1/chat/completions", body))

        asking = [asyncio.create_task(ask_again(number)) for number in range(streams)]
        for number in range(reloads):
            serial = papers.renew()
            running.signal(signal.SIGHUP)
            await shown(running.port, serial)
            if number % 2:
                await refused_by_name(running, papers)
                await shown(running.port, serial)
            while len(seen) < (number + 1) * streams:  # noqa: ASYNC110 - about as often as each has asked once more
                await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*asking)
        return seen, caller.opened


async def refused_by_name(running: Service, papers: Papers) -> None:
    """Whatever is wrong with the files, the log says which."""
    name = str(papers.certificate)
    for _ in papers.spoil():
        named = running.complained().count(name)
        running.signal(signal.SIGHUP)
        more = partial(lambda before: running.complained().count(name) > before, named)
        await asyncio.to_thread(wait_until, more, "the log names the file", DEADLINE_S)


def failed(seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if not one.answered or (one.stream and one.tokens != TOKENS)]


async def test_a_new_certificate_drops_nothing(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with served(tmp_path, workers=2) as (running, papers):
        seen, opened = await renewed_under_load(running, papers, RELOADS[level], STREAMS[level])
        assert failed(seen)[:3] == []
        assert opened == STREAMS[level], "a connection was not kept over a new certificate"
        assert running.check() == []
    print(f"\nrow 26: {RELOADS[level]} certificates under {len(seen)} requests on {opened} connections, none failed")


async def test_control_a_certificate_that_drops_connections_is_noticed(tmp_path: Path) -> None:
    with planted(ROOT / "src", DROP_ALL) as sources, served(tmp_path, sources) as (running, papers):
        seen, opened = await renewed_under_load(running, papers, 1, 6)
    print(f"control of row 26: {len(failed(seen))} of {len(seen)} requests failed, on {opened} connections")
    assert failed(seen)
    assert opened > 6
