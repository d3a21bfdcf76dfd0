"""The parent of all processes: it prepares, starts, watches, restarts and drains. It serves nothing itself."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from socket import socket
from typing import Any

import msgspec

from parvis.adapters.engines.weights import locate
from parvis.adapters.link.gateway_side import LinkClient
from parvis.adapters.link.messages import ReplicasAre
from parvis.adapters.processes.child import Backoff, Child, child_environ, start_child
from parvis.app.opening import open_house
from parvis.app.premises import bind_all, prepare_home, raise_descriptor_limit
from parvis.app.tls import server_context
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.settings import EngineSettings, Settings

START_S_MAX = 120.0
ENGINE_END_S_MAX = 5.0
CONTROL_END_S_MAX = 30.0
_log = logging.getLogger("parvis.supervisor")
Say = Callable[[str], None]


class Supervisor:
    """One run of the service on this machine."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._environ = child_environ(str(settings.home))
        self._gateway_sockets: list[socket] = []
        self._control_sockets: tuple[socket, ...] = ()
        self._replicas: dict[str, Replica] = {}
        self._stopping = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._backoffs: dict[str, Backoff] = {}
        self._gateways: dict[int, Child] = {}
        self._engines: dict[str, Child] = {}
        self._control: Child | None = None
        self._link = LinkClient(settings.home / "run" / "control.sock", self._replicas_are, lambda _: None)

    async def run(self) -> None:
        """Serve until a signal. Raises Misconfigured when the service cannot start; nothing is left running then."""
        raise_descriptor_limit()
        lock = prepare_home(self._settings)
        self._hear_signals()
        try:
            *_, console, operator = sockets = bind_all(self._settings)
            self._gateway_sockets, self._control_sockets = sockets[0], (console, operator)
            await self._start_all()
            await self._stopping.wait()
            self._say("Stopping: requests under way may finish. Once more to end at once.")
        finally:
            await self._end_all()
            os.close(lock)

    # Starting

    async def _start_all(self) -> None:
        settings = self._settings
        own = {name: engine for name, engine in settings.engines.items() if engine.weights}
        await self._look_first(own)
        await open_house(settings, self._say)
        await self._unless_stopped(
            self._start_control(), *(self._start_engine(name, engine) for name, engine in own.items())
        )
        self._watch(self._link.keep_connected())
        for slot in range(len(self._gateway_sockets)):
            await self._unless_stopped(self._start_gateway(slot))
        if not self._stopping.is_set():
            scheme = "https" if settings.inference.tls_cert else "http"
            self._say(f"Ready: {scheme}://{settings.inference.listen}/v1")

    async def _look_first(self, own: dict[str, EngineSettings]) -> None:
        """Find what would stop the start before anything is made in the store, or a key is shown."""
        inference = self._settings.inference
        if inference.tls_cert:
            server_context(inference.tls_cert, inference.tls_key)
        for engine in own.values():
            await asyncio.to_thread(locate, engine.weights, self._settings.home / "cache")

    async def _unless_stopped(self, *work: Coroutine[Any, Any, None]) -> None:
        """Wait for these starts, but not longer than until a signal comes."""
        task: asyncio.Future[Any] = asyncio.gather(*work)
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            await task
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _start_control(self) -> None:
        descriptors = [sock.fileno() for sock in self._control_sockets]
        command = [sys.executable, "-m", "parvis.app.control", *map(str, descriptors)]
        child = await start_child(command, environ=self._environ, descriptors=descriptors)
        self._control = child
        await child.first_word(START_S_MAX)
        self._watch(self._restart(child, "control", self._start_control))

    async def _start_gateway(self, slot: int) -> None:
        descriptor = self._gateway_sockets[slot].fileno()
        command = [sys.executable, "-m", "parvis.app.gateway", str(descriptor)]
        child = await start_child(command, environ=self._environ, descriptors=[descriptor])
        self._gateways[slot] = child
        await child.first_word(START_S_MAX)
        self._watch(self._restart(child, f"gateway {slot}", lambda: self._start_gateway(slot)))

    async def _start_engine(self, name: str, engine: EngineSettings) -> None:
        weights = await asyncio.to_thread(locate, engine.weights, self._settings.home / "cache")
        self._say(f"Loading {engine.model or name} ...")
        api_key = secrets.token_hex(16)
        spec = {
            "weights": str(weights),
            "alias": engine.model or name,
            "kind": "embedding" if engine.embedding else "chat",
            "parallel": engine.parallel,
            "context": engine.context_tokens,
            "threads": engine.threads,
            "api_key": api_key,
        }
        command = [sys.executable, "-m", "parvis.adapters.engines.llama_child"]
        line = msgspec.json.encode(spec) + b"\n"
        child = await start_child(command, environ=self._environ, first_line=line)
        self._engines[name] = child
        word = await child.first_word(START_S_MAX)
        replica = Replica(f"{name}-0", name, EngineKind.LLAMA_CPP, word["address"], ReplicaState.READY, api_key)
        self._replicas[name] = replica
        self._link.send(self._replicas_are())
        self._watch(self._engine_gone(name, engine, child))

    # Watching

    def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        self._watchers.append(asyncio.ensure_future(work))

    async def _engine_gone(self, name: str, engine: EngineSettings, child: Child) -> None:
        await child.wait()
        self._replicas.pop(name, None)
        self._link.send(self._replicas_are())
        await self._restart(child, f"engine {name}", lambda: self._start_engine(name, engine))

    async def _restart(self, child: Child, what: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for its death, then start it again, with growing pauses while it keeps dying."""
        backoff = self._backoffs.setdefault(what, Backoff(asyncio.get_running_loop().time))
        backoff.started()
        await child.wait()
        while not self._stopping.is_set():
            pause_s = backoff.pause_s()
            _log.warning("%s ended, starting it again", what, extra={"exit_code": child.exit_code, "pause_s": pause_s})
            await asyncio.sleep(pause_s)
            with contextlib.suppress(Misconfigured):
                await start()
                return

    def _replicas_are(self) -> ReplicasAre:
        return ReplicasAre(tuple(self._replicas.values()))

    # Ending

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            return
        for child in self._children():
            child.signal(signal.SIGKILL)

    def _children(self) -> list[Child]:
        control = [self._control] if self._control else []
        return [*self._gateways.values(), *control, *self._engines.values()]

    async def _end_all(self) -> None:
        """Gateways drain, control books what they wrote, engines go last."""
        self._stopping.set()
        drain_s_max = self._settings.inference.drain_s_max * 2 + 5.0
        await asyncio.gather(*(child.end(drain_s_max) for child in self._gateways.values()))
        if self._control is not None:
            await self._control.end(CONTROL_END_S_MAX)
        await asyncio.gather(*(child.end(ENGINE_END_S_MAX) for child in self._engines.values()))
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for sock in (*self._gateway_sockets, *self._control_sockets):
            sock.close()


def run(settings: Settings, say: Say) -> None:
    """Run the service until it is told to stop. Raises Misconfigured."""
    asyncio.run(Supervisor(settings, say).run())
