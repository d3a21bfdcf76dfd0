"""The parent of all processes: it hears signals and orders, and starts, renews, hands over and ends the service.

It serves nothing itself.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from parvis.app import systemd
from parvis.app.crew import start_heir
from parvis.app.handover import Predecessor, hand_over
from parvis.app.laying_out import lay_out, say_layouts
from parvis.app.machine import look
from parvis.app.orders import Line, OrderDesk, Word
from parvis.app.premises import demand_room, forbid_core_dumps, make_folders, prepare_home, raise_descriptor_limit
from parvis.app.service import Say, Service
from parvis.app.sockets import Sockets, take_sockets
from parvis.core.errors import Failure, Misconfigured, Unavailable
from parvis.settings import Settings, load

_log = logging.getLogger("parvis.supervisor")


class Supervisor:
    """One run of the service on this machine. The lock and the sockets are ours to close."""

    def __init__(self, settings: Settings, lock: int, sockets: Sockets, say: Say) -> None:
        self._lock = lock
        self._sockets = sockets
        self._say = say
        self._service = Service(settings, sockets, say)
        self._orders = OrderDesk(settings.home, self._obey)
        self._one_at_a_time = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._heir: int | None = None
        self._reloads: set[asyncio.Task[None]] = set()
        self._on_terminal = os.isatty(sys.stdout.fileno())

    async def run(self, old: Predecessor | None) -> None:
        """Serve until told to stop. Raises Failure when the service cannot start; nothing is left running then."""
        self._hear_signals()
        ours = old is None
        try:
            async with self._one_at_a_time:
                await self._unless_stopped(self._service.start() if old is None else self._service.start_beside(old))
            if not self._stopping.is_set():
                ours = True
                self._begin()
            await self._stopping.wait()
            self._say_goodbye(ours=ours)
        finally:
            await self._end(ours=ours)
            if old is not None:
                old.close()

    def _begin(self) -> None:
        """The service is complete, and ours."""
        home, inference = self._service.settings.home, self._service.settings.inference
        self._orders.open()
        with suppress(OSError):
            (home / "run" / "supervisor.pid").write_text(f"{os.getpid()}\n")
        systemd.notify(f"MAINPID={os.getpid()}", "READY=1")
        self._say(f"Ready: {'https' if inference.tls_cert else 'http'}://{inference.listen}/v1")

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, but not longer than until a signal comes."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            await task
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # Orders

    async def _obey(self, line: Line, word: Word) -> None:
        """Answer an order with what came of it."""
        try:
            if self._one_at_a_time.locked() or self._stopping.is_set():
                raise Unavailable("The service is busy with another order. Try again shortly.")
            async with self._one_at_a_time:
                await self._do(line, word)
        except Failure as failure:
            line.say({"error": str(failure)})

    async def _do(self, line: Line, word: Word) -> None:
        match word.get("do"):
            case "reload":
                line.say(await self._reload())
            case "restart-gateways":
                line.say({"gateways": await self._service.gateways.replace()})
            case "take-over":
                await self._hand_over(line)
            case unknown:
                raise Misconfigured(f"The running service does not know the order '{unknown}'.")

    async def _reload(self) -> Word:
        systemd.notify(*systemd.reloading())
        try:
            wanted = lay_out(load(self._service.settings.home), look()).settings
            changes = await self._service.renew(wanted)
        except Failure as failure:
            _log.error("the new settings are refused, the old ones stay", extra={"reason": str(failure)})
            raise
        finally:
            systemd.notify("READY=1")
        if changes.later:
            _log.warning("not changed: needs `parvis up --take-over`", extra={"reason": ", ".join(changes.later)})
        return {"changed": changes.live, "needs_take_over": changes.later}

    async def _hand_over(self, line: Line) -> None:
        self._say(f"Process {line.peer[0]} takes over.")
        service = self._service
        self._heir = await hand_over(line, self._sockets, self._lock, service.rest, service.act_again)
        if self._heir is None:
            self._say("It went away before the service was its own. Serving on.")
        else:
            self._stopping.set()

    # Signals

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload)
        loop.add_signal_handler(signal.SIGUSR2, self._told_to_start_an_heir)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            self._service.kill()
        self._stopping.set()

    def _told_to_reload(self) -> None:
        """By SIGHUP; a terminal that was closed sends it too, and means the end."""
        if self._on_terminal and not os.isatty(sys.stdout.fileno()):
            self._told_to_stop()
            return
        task = asyncio.ensure_future(self._reload_in_turn())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def _told_to_start_an_heir(self) -> None:
        """It becomes one of our service manager's own processes, which one that is started elsewhere is not."""
        start_heir("--take-over")

    async def _reload_in_turn(self) -> None:
        async with self._one_at_a_time:
            with suppress(Failure):  # the log has said it
                await self._reload()

    # Ending

    def _say_goodbye(self, *, ours: bool) -> None:
        if self._heir is not None:
            self._say(f"Handed over to process {self._heir}. Requests under way may finish.")
        elif ours:
            systemd.notify("STOPPING=1")
            self._say("Stopping: requests under way may finish. Once more to end at once.")
        else:
            self._say("Stopping: the running service goes on.")

    async def _end(self, *, ours: bool) -> None:
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
        await self._orders.close()
        if ours and self._heir is None:
            await self._service.end()
        else:
            await self._service.end_beside()
        self._sockets.close()
        os.close(self._lock)


async def _run(settings: Settings, say: Say, *, take_over: bool) -> None:
    raise_descriptor_limit()
    forbid_core_dumps()
    old: Predecessor | None = None
    if take_over:
        make_folders(settings.home)
        demand_room(settings.home)
        old = await Predecessor.meet(settings.home)
        lock, given = old.lock, old.sockets
        say(f"Taking over from process {old.pid}.")
    else:
        lock, given = prepare_home(settings), systemd.given_sockets(settings)
    machine = look()
    laid = lay_out(settings, machine)
    say_layouts(laid, machine, say)
    await Supervisor(laid.settings, lock, take_sockets(settings, given), say).run(old)


def run(settings: Settings, say: Say, *, take_over: bool = False) -> None:
    """Run the service until it is told to stop. Raises Failure."""
    asyncio.run(_run(settings, say, take_over=take_over))
