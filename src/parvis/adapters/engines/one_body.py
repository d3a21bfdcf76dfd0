"""An answer of an engine that comes as one body and is no list of choices."""

import asyncio

from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.upstream import UpstreamConnection
from parvis.core.errors import EngineUnavailable, Failure
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Delivery, Job

GOOD = 200


class OneBody:
    """Receiver, `Flow` and `Answer`. Nothing is delivered until all of it is there and was understood."""

    body_bytes_max = 32 << 20

    def __init__(self, job: Job, connection: UpstreamConnection) -> None:
        self.delivery = Delivery()
        self._job = job
        self._connection = connection
        self._status = 0
        self._parts: list[bytes] = []
        self._bytes = 0
        self._end: asyncio.Future[None] = connection.new_future()

    @property
    def came(self) -> int:
        """Nothing, as long as anybody could ask."""
        return -1

    def first_event(self) -> "asyncio.Future[None]":
        """Done when the answer is there. Raises what `Engine.start` raises."""
        return self._end

    async def done(self) -> Delivery:
        return self.delivery

    def pause(self) -> None:
        """Nothing flows to the client before the end."""

    def resume(self) -> None:
        """Nothing flows to the client before the end."""

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if not self._end.done():
            self._connection.abort()
            self.delivery.outcome = outcome
            self._end.set_result(None)

    def head(self, status: int) -> None:
        self._status = status

    def body(self, data: bytes) -> None:
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > self.body_bytes_max:
            self._connection.abort()
            self._fail(broken("The engine's answer is too large. Ask for less at once."))

    def complete(self) -> None:
        if self._end.done():
            return
        body = b"".join(self._parts)
        failure = self._take(body) if self._status == GOOD else self._refused(body)
        if failure is not None:
            self._fail(failure)
        elif not self._end.done():
            self._end.set_result(None)

    def lost(self, failure: EngineUnavailable) -> None:
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if not self._end.done():
            self._end.set_exception(failure)

    def _take(self, body: bytes) -> Failure | None:
        """Make the delivery of a good body, or say what is wrong with it."""
        raise NotImplementedError

    def _refused(self, body: bytes) -> Failure:
        """The failure behind a status that is not good."""
        raise NotImplementedError
