"""Acts inside of an act: one call changes many things, and each has its own lines in the record of whose it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from parvis.core.errors import Failure
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.place import Target
from parvis.flows.record import Recorder, Texts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Witness:
    """Writes down what somebody does."""

    recorder: Recorder
    actor: Actor

    async def act(self, action: str, place: Target, objects: Texts, doing: Callable[[], Awaitable[T]]) -> T:
        """Do it once its intent is on disk, and say how it ended. Raises what it raises, and Unavailable."""
        intent = await self.recorder.intend(self.actor, action, place, objects)
        try:
            done = await doing()
        except Failure as failure:
            await self.recorder.outcome(intent, failure.code)
            raise
        await self.recorder.outcome(intent)
        return done
