"""What the customers' routes stand on."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from parvis.api.web.credentials import bearer
from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated
from parvis.core.ids import Randomness, new_id
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.principal import Principal, customer
from parvis.flows.customers import welcome
from parvis.flows.ports import Directory
from parvis.flows.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleDesk:
    """Ports and callables, chosen by the composition root."""

    store: Store
    pepper: Callable[[], bytes]
    clock: Clock
    randomness: Randomness = os.urandom
    listen_host: str = "127.0.0.1"

    async def guard(self, request: Request) -> Principal:
        """The customer behind an API key. Raises NotAuthenticated."""
        key, directory = await welcome(self.store, self.pepper(), self.clock, bearer(request))
        request.state.directory = directory
        return customer(key)

    def new_request_id(self) -> str:
        return new_id("req", self.clock.unix_ms(), self.randomness)


def desk_of(request: Request) -> ConsoleDesk:
    """The desk of the application that a request reached."""
    desk: ConsoleDesk = request.app.state.desk
    return desk


def directory_of(request: Request) -> Directory:
    """What the catalogue was when the request was let in."""
    directory: Directory = request.state.directory
    return directory


def key_of(request: Request) -> ApiKey:
    """The key that a request was let in with."""
    principal: Principal = request.state.principal
    if principal.key is None:
        raise NotAuthenticated("This route needs an API key.")
    return principal.key


TheDesk = Annotated[ConsoleDesk, Depends(desk_of)]
TheDirectory = Annotated[Directory, Depends(directory_of)]
TheKey = Annotated[ApiKey, Depends(key_of)]
