"""The supervisor of a machine that has gateways and nothing else: control, the store and the engines are elsewhere."""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from parvis.adapters.certificates.authority import client_request, fingerprint
from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import Joined, JoinWanted, Message
from parvis.app.crew import Child, Crew, Post
from parvis.app.keep_gateways import GatewayKeeper
from parvis.app.link_files import keep_membership, node_context
from parvis.app.premises import forbid_core_dumps, prepare_home, raise_descriptor_limit
from parvis.app.sockets import inference_sockets
from parvis.core.errors import Failure, Misconfigured
from parvis.domain.fleet.node import FINGERPRINT_BYTES, JoinCode, read_join_code
from parvis.settings import Settings, load

JOIN_S_MAX = 15.0
COURIER_END_S_MAX = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Membership:
    """Where control is, and the code to join by; without one this machine has joined before."""

    control: str
    code: str = ""


async def join_control(settings: Settings, membership: Membership) -> str:
    """Become a machine of that service; gives the id that control knows it by. Raises Failure.

    Before it says anything it looks whether who answers has the certificate that the code names.
    """
    code = read_join_code(membership.code)
    if code is None:
        raise Misconfigured("This is no code: `parvis node code`, where control is, makes one.")
    key, request = client_request(socket.gethostname()[:64] or "node")
    try:
        async with asyncio.timeout(JOIN_S_MAX):
            joined = await _ask(membership.control, code, JoinWanted(code.secret, socket.gethostname()[:64], request))
    except TimeoutError:
        raise Misconfigured(f"Control is silent at {membership.control}.") from None
    except OSError as problem:
        raise Misconfigured(f"Control cannot be reached at {membership.control}: {problem}.") from None
    if joined.problem:
        raise Misconfigured(joined.problem)
    keep_membership(settings.home, key, joined.certificate, joined.authority)
    return joined.node_id


async def _ask(control: str, code: JoinCode, wanted: JoinWanted) -> Joined:
    """One question. Raises OSError, Misconfigured."""
    host, _, port = control.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the code names the certificate
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Joined] = loop.create_future()

    def received(_: Channel, message: Message) -> None:
        if isinstance(message, Joined) and not answer.done():
            answer.set_result(message)

    def closed(_: Channel) -> None:
        if not answer.done():
            answer.set_result(Joined(problem="Control hung up. Is the code older than an hour?"))

    channel = Channel(received, closed)
    await loop.create_connection(lambda: channel, host.strip("[]"), int(port), ssl=context)
    if fingerprint(channel.certificate or b"")[:FINGERPRINT_BYTES] != code.fingerprint:
        channel.close()
        raise Misconfigured(f"Who answers at {control} is not the service that made this code.")
    channel.send(wanted)
    try:
        return await answer
    finally:
        channel.close()


class Outpost:
    """One run of it."""

    def __init__(self, settings: Settings, membership: Membership, say: Say) -> None:
        self._settings = settings
        self._membership = membership
        self._say = say
        self._gateway_crew, self._courier_crew = Crew(settings.home), Crew(settings.home)
        self.gateways = GatewayKeeper(self._gateway_crew, inference_sockets(settings), lambda: self._settings)
        self._courier = Post("courier", self._start_courier)
        self._stopping = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until told to stop. Raises Failure when it cannot start."""
        self._hear_signals()
        try:
            await self._courier.fill()
            filling = asyncio.ensure_future(self.gateways.fill())
            stopped = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({filling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if filling.done():
                await filling
                self._ready()
                await self._stopping.wait()
            else:
                filling.cancel()
                await asyncio.gather(filling, return_exceptions=True)
            self._say("Stopping: requests under way may finish. Once more to end at once.")
        finally:
            await self.gateways.end()
            self._courier.leave_open()
            await self._courier_crew.end(COURIER_END_S_MAX)

    def _ready(self) -> None:
        inference = self._settings.inference
        with suppress(OSError):
            (self._settings.home / "run" / "supervisor.pid").write_text(f"{os.getpid()}\n")
        self._say(f"Ready: {'https' if inference.tls_cert else 'http'}://{inference.listen}/v1")

    async def _start_courier(self) -> Child:
        first = {"home": str(self._settings.home), "control": self._membership.control}
        child, _ = await self._courier_crew.start("parvis.app.courier", first=first)
        return child

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            self._gateway_crew.kill()
            self._courier_crew.kill()
        self._stopping.set()

    def _told_to_reload(self) -> None:
        self._reloading = asyncio.ensure_future(self._reload())

    async def _reload(self) -> None:
        before = self._settings
        try:
            self._settings = load(before.home)
            await self.gateways.renew()
        except Failure as failure:
            self._settings = before
            self._say(f"The new settings are refused, the old ones stay: {failure}")


async def _run(settings: Settings, membership: Membership, say: Say) -> None:
    raise_descriptor_limit()
    forbid_core_dumps()
    lock = prepare_home(settings)
    try:
        if membership.code:
            say(f"Joined as {await join_control(settings, membership)}.")
        node_context(settings.home)
        await Outpost(settings, membership, say).run()
    finally:
        os.close(lock)


def run(settings: Settings, membership: Membership, say: Say) -> None:
    """Serve on this machine for a control elsewhere, until told to stop. Raises Failure."""
    asyncio.run(_run(settings, membership, say))
