"""What the door of a listener stands on."""

from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request

from parvis.core.clock import Clock
from parvis.core.ids import Randomness
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.site import Site
from parvis.flows.store import Store


class FrontDesk(Protocol):
    """The part of a listener's desk that its door needs."""

    @property
    def store(self) -> Store: ...

    @property
    def pepper(self) -> Callable[[], bytes]: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def randomness(self) -> Randomness: ...

    @property
    def site(self) -> Site: ...

    async def guard(self, request: Request) -> Principal:
        """Who is asking? Raises NotAuthenticated."""

    def new_request_id(self) -> str: ...


def front_desk(request: Request) -> FrontDesk:
    """The desk of the application that a request reached."""
    desk: FrontDesk = request.app.state.desk
    return desk
