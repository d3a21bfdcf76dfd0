"""The supervisor's side of control: one process, which acts, or rests while another takes over."""

from collections.abc import Callable
from contextlib import suppress
from socket import socket

import msgspec

from parvis.app.child import word_of
from parvis.app.crew import Child, Crew, Post, Word
from parvis.core.errors import Failure, Misconfigured, Unavailable
from parvis.domain.fleet.replica import Replica
from parvis.settings import Settings

ASK_S_MAX = 30.0
END_S_MAX = 30.0
STOPS_S_MAX = 1.0


class ControlKeeper:
    """Control and its successors. What it must know of settings and engines is said to each as it starts."""

    def __init__(
        self,
        crew: Crew,
        sockets: tuple[socket, socket],
        settings: Callable[[], Settings],
        replicas: Callable[[], tuple[Replica, ...]],
    ) -> None:
        self._crew = crew
        self._descriptors = [sock.fileno() for sock in sockets]
        self._settings = settings
        self._replicas = replicas
        self._acts = True
        self._post = Post("control", self._start)
        self._resting: Child | None = None

    async def fill(self, *, acts: bool) -> None:
        """Start it, acting or resting. Raises Misconfigured."""
        self._acts = acts
        await self._post.fill()

    async def renew(self) -> None:
        """Tell it that the settings have changed. Raises Failure with its sentence; nothing has changed then."""
        await self._tell(_settings_word(self._settings()))

    async def replicas_are(self) -> None:
        """Tell it which engines run; every gateway has been told on return."""
        await self._tell(_replicas_word(self._replicas()))

    async def wanted(self) -> Word | None:
        """What deployments shall run on this machine, as it knows from the store; None when nobody can say."""
        child = self._post.child
        if child is None:
            return None
        try:
            return await child.ask({"do": "wanted"}, ASK_S_MAX)
        except Failure:
            return None

    async def stops(self) -> None:
        """Tell it that the service is on its way out. Nobody waits for one that is in no state to hear it."""
        if self._post.child is not None:
            with suppress(Failure):
                await self._post.child.ask({"do": "stopping"}, STOPS_S_MAX)

    async def act(self) -> None:
        """Let one that was started resting act. Raises Failure when it does not."""
        self._acts = True
        if self._post.child is None:
            raise Unavailable("Control has ended; the log lines above say why.")
        await self._post.child.ask({"do": "act"}, ASK_S_MAX)

    async def act_again(self) -> None:
        """Let the one that we told to rest act; another, if this one cannot any more."""
        child, self._resting = self._resting, None
        try:
            if child is None:
                raise Unavailable("It had ended before.")
            await child.ask({"do": "act"}, ASK_S_MAX)
        except Failure:
            if child is not None:
                await child.kill()
            self._post.fill_sometime()
        else:
            self._post.take(child)

    async def rest(self) -> None:
        """Let it stop acting, and nobody follow it. Never raises: one that does not rest is ended."""
        self._resting = self._post.leave_open()
        if self._resting is not None:
            try:
                await self._resting.ask({"do": "rest"}, ASK_S_MAX)
            except Failure:
                await self._resting.kill()

    async def end(self) -> None:
        """One that acts books what is there first; one that rests ends at once."""
        self._post.leave_open()
        await self._crew.end(END_S_MAX)

    async def _tell(self, word: Word) -> None:
        """Say it to who has the post. One that has died meanwhile is followed by one that knows."""
        if self._post.child is not None:
            with suppress(Unavailable):
                await self._post.child.ask(word, ASK_S_MAX)

    async def _start(self) -> Child:
        known = self._settings(), self._replicas()
        first = {**_settings_word(known[0]), **_replicas_word(known[1]), "acts": self._acts}
        numbers = map(str, self._descriptors)
        child, _ = await self._crew.start("parvis.app.control", *numbers, descriptors=self._descriptors, first=first)
        try:
            while known != (known := (self._settings(), self._replicas())):  # they have changed since
                await child.ask(_settings_word(known[0]), ASK_S_MAX)
                await child.ask(_replicas_word(known[1]), ASK_S_MAX)
        except Failure as failure:
            await child.kill()
            raise Misconfigured(str(failure)) from None
        return child


def _settings_word(settings: Settings) -> Word:
    return {"do": "settings", "settings": word_of(settings)}


def _replicas_word(replicas: tuple[Replica, ...]) -> Word:
    return {"do": "replicas", "replicas": msgspec.to_builtins(replicas)}
