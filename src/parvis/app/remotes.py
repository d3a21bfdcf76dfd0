"""Control's part for machines that have gateways and nothing else: their listener, who is believed, their journals."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from parvis.adapters.journal.frames import frames
from parvis.adapters.link.control_side import ControlLink
from parvis.adapters.link.dock import Dock, Gate
from parvis.adapters.link.messages import Joined, JoinWanted
from parvis.adapters.link.shipping import ShippedRun, Ships
from parvis.app.link_files import LinkAuthority, link_socket
from parvis.core.clock import Clock
from parvis.core.errors import Unavailable
from parvis.domain.metering.records import Record
from parvis.flows.node_store import NodeStore
from parvis.flows.nodes import Asking, Joining, believed, join
from parvis.settings import Settings

LOOK_INTERVAL_S = 0.5
"""After this long control knows of a machine that another control let in or removed."""


class Remotes:
    """Nothing happens, and nothing is made, where `link.listen` is empty."""

    def __init__(
        self,
        settings: Settings,
        store: NodeStore,
        clock: Clock,
        link: ControlLink,
        arrived: Callable[[ShippedRun], None],
    ) -> None:
        self._listen = settings.link.listen
        self._store = store
        self._clock = clock
        self._believed = believed([])
        self._looking: asyncio.Task[None] | None = None
        self.joining: Joining | None = None
        """For the operator's desk; None when nobody can join."""
        if self._listen:
            self._authority = LinkAuthority(settings.home)
            self.joining = Joining(self._authority, self._look)
            gate = Gate(self._believes, self._join)
            self._dock = Dock(link, Ships(_unframe, arrived), gate)

    async def begin(self) -> None:
        """Listen, once the store can be read. Raises Failure."""
        if self._listen:
            await self._look()
            await self._dock.start(link_socket(self._listen), self._authority.context())
            self._looking = asyncio.create_task(self._look_for_ever())

    async def end(self) -> None:
        """Hang up on all."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            self._dock.close()

    def _believes(self, serial: str) -> bool:
        return self._believed(serial)

    async def _look(self) -> None:
        self._believed = believed(await self._store.nodes())
        self._dock.look_again()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            with suppress(Unavailable):  # what was known holds on; the store's trouble is told by others
                await self._look()

    async def _join(self, wanted: JoinWanted) -> Joined:
        """Raises Failure with the sentence that the machine is told."""
        asking = Asking(wanted.secret, wanted.name, wanted.request)
        joined = await join(self._store, self._authority, self._clock, os.urandom, asking)
        await self._look()
        return Joined(joined.node.node_id, joined.certificate, joined.authority)


def _unframe(data: bytes) -> list[tuple[int, Record]]:
    return [(sequence, record) for sequence, record, _ in frames(data)]
