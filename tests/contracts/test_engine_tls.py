"""Engines by `https://`: they keep every promise over mutual TLS, and one that is not believed is not there."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvloop

from parvis.adapters.certificates.authority import Identity, new_authority, server_names, sign_client, sign_server
from parvis.adapters.engines import upstream
from parvis.adapters.engines.openai_http import HttpEngine
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.replica import EngineKind, TlsFiles
from parvis.testing import engine_suite as suite
from parvis.testing.caller import chat
from parvis.testing.engine_bench import Bench, ask, elsewhere
from parvis.testing.engine_servers import FAKE_GAPS, fake_bench, keep
from parvis.testing.processes import EngineTls, FakeEngineProcess, fake_engine
from parvis.testing.service import NotStartedError, served_by, service

HERE = "127.0.0.1"
NOW = datetime.now(UTC)


class Papers(NamedTuple):
    """A folder in which an authority has signed servers and clients."""

    folder: Path
    authority: Identity

    @property
    def ca(self) -> Path:
        return self._kept("ca", self.authority)[0]

    def server(self, *hosts: str, now: datetime = NOW) -> EngineTls:
        signed = sign_server(self.authority, server_names(hosts), now, 1)
        return EngineTls(*self._kept("server-" + "-".join(hosts) + f"-{now:%d}", signed))

    def client(self) -> TlsFiles:
        """What a gateway has that this authority's engines know."""
        certificate, key = self._kept("client", sign_client(self.authority, "gateway", NOW, 1))
        return TlsFiles(str(self.ca), str(certificate), str(key))

    def _kept(self, name: str, identity: Identity) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(identity.certificate_pem())
        key.write_bytes(identity.key_pem())
        return certificate, key


def papers(folder: Path) -> Papers:
    return Papers(folder, new_authority("an authority", NOW - timedelta(days=10)))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return papers(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return papers(tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="module")
def mutual(ours: Papers) -> Iterator[Bench]:
    tls = ours.server(HERE)._replace(client_ca=ours.ca)
    with fake_bench(EngineKind.VLLM, "vllm", tls, ours.client()) as bench:
        yield bench


@pytest.mark.parametrize("promise", [p for p in suite.PROMISES if p not in FAKE_GAPS], ids=lambda p: p.__name__)
def test_every_promise_is_kept_over_mutual_tls(promise: suite.Promise, mutual: Bench) -> None:
    keep(promise, mutual)


def test_an_engine_that_dies_is_noticed(ours: Papers) -> None:
    for promise in suite.LAST_PROMISES:
        with fake_bench(EngineKind.VLLM, "vllm", ours.server(HERE), TlsFiles(str(ours.ca))) as bench:
            keep(promise, bench)


def refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> str:
    """Why an engine is not believed, as the log says; its caller hears nothing of it."""

    async def asked() -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        for fields in ({}, {"stream": True}):
            with pytest.raises(EngineUnavailable) as failure:
                await ask(engine, bench.chat("Hello.", **fields))
            assert "TLS" not in str(failure.value)
            assert "certificate" not in str(failure.value)
        engine.close()
        await asyncio.sleep(0.01)

    caplog.clear()
    with caplog.at_level(logging.WARNING):
        uvloop.run(asyncio.wait_for(asked(), 30))
    [told] = [record.__dict__ for record in caplog.records]  # the same reason twice is told once
    assert told["replica"] == "replica"
    return str(told["reason"])


class Case(NamedTuple):
    """An engine, what we have been told to believe of it, and why it does not fit."""

    tls: EngineTls
    files: TlsFiles
    reason: str


def cases(ours: Papers, others: Papers) -> Iterator[Case]:
    trusting, right = TlsFiles(str(ours.ca)), ours.server(HERE)
    yield Case(right, TlsFiles(str(others.ca)), "unable to get local issuer certificate")
    yield Case(right, TlsFiles(), "unable to get local issuer certificate")
    yield Case(ours.server("10.0.0.1", "localhost"), trusting, "IP address mismatch")
    yield Case(ours.server(HERE, now=NOW - timedelta(days=3)), trusting, "certificate has expired")
    yield Case(right._replace(client_ca=ours.ca), trusting, "does it demand a tls_cert?")
    strange = replace(others.client(), authority=str(ours.ca))
    yield Case(right._replace(client_ca=ours.ca), strange, "does it demand a tls_cert?")
    yield Case(right._replace(version_max="1.2"), trusting, "does it speak an older TLS only (tls_min)?")
    yield Case(right, TlsFiles(str(ours.folder / "none.pem")), "No such file or directory")


def test_an_engine_that_is_not_believed_is_not_there(
    ours: Papers, others: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    for case in cases(ours, others):
        with fake_bench(EngineKind.VLLM, "vllm", case.tls, case.files) as bench:
            assert case.reason in refused(bench, caplog)
            assert bench.running() == 0


def test_an_older_engine_is_believed_when_told_so(ours: Papers) -> None:
    tls, files = ours.server(HERE)._replace(version_max="1.2"), TlsFiles(str(ours.ca), version_min="1.2")
    with fake_bench(EngineKind.VLLM, "vllm", tls, files) as bench:
        keep(suite.a_chat_is_streamed, bench)


def test_an_engine_that_speaks_no_tls_is_not_there(ours: Papers, caplog: pytest.LogCaptureFixture) -> None:
    with fake_bench(EngineKind.VLLM, "vllm", None, TlsFiles(str(ours.ca))) as bench:
        address = bench.replica.address.replace("http:", "https:")
        moved = replace(bench, replica=replace(bench.replica, address=address))
        assert "wrong version number" in refused(moved, caplog)


def test_a_handshake_that_hangs_is_given_up(
    mutual: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "CONNECT_S_MAX", 0.3)
    with socket.create_server((HERE, 0)) as silent:
        address = f"https://{HERE}:{silent.getsockname()[1]}"
        bench = replace(mutual, replica=replace(mutual.replica, address=address))
        assert refused(bench, caplog) == "it did not answer in time"
        for _ in range(2):
            peer, _ = silent.accept()
            with peer:
                peer.settimeout(10)
                while peer.recv(1 << 16):  # what we said; then we left
                    pass


def test_new_files_are_used_after_a_renewal(ours: Papers, others: Papers, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(others.ca.read_bytes())

    async def renewed(bench: Bench) -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        with pytest.raises(EngineUnavailable):
            await ask(engine, bench.chat("Hello."))
        for trusted in (ours.ca.read_bytes(), b"half a file"):  # files that cannot be used change nothing
            ca.write_bytes(trusted)
            await engine.renew()
            await ask(engine, bench.chat("Hello."))
        engine.close()
        await asyncio.sleep(0.01)

    with fake_bench(EngineKind.VLLM, "vllm", ours.server(HERE), TlsFiles(str(ca))) as bench:
        uvloop.run(asyncio.wait_for(renewed(bench), 30))


def test_a_replica_that_moves_is_followed(ours: Papers, mutual: Bench) -> None:
    async def moving(bench: Bench, other: Bench) -> None:
        engine = HttpEngine(asyncio.get_running_loop())
        job = bench.chat("Hello.")
        await ask(engine, job)
        await ask(engine, elsewhere(job, other.replica.address))
        await ask(engine, job)
        engine.close()
        await asyncio.sleep(0.01)

    with fake_bench(EngineKind.VLLM, "vllm", ours.server(HERE), ours.client()) as other:
        uvloop.run(asyncio.wait_for(moving(mutual, other), 30))


def engine_settings(engine: FakeEngineProcess, model: str, files: TlsFiles) -> dict[str, Any]:
    paths = {"tls_ca": files.authority, "tls_cert": files.certificate, "tls_key": files.key}
    given = {name: path for name, path in paths.items() if path}
    return served_by(engine, model=model, engine_model="fake-8b", **given)


def test_a_service_asks_those_that_it_believes(ours: Papers, others: Papers, tmp_path: Path) -> None:
    """Whole and streamed; who cannot be believed is away for the caller, and named in the log for the operator."""
    with fake_engine(tls=ours.server(HERE)._replace(client_ca=ours.ca)) as engine:
        engines = {
            "near": engine_settings(engine, "near-8b", ours.client()),
            "far": engine_settings(engine, "far-8b", TlsFiles(str(others.ca))),
        }
        with service(tmp_path / "home", engines=engines) as running:

            def asked(model: str, *, stream: bool) -> httpx.Response:
                body = chat("@tokens=20 Hello.", model=model, stream=stream)
                key = {"authorization": f"Bearer {running.api_key}"}
                url = f"{running.base_url}/chat/completions"
                return httpx.post(url, json=body, headers=key, timeout=30, trust_env=False)

            for stream in (False, True):
                good, bad = asked("near-8b", stream=stream), asked("far-8b", stream=stream)
                assert good.status_code == 200
                assert good.text.endswith("data: [DONE]\n\n") == stream
                assert (bad.status_code, bad.json()["error"]["code"]) == (503, "engine_unavailable")
                assert "certificate" not in bad.text
            told = [json.loads(line) for line in running.complained().splitlines()]  # by the gateway, and by control
            reason = "self-signed certificate in certificate chain"
            assert {(one["replica"], one["reason"]) for one in told} == {("far-0", reason)}
        assert len(engine.ended()) == 2


def test_a_start_is_refused_without_the_files_of_an_engine(ours: Papers, tmp_path: Path) -> None:
    far = {"kind": "vllm", "model": "far-8b", "addresses": ["https://10.0.0.1"], "tls_ca": str(tmp_path / "none.pem")}
    with pytest.raises(NotStartedError) as refused, service(tmp_path / "home", engines={"far": far}):
        pass
    assert f"tls_ca = {tmp_path}/none.pem cannot be used: No such file or directory." in refused.value.said
