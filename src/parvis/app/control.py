"""The control process: the console and operator APIs, leases, ingest. Starts with `python -m parvis.app.control`.

Two may live at a time, while one version of the service takes over from another; one of them acts, and holds
`run/control.lock`, and the other rests.
"""

import asyncio
import fcntl
import gc
import logging
import os
import ssl
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Any

import msgspec

from parvis.adapters.journal.reader import runs
from parvis.adapters.link.claims import ControlClaims
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.messages import Backlog, Counted, SeatSeen
from parvis.adapters.link.shipping import ShippedRun
from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.adapters.telemetry.exposition import Exposition
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.api.console.app import make_app as make_console
from parvis.api.console.desk import ConsoleDesk
from parvis.api.operator.app import make_app as make_operator
from parvis.api.operator.desk import OperatorDesk
from parvis.app.announcing import Announcer
from parvis.app.cache_book import CacheBook
from parvis.app.child import Parent, Word, die_with_parent, first_word, report, settings_of
from parvis.app.deployed import Deployed, given_deployments
from parvis.app.engine_desk import EngineDesk
from parvis.app.fleet_seen import FleetBook
from parvis.app.fleet_view import FleetView
from parvis.app.openid import openid_house
from parvis.app.opening import people_seal_key_of, pepper_of, signer_of
from parvis.app.post_office import money_notices, post_office
from parvis.app.press import LazyPress
from parvis.app.rates import Rates
from parvis.app.remotes import Remotes
from parvis.app.replicas import given_replicas
from parvis.app.scorer import scorer_of
from parvis.app.sealing import Sealing
from parvis.app.slots import SlotSharing
from parvis.app.ticker import Ticker
from parvis.app.web_listeners import Served, WebListeners, web_context
from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, Misconfigured
from parvis.core.secret import Secret
from parvis.domain.fleet.demand import can_serve
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.site import Site
from parvis.domain.metering.records import UsageRecord
from parvis.flows.bookkeeping import Bookkeeper
from parvis.flows.claims import ClaimBook
from parvis.flows.deployments import Depot, Seen, takes_requests
from parvis.flows.ingest import Ingest
from parvis.flows.lending import Lender
from parvis.flows.lobby import Proofs
from parvis.flows.ports import KeyUse
from parvis.flows.receipts import Notary
from parvis.settings import Settings, WebListener

INGEST_INTERVAL_S = 0.05
LAST_INGEST_S_MAX = 20.0
LOCK_POLL_S = 0.02
_log = logging.getLogger("parvis.control")


class Control:
    """Owns the store, the link and the way of journals into the ledger."""

    def __init__(self, settings: Settings, replicas: tuple[Replica, ...], console: socket, operator: socket) -> None:
        self._settings = settings
        self._sockets = (console, operator)
        self._pepper = pepper_of(settings)
        self._people_seal_key = people_seal_key_of(settings)
        self._passwords = Argon2Passwords()
        self._store = SqlStore(settings.store_url)
        self._clock = SystemClock()
        self._metrics = Exposition()
        self._own_replicas = replicas
        self._given_replicas = given_replicas(settings)
        self._ingests: dict[str, Ingest] = {}
        self._lender = Lender(self._store, lambda: self._link.gateways, self._recall)
        self._fleet = FleetBook()
        self._link = ControlLink(self._pepper, self._lender.lend, self._counted, self._gone, self._used)
        self._link.seen = self._seen
        self._link.returned = self._lender.returned
        self._remotes = Remotes(settings, self._store, self._clock, self._link, self._arrived)
        self._deployed = Deployed(
            settings.home, self._store, self._clock, self._machine_replicas, self._requests_on, self.announce
        )
        self._deployed.ray_address = settings.ray.address
        self._view = FleetView(self._clock, self._fleet, lambda: self._deployed.replicas)
        self._link.backlog = self._backlog
        self._announcer = Announcer(self._store, self._link, lambda: self._deployed.told)
        self._post_office = post_office(settings, self._store, self._clock)
        self._claims = ClaimBook(self._store, self._post_office.vault, self._pepper, self._clock)
        self._link.claims = ControlClaims(self._claims)
        self._rates = Rates(settings, self._store, self._link)
        self._slots = SlotSharing(self._link.slots)
        keeper = Bookkeeper(self._store, self._clock, self._metrics.set)
        others = {
            "claims": self._claims.forget,
            **money_notices(self._store, self._clock),
            "orders": keeper.expire,
            "books": keeper.check,
        }
        self._ticker = Ticker(self._post_office, others=others)
        self._sealing = Sealing(Notary(self._store, signer_of(settings), self._clock, os.urandom))
        self._caches = CacheBook(self._replicas, lambda: self._link.alone)
        said = self._link.tell_loads, self._caches.look
        self._engines = EngineDesk(self._store, self._clock, self._replicas, self._open_requests, *said)
        self._lock: int | None = None
        self._listeners = WebListeners()
        self._ingesting: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self, stop: asyncio.Event, *, acts: bool) -> None:
        """Act, or rest until asked to act, until `stop`; then book what the gateways wrote last, and end."""
        await self._store.open()
        if acts:
            await self._act()
        report({"ready": True})
        await stop.wait()
        if self._lock is not None:
            await self._stop_ingesting()
            await self._ingest_the_rest()
            await self._rest()
        await self._store.close()

    async def answer(self, asked: Word) -> Word:
        """What the supervisor asks. Raises Failure, and then nothing has changed."""
        match asked["do"]:
            case "settings":
                await self._renew(settings_of(asked["settings"]))
            case "replicas":
                self._own_replicas = replicas_of(asked)
                await self.announce()
            case "wanted":
                return await self._deployed.word()
            case "stopping":
                self._stopping = True
            case "rest":
                await self._rest()
            case "act":
                await self._act()
            case unknown:
                raise Misconfigured(f"Control does not understand '{unknown}'.")
        return {}

    # Acting and resting

    async def _act(self) -> None:
        """Be the one that acts: as soon as no other does."""
        self._lock = await _lock_alone(self._settings.home / "run" / "control.lock")
        await self._announcer.load()
        await self.announce()
        self._slots.begin()
        await self._link.start(bind_link(self._settings.home / "run" / "control.sock"))
        await self._remotes.begin()
        self._announcer.begin()
        self._deployed.begin()
        self._ticker.begin()
        self._sealing.begin()
        self._rates.begin()
        self._engines.begin()
        self._ingests = {}  # what was read before a rest may have been booked and removed by another
        self._ingesting = asyncio.create_task(self._ingest_for_ever())
        await self._open_listeners()

    async def _rest(self) -> None:
        """Let go of callers, journals and gateways, in this order. The store stays open: nothing stands in it alone."""
        await self._listeners.close()
        await self._stop_ingesting()
        await self._remotes.end()
        self._link.close()
        await self._deployed.end()
        await self._ticker.end()
        await self._sealing.end()
        await self._rates.end()
        await self._slots.end()
        await self._engines.end()
        await self._announcer.end()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    async def _renew(self, settings: Settings) -> None:
        """New certificates hold for new handshakes; other changes of a listener end its open connections."""
        given, contexts = given_replicas(settings), _contexts(settings)
        before, self._settings = self._settings, settings
        self._given_replicas = given
        if self._lock is not None and _served_by(before) != _served_by(settings):
            await self._listeners.close()
            await self._open_listeners()
        else:
            self._listeners.renew(contexts)
        await self.announce()

    async def _open_listeners(self) -> None:
        desk = self._console_desk()
        openid = openid_house(self._settings, desk.lobby, self._clock)
        apps = (
            make_console(replace(desk, openid=openid)),
            make_operator(replace(self._operator_desk(), openid=openid)),
        )
        parts = zip(apps, self._sockets, _contexts(self._settings), strict=True)
        await self._listeners.open([Served(*part) for part in parts])

    async def announce(self) -> None:
        """Tell every gateway what has changed. One that rests has nobody to tell."""
        if self._lock is not None:
            await self._deployed.look()
            await self._announcer.announce()
            self._count_ready()

    def _count_ready(self) -> None:
        ready = sum(takes_requests(one, self._fleet.of(one.replica_id).state) for one in self._replicas())
        self._metrics.set("parvis_replicas_ready", ready)

    def _replicas(self) -> tuple[Replica, ...]:
        """Those that can be asked, or could."""
        return tuple(one for one in self._deployed.replicas if one.address)

    def _machine_replicas(self) -> tuple[Replica, ...]:
        """Those of the settings, and what the supervisor runs."""
        return (*self._given_replicas, *self._own_replicas)

    def _requests_on(self, replica_id: str) -> int:
        return self._fleet.of(replica_id).in_flight

    def _seen_of(self, replica_id: str) -> Seen:
        seen = self._fleet.of(replica_id)
        said = seen.state, seen.gateways, seen.open, seen.in_flight, seen.pace, seen.first_byte_ms
        return Seen(*said, seen.why)

    def _open_requests(self) -> int:
        """Those that gateways have begun and not ended, as far as their journals were read."""
        return sum(ingest.open_count for ingest in self._ingests.values())

    def _serving(self) -> frozenset[str]:
        """The pools that have a replica which is ready, or is loaded when somebody asks."""
        return frozenset(one.engine for one in self._deployed.told if can_serve(one))

    def status(self) -> dict[str, Any]:
        """What runs now."""
        replicas = self._deployed.replicas
        return {
            "ready": bool(self._link.gateways and self._serving()) and not self._stopping,
            "stopping": self._stopping,
            "gateways": self._link.gateways,
            "open_runs": sorted(self._ingests),
            "open_requests": self._open_requests(),
            "replicas": [self._told(replica) for replica in replicas],
        }

    def _told(self, replica: Replica) -> dict[str, Any]:
        """A replica as gateways see it, as it sees itself, and whose prompts can be told from its cache."""
        load = self._engines.loads.loads.get(replica.replica_id)
        return {
            **self._fleet.told(replica),
            "load": None if load is None else load._asdict(),
            "cache": self._caches.in_force(replica),
        }

    # What the link tells

    def _recall(self, account: str, incarnation: str) -> None:
        self._link.recall(account, incarnation)

    def _counted(self, gateway: str, counted: Counted) -> None:
        self._metrics.add(gateway, counted.counters, counted.gauges)

    def _gone(self, gateway: str) -> None:
        self._metrics.gone(gateway)
        self._fleet.gone(gateway)
        self._view.gone(gateway)
        self._metrics.seen(self._fleet.measures())
        self._count_ready()

    def _seen(self, gateway: str, seats: list[SeatSeen]) -> None:
        self._fleet.said(gateway, seats)
        self._view.looked()
        self._metrics.seen(self._fleet.measures())
        self._count_ready()

    def _backlog(self, gateway: str, told: Backlog) -> None:
        self._view.backlog(gateway, told)
        self._deployed.waited_for({one.pool for one in told.pools if one.waiting})

    def _booked(self, records: Sequence[UsageRecord]) -> None:
        self._deployed.answered({one.started.replica_id for one in records})
        self._metrics.booked(records)
        self._view.booked(records)

    def _used(self, uses: list[KeyUse]) -> None:
        self._announcer.used(uses)

    # Ingest

    async def _stop_ingesting(self) -> None:
        ingesting, self._ingesting = self._ingesting, None
        if ingesting is not None:
            ingesting.cancel()
            await asyncio.gather(ingesting, return_exceptions=True)

    async def _ingest_for_ever(self) -> None:
        while True:
            await self._ingest_once()
            await asyncio.sleep(INGEST_INTERVAL_S)

    async def _ingest_once(self) -> None:
        for reader in await asyncio.to_thread(runs, self._settings.home / "journal"):
            self._ingests.setdefault(reader.incarnation, Ingest(reader, self._store, self._booked))
        for incarnation, ingest in list(self._ingests.items()):
            try:
                ended = await ingest.step()
            except Failure as failure:
                # The journal keeps it; the next round tries again.
                _log.error("usage cannot be booked", extra={"incarnation": incarnation, "kind": failure.code})
                await asyncio.sleep(1.0)
                continue
            if ended and self._ingests.get(incarnation) is ingest:
                del self._ingests[incarnation]
                self._claims.run_ended()
                await self._rates.run_ended(incarnation)
                self._slots.run_ended(incarnation)
        self._metrics.set("parvis_open_runs", len(self._ingests))

    def _arrived(self, run: ShippedRun) -> None:
        """The journal of a run on another machine: from its beginning, whatever was read of it before."""
        self._ingests[run.incarnation] = Ingest(run, self._store, self._booked)

    async def _ingest_the_rest(self) -> None:
        """The gateways have ended: their journals can be read to the end."""
        deadline_s = asyncio.get_running_loop().time() + LAST_INGEST_S_MAX
        await self._ingest_once()
        while self._ingests and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(INGEST_INTERVAL_S)
            await self._ingest_once()

    # Desks

    def _proofs(self, listener: WebListener) -> Proofs:
        """Passwords wait in one line, at whichever door they were shown."""
        return Proofs(
            passwords=self._passwords, passkeys=WebAuthnSite(listener.url), seal_key=lambda: self._people_seal_key
        )

    def _console_desk(self) -> ConsoleDesk:
        return ConsoleDesk(
            store=self._store,
            pepper=lambda: self._pepper,
            clock=self._clock,
            announce=self.announce,
            press=LazyPress(),
            post_office=self._post_office,
            count_prompt=self._engines.count_prompt,
            serving=self._serving,
            scorer=scorer_of(self._settings),
            proofs=self._proofs(self._settings.console),
            site=_site(self._settings.console),
        )

    def _depot(self) -> Depot:
        return Depot(
            given=lambda: given_deployments(self._settings),
            replicas=lambda: self._deployed.replicas,
            seen=self._seen_of,
            look_at=self._deployed.look_at,
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
            engine_counts=self._engines.counts.compare_all,
            witnesses=self._link.witnesses,
            fleet=lambda: self._view.show(self._link.gateways),
            serving=self._serving,
            scorer=scorer_of(self._settings),
            signer=signer_of(self._settings),
            joining=self._remotes.joining,
            depot=self._depot(),
            press=LazyPress(),
            post_office=self._post_office,
            proofs=self._proofs(self._settings.operator),
            site=_site(self._settings.operator),
        )


def _site(listener: WebListener) -> Site:
    """What a listener of the settings is called."""
    return Site(listener.host, listener.hosts, listener.url)


def _contexts(settings: Settings) -> list[ssl.SSLContext | None]:
    """The TLS of console and operator. Raises Misconfigured."""
    return [web_context("console", settings.console), web_context("operator", settings.operator)]


def _served_by(settings: Settings) -> object:
    """What the applications were made of. Where a certificate lies is none of it; whether there is one, is."""
    listeners = ((_site(one), bool(one.tls_cert)) for one in (settings.console, settings.operator))
    return (*listeners, settings.openid)


def operator_token(home: Path) -> Secret:
    """The credential of the operator's API, as the first start wrote it."""
    return Secret((home / "operator.token").read_text().strip(), "operator token")


def replicas_of(word: Word) -> tuple[Replica, ...]:
    """The engines that the supervisor runs, as it tells of them."""
    return msgspec.convert(word["replicas"], tuple[Replica, ...])


async def _lock_alone(path: Path) -> int:
    """Wait until nobody else acts. Who dies lets go of it, however it dies."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOCK_POLL_S)
        else:
            return lock


async def _main(word: Word, console: int, operator: int) -> None:
    stop = asyncio.Event()
    sockets = socket(fileno=console), socket(fileno=operator)
    control = Control(settings_of(word["settings"]), replicas_of(word), *sockets)
    Parent(asyncio.get_running_loop(), stop.set, control.answer).hear()
    await control.run(stop, acts=word["acts"])


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    gc.freeze()  # looking through all that was imported, again and again, keeps callers waiting for a tenth of a second
    try:
        asyncio.run(_main(first_word(), int(sys.argv[1]), int(sys.argv[2])))
    except Misconfigured as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
