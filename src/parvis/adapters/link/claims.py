"""Claims of requests that must be served once: how a gateway asks, and how control answers.

Whatever a gateway has asked or told and not heard back of is sent again on each new connection, by the name of the
attempt, so that nothing is lost with a link or a control.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import Claimed, ClaimEnded, ClaimKept, ClaimWanted, Message
from parvis.core.errors import Conflict, Failure, Unavailable
from parvis.core.ids import new_id
from parvis.domain.metering.claim import Claim, Verdict
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Sink, Taken

CLAIM_S_MAX = 5.0
"""Without a word for so long, control is away. It says every two seconds that a request still waits."""
KEEP_S_MAX = 5.0
AGAIN_S = 5.0
"""How often control is told again what it has not confirmed."""
FAILED = "failed"
"""The verdict of a control that cannot know."""


# --------------------------------------------------------------------------------------------- at the gateway


class _Waiting:
    """One claim on its way; a `Flow` for who waits for it."""

    def __init__(self, wanted: ClaimWanted) -> None:
        self.wanted = wanted
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Claimed] = self._loop.create_future()
        self._alarm = self._loop.call_later(CLAIM_S_MAX, self._refuse, _away())

    def hear(self, claimed: Claimed) -> None:
        self._alarm.cancel()
        if claimed.verdict == Verdict.WAIT:
            self._alarm = self._loop.call_later(CLAIM_S_MAX, self._refuse, _away())
        elif claimed.verdict == FAILED:
            self._refuse(_away())
        elif not self.answer.done():
            self.answer.set_result(claimed)

    def end(self) -> None:
        self._alarm.cancel()

    def pause(self) -> None:
        """Nothing flows yet."""

    def resume(self) -> None:
        """Nothing flows yet."""

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if outcome is Outcome.GATEWAY_LOST:
            restarted = "The server is being restarted. Send it again."
            self._refuse(Unavailable(restarted, code="server_draining", retry_after_s=1))
        else:
            self._refuse(Unavailable("The client has left."))

    def _refuse(self, failure: Failure) -> None:
        if not self.answer.done():
            self.answer.set_exception(failure)


@dataclass(slots=True)
class _Ending:
    """An end that control has not confirmed."""

    told: ClaimEnded
    heard: asyncio.Event


class GatewayClaims:
    """`ClaimSource` over the link."""

    def __init__(self, send: Callable[[Message], None], unix_ms: Callable[[], int]) -> None:
        self._send = send
        self._unix_ms = unix_ms
        self._waiting: dict[str, _Waiting] = {}
        self._ending: dict[str, _Ending] = {}
        self._alarm: asyncio.TimerHandle | None = None

    async def take(self, tenant_id: str, idempotency_key: str, fingerprint: str, sink: Sink) -> Taken:
        """See the port."""
        ask = new_id("claim", self._unix_ms())
        named = hashlib.sha256(idempotency_key.encode()).hexdigest()  # a caller's text stays in this process
        wanted = ClaimWanted(ask, tenant_id, named, fingerprint)
        self._waiting[ask] = waiting = _Waiting(wanted)
        self._send(wanted)
        try:
            sink.attach(waiting)
            claimed = await waiting.answer
        except BaseException:
            self.free(Taken(ask))  # it may have been granted a moment ago
            raise
        finally:
            waiting.end()
            del self._waiting[ask]
        return _taken(claimed)

    async def keep(self, taken: Taken, answer: bytes | None) -> None:
        """See the port."""
        ending = self._tell(ClaimEnded(taken.ask, answer, too_large=answer is None))
        try:
            await asyncio.wait_for(ending.heard.wait(), KEEP_S_MAX)
        except TimeoutError:
            ending.told = ClaimEnded(taken.ask, None, too_large=True)

    def free(self, taken: Taken) -> None:
        """See the port."""
        self._tell(ClaimEnded(taken.ask, None))

    def received(self, message: Claimed | ClaimKept) -> None:
        """Control has answered."""
        if isinstance(message, Claimed):
            if (waiting := self._waiting.get(message.ask)) is not None:
                waiting.hear(message)
            return
        if (ending := self._ending.get(message.ask)) is None:
            return
        if message.failed and ending.told.answer is not None:
            ending.told = ClaimEnded(message.ask, None, too_large=True)
        elif not message.failed:
            del self._ending[message.ask]
        ending.heard.set()

    def again(self) -> None:
        """Another connection, perhaps another control."""
        for waiting in self._waiting.values():
            self._send(waiting.wanted)
        for ending in self._ending.values():
            self._send(ending.told)

    def _tell(self, ended: ClaimEnded) -> _Ending:
        self._ending[ended.ask] = ending = _Ending(ended, asyncio.Event())
        self._send(ended)
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(AGAIN_S, self._remind)
        return ending

    def _remind(self) -> None:
        self._alarm = None
        if self._ending:
            for ending in self._ending.values():
                self._send(ending.told)
            self._alarm = asyncio.get_running_loop().call_later(AGAIN_S, self._remind)


def _away() -> Unavailable:
    return Unavailable(
        "The Idempotency-Key cannot be looked up right now. Try again shortly, or send the request without it.",
        retry_after_s=2,
    )


def _taken(claimed: Claimed) -> Taken:
    """Raises what the verdict says."""
    match claimed.verdict:
        case Verdict.RUN:
            return Taken(claimed.ask)
        case Verdict.REPLAY:
            return Taken("", claimed.kept)
        case Verdict.REUSED:
            raise Conflict(
                "This Idempotency-Key was used for another request. Take a new one for each thing that you want done.",
                code=Verdict.REUSED,
            )
        case _:
            raise Conflict(
                "This was done already, and its answer was too large or could not be kept. "
                "Take a new Idempotency-Key to have it done again.",
                code=Verdict.NOT_KEPT,
            )


# ------------------------------------------------------------------------------------------------- at control


class Book(Protocol):
    """The story of claims, as the link needs it."""

    async def claim(self, claim: Claim, waits: Callable[[], None]) -> tuple[Verdict, bytes]: ...

    async def end(self, ask: str, answer: bytes | None, *, kept: bool) -> None: ...


class ControlClaims:
    """Answers gateways out of the book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._waiting: dict[tuple[Channel, str], asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def received(self, channel: Channel, incarnation: str, message: ClaimWanted | ClaimEnded) -> None:
        """A gateway asks, or tells."""
        if isinstance(message, ClaimWanted):
            place = channel, message.ask
            self._waiting[place] = claiming = asyncio.ensure_future(self._claim(channel, incarnation, message))
            claiming.add_done_callback(lambda _: self._waiting.pop(place, None))
        else:
            if (waiting := self._waiting.get((channel, message.ask))) is not None:
                waiting.cancel()
            ending = asyncio.ensure_future(self._end(channel, message))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def gone(self, channel: Channel) -> None:
        """Nobody waits behind this channel any more. Who asks again on another is answered there."""
        for (behind, _), waiting in list(self._waiting.items()):
            if behind is channel:
                waiting.cancel()

    async def _claim(self, channel: Channel, incarnation: str, wanted: ClaimWanted) -> None:
        claim = Claim(wanted.tenant_id, wanted.idempotency_key, wanted.fingerprint, wanted.ask, incarnation)
        try:
            verdict, kept = await self._book.claim(claim, lambda: channel.send(Claimed(wanted.ask, Verdict.WAIT)))
        except Failure:
            channel.send(Claimed(wanted.ask, FAILED))
        else:
            channel.send(Claimed(wanted.ask, verdict, kept))

    async def _end(self, channel: Channel, ended: ClaimEnded) -> None:
        try:
            await self._book.end(ended.ask, ended.answer, kept=ended.answer is not None or ended.too_large)
        except Failure:
            channel.send(ClaimKept(ended.ask, failed=True))
        else:
            channel.send(ClaimKept(ended.ask))
