"""The gateway process: the inference listener and nothing else. Starts with `python -m parvis.app.gateway`.

It never opens the database: what it must know comes over the link, what it did goes into its journal.
"""

import asyncio
import gc
import sys
from functools import partial
from pathlib import Path
from socket import socket

import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.journal.writer import FileJournal
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.messages import Counted
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.adapters.telemetry.tally import Tally
from parvis.api.inference.desk import Desk
from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.listener import Listener
from parvis.api.inference.routes import dispatch
from parvis.app.child import die_with_parent, report, stop_when_told
from parvis.app.tls import server_context
from parvis.core.clock import SystemClock
from parvis.core.errors import Misconfigured
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.flows.directory import SnapshotDirectory
from parvis.flows.fleet import LocalFleet
from parvis.flows.ports import House, Snapshot
from parvis.flows.purse import LeasedPurse
from parvis.settings import Settings, load

COUNT_INTERVAL_S = 1.0
SWITCH_INTERVAL_S = 0.0005
"""How long the loop may keep the interpreter from the journal's thread, which waits for it after each sync."""

COLLECT_AFTER = (50_000, 20, 50)
"""Requests leave few cycles behind, so looking for them often costs more than it frees."""


class Gateway:
    """One run of the process: an incarnation with its own journal."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        clock = SystemClock()
        incarnation = new_id("gw", clock.unix_ms())
        self._journal = FileJournal(settings.home / "journal" / incarnation, loop)
        self._known = asyncio.Event()
        self._link = GatewayLink(control_socket(settings), incarnation, clock.unix_ms, self._learn)
        self._directory = SnapshotDirectory(clock)
        self._link.client.on_lost = self._directory.lose_control
        self._fleet = LocalFleet()
        self._tally = Tally()
        self._engine = HttpEngine(loop)
        purse = LeasedPurse(self._link, Money.euro(settings.money.lease_euro))
        self._desk = Desk(House(self._directory, purse, self._fleet, self._journal, self._engine, clock), self._tally)
        self._listener = Listener(
            partial(dispatch, self._desk), ListenerLimits(), loop, clock.unix_ms, self._tally.refused
        )

    async def run(self, sock: socket, stop: asyncio.Event) -> None:
        """Serve until `stop`, then drain: answers under way finish, their usage is durable, then we end."""
        tasks = [
            self._loop.create_task(self._link.client.keep_connected()),
            self._loop.create_task(self._count_for_ever()),
        ]
        await self._known.wait()
        inference = self._settings.inference
        tls = server_context(inference.tls_cert, inference.tls_key) if inference.tls_cert else None
        await self._listener.start(sock, tls)
        report({"ready": True})
        await stop.wait()
        await self._listener.drain(inference.drain_s_max)
        await self._journal.end()
        self._send_counts()
        self._engine.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _learn(self, snapshot: Snapshot) -> None:
        self._directory.load(snapshot)
        self._fleet.load(snapshot.replicas)
        self._known.set()

    async def _count_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COUNT_INTERVAL_S)
            self._send_counts()

    def _send_counts(self) -> None:
        if not self._link.client.connected:
            return
        gauges: list[tuple[str, tuple[str, ...], int]] = [
            ("parvis_in_flight", (), self._fleet.in_flight),
            ("parvis_connections", (), self._listener.connections),
        ]
        self._link.client.send(Counted(self._tally.take(), gauges))


def control_socket(settings: Settings) -> Path:
    """Where gateways and the supervisor find control on this machine."""
    return settings.home / "run" / "control.sock"


async def _main(settings: Settings, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    stop_when_told(loop, stop.set)
    await Gateway(settings, loop).run(socket(fileno=descriptor), stop)


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        uvloop.run(_main(load(), int(sys.argv[1])))
    except Misconfigured as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
