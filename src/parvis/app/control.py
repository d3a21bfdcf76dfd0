"""The control process: the console and operator APIs, leases, ingest. Starts with `python -m parvis.app.control`."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from parvis.adapters.journal.reader import runs
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.messages import Counted
from parvis.adapters.store.store import SqlStore
from parvis.adapters.telemetry.exposition import Exposition
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.api.console.app import make_app as make_console
from parvis.api.console.desk import ConsoleDesk
from parvis.api.operator.app import make_app as make_operator
from parvis.api.operator.desk import OperatorDesk
from parvis.app.child import die_with_parent, report, stop_when_told
from parvis.app.opening import pepper_of
from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, Misconfigured
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.flows.ingest import Ingest
from parvis.settings import Settings, load

INGEST_INTERVAL_S = 0.05
LAST_INGEST_S_MAX = 20.0
MS_PER_S = 1000
LONGEST_TIMER_S = 86_400.0
_log = logging.getLogger("parvis.control")


class Control:
    """Owns the store, the link and the way of journals into the ledger."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pepper = pepper_of(settings)
        self._store = SqlStore(settings.store_url)
        self._clock = SystemClock()
        self._metrics = Exposition()
        self._own_replicas: tuple[Replica, ...] = ()
        self._given_replicas = given_replicas(settings)
        self._ingests: dict[str, Ingest] = {}
        self._link = ControlLink(self._pepper, self._grant, self._counted, self._metrics.gone, self._replicas_are)
        self._servers: list[uvicorn.Server] = []
        self._announcing = asyncio.Lock()
        self._next_prices: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, console: socket, operator: socket, stop: asyncio.Event) -> None:
        """Serve until `stop`; then book what the gateways wrote last, and end."""
        await self._store.open()
        await self.announce()
        await self._link.start(bind_link(self._settings.home / "run" / "control.sock"))
        apps = ((make_console(self._console_desk()), console), (make_operator(self._operator_desk()), operator))
        serving = [asyncio.ensure_future(self._serve(app, sock)) for app, sock in apps]
        ingesting = asyncio.ensure_future(self._ingest_for_ever())
        while not all(server.started for server in self._servers):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        report({"ready": True})
        await stop.wait()
        ingesting.cancel()
        await asyncio.gather(ingesting, return_exceptions=True)
        await self._ingest_the_rest()
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*serving)
        self._link.close()
        await self._store.close()

    async def announce(self) -> None:
        """Tell every gateway what has changed, and once more when the next price list comes into force."""
        async with self._announcing:
            keys, models, prices = await self._store.keys(), await self._store.models(), await self._store.prices()
            replicas = (*self._given_replicas, *self._own_replicas)
            self._link.publish(keys, models, prices, replicas)
        self._metrics.set("parvis_replicas_ready", len(replicas))
        now = self._clock.unix_ms()
        later = [p.valid_from_unix_ms - now for p in prices if p.valid_from_unix_ms > now]
        if self._next_prices is not None:
            self._next_prices.cancel()
        if later:
            wait_s = min(min(later) / MS_PER_S, LONGEST_TIMER_S)
            self._next_prices = asyncio.get_running_loop().call_later(wait_s, self._announce_soon)

    def _announce_soon(self) -> None:
        task = asyncio.ensure_future(self.announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def status(self) -> dict[str, Any]:
        """What runs now."""
        replicas = (*self._given_replicas, *self._own_replicas)
        return {
            "ready": bool(self._link.gateways and replicas),
            "gateways": self._link.gateways,
            "open_runs": sorted(self._ingests),
            "open_requests": sum(ingest.open_count for ingest in self._ingests.values()),
            "replicas": [
                {"id": r.replica_id, "engine": r.engine, "kind": r.kind, "address": r.address, "state": r.state}
                for r in replicas
            ],
        }

    async def _serve(self, app: FastAPI, sock: socket) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False)
        server = uvicorn.Server(config)
        self._servers.append(server)
        # Signals are ours: uvicorn would take them for itself.
        await server._serve([sock])  # noqa: SLF001 - `serve` is this plus signal handlers

    # Leases and what the link tells

    async def _grant(self, tenant_id: str, incarnation: str, amount: Money, ask: str) -> Money:
        return await self._store.grant_lease(tenant_id, incarnation, amount, ask)

    def _counted(self, gateway: str, counted: Counted) -> None:
        self._metrics.add(gateway, counted.counters, counted.gauges)

    def _replicas_are(self, replicas: tuple[Replica, ...]) -> None:
        self._own_replicas = replicas
        self._announce_soon()

    # Ingest

    async def _ingest_for_ever(self) -> None:
        while True:
            await self._ingest_once()
            await asyncio.sleep(INGEST_INTERVAL_S)

    async def _ingest_once(self) -> None:
        for reader in await asyncio.to_thread(runs, self._settings.home / "journal"):
            self._ingests.setdefault(reader.incarnation, Ingest(reader, self._store, self._metrics.booked))
        for incarnation, ingest in list(self._ingests.items()):
            try:
                ended = await ingest.step()
            except Failure as failure:
                # The journal keeps it; the next round tries again.
                _log.error("usage cannot be booked", extra={"incarnation": incarnation, "kind": failure.code})
                await asyncio.sleep(1.0)
                continue
            if ended:
                del self._ingests[incarnation]
        self._metrics.set("parvis_open_runs", len(self._ingests))

    async def _ingest_the_rest(self) -> None:
        """The gateways have ended: their journals can be read to the end."""
        deadline_s = asyncio.get_running_loop().time() + LAST_INGEST_S_MAX
        await self._ingest_once()
        while self._ingests and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(INGEST_INTERVAL_S)
            await self._ingest_once()

    # Desks

    def _console_desk(self) -> ConsoleDesk:
        return ConsoleDesk(
            store=self._store,
            pepper=lambda: self._pepper,
            clock=self._clock,
            listen_host=self._settings.console.host,
        )

    def _operator_desk(self) -> OperatorDesk:
        return OperatorDesk(
            store=self._store,
            token=operator_token(self._settings.home),
            pepper=lambda: self._pepper,
            clock=self._clock,
            randomness=os.urandom,
            announce=self.announce,
            metrics=self._metrics.text,
            status=self.status,
            listen_host=self._settings.operator.host,
        )


def given_replicas(settings: Settings) -> tuple[Replica, ...]:
    """One replica for each address of the settings. Taken as ready: who does not answer is passed over."""
    return tuple(
        Replica(f"{name}-{place}", name, engine.kind, address, ReplicaState.READY, _engine_key(engine.api_key_file))
        for name, engine in settings.engines.items()
        for place, address in enumerate(engine.addresses)
    )


def operator_token(home: Path) -> Secret:
    """The credential of the operator's API, as the first start wrote it."""
    return Secret((home / "operator.token").read_text().strip(), "operator token")


def _engine_key(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as problem:
        raise Misconfigured(f"The engine's key file {path} cannot be read: {problem.strerror}.") from None


async def _main(settings: Settings, console: int, operator: int) -> None:
    stop = asyncio.Event()
    stop_when_told(asyncio.get_running_loop(), stop.set)
    await Control(settings).run(socket(fileno=console), socket(fileno=operator), stop)


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    try:
        asyncio.run(_main(load(), int(sys.argv[1]), int(sys.argv[2])))
    except Misconfigured as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
