"""The gateway process: the inference listener and nothing else. Starts with `python -m parvis.app.gateway`.

It never opens the database: what it must know comes over the link, what it did goes into its journal.
"""

import asyncio
import gc
import signal
import ssl
import sys
from collections.abc import Collection
from functools import partial
from pathlib import Path
from socket import socket

import uvloop

from parvis.adapters.engines.openai_http import HttpEngine
from parvis.adapters.journal.writer import FileJournal
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.adapters.link.messages import Counted
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.adapters.telemetry.refusals import RefusalLog
from parvis.adapters.telemetry.tally import Tally
from parvis.api.inference.call import Call
from parvis.api.inference.desk import Desk
from parvis.api.inference.listener import Listener
from parvis.api.inference.routes import dispatch
from parvis.app.child import Parent, Word, die_with_parent, first_word, report, settings_of
from parvis.app.explaining import explained_by
from parvis.app.limits import listener_limits
from parvis.app.memory import keep_freed_memory
from parvis.app.queueing import Queueing
from parvis.app.scorer import scorer_of
from parvis.app.tls import server_context
from parvis.app.watch import Watch
from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, Misconfigured, NotAuthenticated
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.flows.directory import SnapshotDirectory
from parvis.flows.fleet import LocalFleet
from parvis.flows.ports import House, Snapshot
from parvis.flows.prompt_count import PromptCount
from parvis.flows.purse import TEND_S, LeasedPurse
from parvis.flows.quota import LeasedQuota
from parvis.flows.scarcity import Scarcity
from parvis.flows.standing import Standing
from parvis.flows.throttle import LeasedThrottle
from parvis.settings import Inference, Settings

COUNT_INTERVAL_S = 1.0
USES_INTERVAL_S = 3.0
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
        self._directory = SnapshotDirectory(clock, tells_forbidden=tells_forbidden(settings.inference))
        self._link = GatewayLink(control_socket(settings), incarnation, clock.unix_ms, self._learn, self._forget)
        self._link.client.on_lost = self._directory.lose_control
        self._standing = Standing(clock)
        routing = settings.routing
        index_bytes = routing.index_mb * 1_000_000
        bounds = settings.queue.bounds
        self._fleet = LocalFleet(
            clock, routing.weights, standing=self._standing, bounds=bounds, index_bytes=index_bytes
        )
        self._fleet.hedge_after_s = routing.hedge_after_ms / 1000
        self._standing.breaks = routing.circuit_breaker
        self._queueing = Queueing(self._fleet, self._link.slots)
        self._tally = Tally()
        self._engine = HttpEngine(loop)
        self._watch = Watch(self._standing, self._engine, self._fleet, clock, self._link.tell_seen)
        self._watch.stall_s_max = settings.routing.stall_s_max
        self._throttle = LeasedThrottle(self._link.rates, clock)
        self._purse = LeasedPurse(self._link, Money.euro(settings.money.lease_euro))
        self._link.on_recall = self._purse.recall
        self._link.explain = partial(explained_by, self._fleet)
        self._link.on_loads = self._fleet.learn_loads
        self._link.on_company = self._fleet.learn_company
        counter = PromptCount(self._fleet, self._engine.tokenizer)
        scarcity = Scarcity(self._purse, self._directory.limits, counter)
        quota = LeasedQuota(self._purse, self._throttle, scarcity, clock)
        engine, scorer = self._engine, scorer_of(settings)
        house = House(self._directory, quota, self._fleet, self._journal, engine, clock, scorer, engine.meter)
        self._desk = Desk(house, self._tally, self._link.claims)
        limits = listener_limits(settings.inference)
        self._refusals = RefusalLog(clock.monotonic_s)
        self._listener = Listener(partial(dispatch, self._desk), limits, loop, clock.unix_ms, self._refused)
        self._leaving = asyncio.Event()
        self._followed = False
        self._hurrying: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Drain and end. Nobody may follow: who is silent is not waited for, by a drain that has begun neither."""
        if self._leaving.is_set() and self._hurrying is None:
            self._hurrying = self._loop.create_task(self._listener.drain(self._settings.inference.drain_s_max))
        self._leaving.set()

    def retire(self) -> None:
        """Drain patiently and end: a successor accepts on the same socket."""
        if not self._leaving.is_set():
            self._followed = True
            self._leaving.set()

    async def answer(self, asked: Word) -> Word:
        """What the supervisor asks while we serve. Raises Misconfigured, and then nothing has changed."""
        match asked["do"]:
            case "settings":
                await self._renew(settings_of(asked["settings"]))
                return {}
            case "uses":
                return {"uses": self._fleet.uses(asked["replica"])}
            case unknown:
                raise Misconfigured(f"A gateway does not understand '{unknown}'.")

    async def run(self, sock: socket) -> None:
        """Serve until told to leave, then drain: answers under way finish, their usage is durable, then we end."""
        tasks = [
            self._loop.create_task(self._link.client.keep_connected()),
            self._loop.create_task(self._count_for_ever()),
            self._loop.create_task(self._tell_uses_for_ever()),
            self._loop.create_task(self._tend_purse_for_ever()),
            self._loop.create_task(self._watch.run()),
        ]
        await self._known.wait()
        await self._listener.start(sock, tls_of(self._settings.inference))
        report({"ready": True})
        await self._leaving.wait()
        report({"leaving": True})
        await self._drain(sock)
        await self._journal.end()
        self._engine.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._send_counts()
        self._tell_uses()
        self._purse.give_back_all()
        await self._link.client.hang_up()

    async def _drain(self, sock: socket) -> None:
        """Our copy of the socket goes at once: when no successor has one, who calls is told so instead of waiting."""
        inference = self._settings.inference
        draining = self._loop.create_task(self._listener.drain(inference.drain_s_max, patient=self._followed))
        await asyncio.sleep(0)  # by now it has stopped accepting
        sock.close()
        await draining

    async def _renew(self, settings: Settings) -> None:
        """New connections find the new settings; nothing that runs notices. Certificates are read anew in any case."""
        self._listener.renew(tls_of(settings.inference), listener_limits(settings.inference))
        self._directory.tells_forbidden = tells_forbidden(settings.inference)
        self._settings = settings
        self._fleet.renew(settings.routing.weights, settings.queue.bounds)
        self._fleet.hedge_after_s = settings.routing.hedge_after_ms / 1000
        self._standing.breaks = settings.routing.circuit_breaker
        self._watch.stall_s_max = settings.routing.stall_s_max
        await self._engine.renew()

    def _learn(self, snapshot: Snapshot) -> None:
        self._directory.load(snapshot)
        self._throttle.learn(snapshot.limits)
        self._fleet.load(snapshot.replicas)
        self._known.set()

    def _forget(self, key_ids: Collection[str] | None) -> None:
        """See `SnapshotDirectory.forget`."""
        self._directory.forget(key_ids)
        if key_ids is None:
            self._throttle.forget()

    async def _count_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COUNT_INTERVAL_S)
            self._send_counts()
            self._link.slots.tell()
            self._link.client.drop_if_silent()

    async def _tell_uses_for_ever(self) -> None:
        while True:
            await asyncio.sleep(USES_INTERVAL_S)
            self._tell_uses()

    async def _tend_purse_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            if self._link.client.connected:
                self._purse.tend()

    def _tell_uses(self) -> None:
        """While control is away they are kept: the last of each secret, however long."""
        if self._link.client.connected:
            self._link.tell_uses(self._directory.take_uses())

    def _refused(self, failure: Failure, call: Call) -> None:
        self._tally.refused(failure.code)
        if isinstance(failure, NotAuthenticated):
            self._refusals.tell(failure, call.request_id, call.address)

    def _send_counts(self) -> None:
        if not self._link.client.connected:
            return
        gauges: list[tuple[str, tuple[str, ...], int]] = [
            ("parvis_in_flight", (), self._fleet.in_flight),
            ("parvis_connections", (), self._listener.connections),
            ("parvis_rates_divided", (), int(self._throttle.divided)),
            *self._queueing.gauges(),
        ]
        counts = self._tally.take() + self._standing.take_counts() + self._queueing.take_waits()
        self._link.client.send(Counted(counts, gauges))


def control_socket(settings: Settings) -> Path:
    """Where gateways and the supervisor find control on this machine."""
    return settings.home / "run" / "control.sock"


def tells_forbidden(inference: Inference) -> bool:
    """Whether callers learn that a model exists which their key may not use."""
    return inference.forbidden_model == "403"


def tls_of(inference: Inference) -> ssl.SSLContext | None:
    """What the listener speaks; None without TLS. Raises Misconfigured."""
    return server_context(inference.tls_cert, inference.tls_key) if inference.tls_cert else None


async def _main(settings: Settings, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    gateway = Gateway(settings, loop)
    Parent(loop, gateway.stop, gateway.answer).hear()
    loop.add_signal_handler(signal.SIGUSR1, gateway.retire)
    await gateway.run(socket(fileno=descriptor))


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        uvloop.run(_main(settings_of(first_word()["settings"]), int(sys.argv[1])))
    except Misconfigured as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
