"""The courier of a machine that has gateways and no control. Starts with `python -m parvis.app.courier`.

For the gateways here it stands where control would: what they say into `run/control.sock` it passes on to control, each
over a connection of its own (mutual TLS). And it carries their journals there, and keeps them until they are booked.
"""

import asyncio
import logging
import ssl
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import socket

from parvis.adapters.journal.frames import frame
from parvis.adapters.journal.reader import JournalReader, runs
from parvis.adapters.link.channel import Channel
from parvis.adapters.link.control_side import bind_link
from parvis.adapters.link.messages import Message, Shipped, Taken
from parvis.adapters.telemetry.logs import log_to_stderr
from parvis.app.child import Parent, Word, die_with_parent, first_word, report
from parvis.app.link_files import CONTROL_NAME, node_context
from parvis.core.errors import Misconfigured

SHIP_INTERVAL_S = 0.05
RECORDS_AT_ONCE = 2_000
PAUSE_S = 0.5
"""Between attempts to reach control."""
CONNECT_S_MAX = 5.0
LAST_SHIPPING_S_MAX = 20.0
_log = logging.getLogger("parvis.courier")


class Road:
    """The way to control."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        host, _, port = address.rpartition(":")
        self._where = host.strip("[]"), int(port)
        self._context = context

    async def connect(self, made: "asyncio.Protocol") -> None:
        """Raises OSError, which certificates that are not believed are too."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S_MAX):
            await loop.create_connection(lambda: made, *self._where, ssl=self._context, server_hostname=CONTROL_NAME)

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The same, as streams."""
        async with asyncio.timeout(CONNECT_S_MAX):
            return await asyncio.open_connection(*self._where, ssl=self._context, server_hostname=CONTROL_NAME)


class Relay:
    """Stands in for control on this machine."""

    def __init__(self, road: Road) -> None:
        self._road = road
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket) -> None:
        """Accept gateways."""
        self._server = await asyncio.start_unix_server(self._pass_on, sock=sock)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes both ways until one end has gone; then the other is hung up on, and the gateway tries again."""
        try:
            far_reader, far_writer = await self._road.streams()
        except (OSError, TimeoutError):
            writer.close()
            return
        ways = [asyncio.ensure_future(_copy(reader, far_writer)), asyncio.ensure_future(_copy(far_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far_writer):
            end.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


def _set(event: asyncio.Event, _: Channel) -> None:
    event.set()


class Shipper:
    """Carries journals, again and again. A reader for each run lives as long as the connection."""

    def __init__(self, journal: Path, road: Road) -> None:
        self._journal = journal
        self._road = road
        self._readers: dict[str, JournalReader] = {}
        self._dead: set[str] = set()

    async def ship_for_ever(self) -> None:
        """Until cancelled."""
        while True:
            lost = asyncio.Event()
            channel = Channel(lambda _, message: self._heard(message), partial(_set, lost))
            try:
                await self._road.connect(channel)
            except (OSError, TimeoutError) as problem:
                _log.warning("control cannot be reached", extra={"kind": type(problem).__name__})
                await asyncio.sleep(PAUSE_S)
                continue
            self._readers, self._dead = {}, set()
            while not lost.is_set():
                await self._ship_once(channel)
                await asyncio.sleep(SHIP_INTERVAL_S)
            await asyncio.sleep(PAUSE_S)

    @property
    def done(self) -> bool:
        """Whether nothing is left here that control has not booked."""
        return not runs(self._journal)

    async def _ship_once(self, channel: Channel) -> None:
        for found in await asyncio.to_thread(runs, self._journal):
            name = found.incarnation
            first = name not in self._readers
            reader = self._readers.setdefault(name, found)
            dead = reader.dead()  # asked before reading: what a live run wrote is never cut off
            records = reader.read()
            parts = [records[start : start + RECORDS_AT_ONCE] for start in range(0, len(records), RECORDS_AT_ONCE)]
            news = dead and name not in self._dead
            for number, part in enumerate(parts or ([[]] if first or news else [])):
                last = number + 1 >= len(parts)
                data = b"".join(frame(*one) for one in part)
                channel.send(Shipped(name, data, first=first and number == 0, dead=dead and last))
                await channel.room()
            if dead:
                self._dead.add(name)

    def _heard(self, message: Message) -> None:
        """What control has booked may go. Of a run that has written on meanwhile, the next word tells."""
        if not isinstance(message, Taken):
            return
        reader = self._readers.get(message.incarnation)
        if reader is None:
            return
        if message.removed:
            del self._readers[message.incarnation]
            reader.remove()
        else:
            reader.drop_read_segments(message.sequence + 1)


async def _run(word: Word) -> None:
    home = Path(word["home"])
    stop = asyncio.Event()

    async def nothing(_: Word) -> Word:
        return {}

    Parent(asyncio.get_running_loop(), stop.set, nothing).hear()
    road = Road(word["control"], node_context(home))
    relay, shipper = Relay(road), Shipper(home / "journal", road)
    await relay.start(bind_link(home / "run" / "control.sock"))
    shipping = asyncio.create_task(shipper.ship_for_ever())
    report({"ready": True})
    await stop.wait()
    with suppress(TimeoutError):  # what cannot be carried now waits in its folder for the next start
        async with asyncio.timeout(LAST_SHIPPING_S_MAX):
            while not shipper.done:  # noqa: ASYNC110 - control says so over the link
                await asyncio.sleep(SHIP_INTERVAL_S)
    relay.close()
    shipping.cancel()
    await asyncio.gather(shipping, return_exceptions=True)


def main() -> None:
    """Run the process."""
    die_with_parent()
    log_to_stderr()
    try:
        asyncio.run(_run(first_word()))
    except Misconfigured as problem:
        report({"error": str(problem)})
        sys.exit(1)


if __name__ == "__main__":
    main()
