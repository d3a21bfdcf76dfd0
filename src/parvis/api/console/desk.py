"""What the customers' routes stand on."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from parvis.api.web.credentials import bearer
from parvis.api.web.identification import has_cookie, recognised
from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated
from parvis.core.ids import Randomness, new_id
from parvis.domain.catalog.difficulty import Scorer, difficulty
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.key_text import PERSONAL_PREFIX
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import Principal, customer
from parvis.domain.identity.site import HERE, Site
from parvis.flows.customers import welcome
from parvis.flows.keys import Mint
from parvis.flows.lobby import Lobby, Proofs
from parvis.flows.notices import PostOffice
from parvis.flows.openid_settings import OpenIdHouse
from parvis.flows.organisations import Office
from parvis.flows.ports import Directory
from parvis.flows.press import Press
from parvis.flows.reports import ReportCounter
from parvis.flows.store import Store
from parvis.wire.chat_shapes import ChatBody


async def _nobody_listens() -> None:
    """There are no gateways."""


async def _nobody_counts(_model: Model, _prompt: "ChatBody | tuple[str, ...]") -> int | None:
    """There is no engine to ask."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleDesk:
    """Ports and callables, chosen by the composition root."""

    store: Store
    pepper: Callable[[], bytes]
    clock: Clock
    randomness: Randomness = os.urandom
    proofs: Proofs
    """What passwords, passkeys and seeds of people are checked with."""
    site: Site = HERE
    press: Press | None = None
    """What prints invoices; without it they are shown and not printed."""
    post_office: PostOffice | None = None
    """Where notices are sent; without it they are made and shown only."""
    openid: OpenIdHouse | None = None
    """How people come by the identity providers of their organisations; without it nobody does."""
    reports: ReportCounter = field(default_factory=ReportCounter)
    announce: Callable[[], Awaitable[None]] = _nobody_listens
    """Tell the gateways. Called after each change of keys or tenants, when the change is durable."""
    count_prompt: Callable[[Model, ChatBody | tuple[str, ...]], Awaitable[int | None]] = _nobody_counts
    """The tokens of a chat, or of texts, as the engine of a model counts them; None where nobody says."""

    serving: Callable[[], frozenset[str]] = frozenset
    """The pools in which somebody takes requests now."""

    scorer: Scorer = difficulty
    """How hard a task is, for `auto` entries: that of the gateways."""

    @property
    def mint(self) -> Mint:
        return Mint(self.pepper, self.clock, self.randomness)

    @property
    def lobby(self) -> Lobby:
        return Lobby(
            store=self.store, realm=Realm.CUSTOMER, mint=self.mint, proofs=self.proofs, site_name=self.site.name
        )

    @property
    def office(self) -> Office:
        return Office(self.store, self.clock, self.randomness)

    async def guard(self, request: Request) -> Principal:
        """The customer's program behind an API key, or the user behind a personal token or a cookie.

        Raises NotAuthenticated.
        """
        presented = bearer(request)
        by_browser = "authorization" not in request.headers and has_cookie(self.lobby, self.site, request)
        if by_browser or (presented or "").startswith(PERSONAL_PREFIX):
            return await recognised(self.lobby, self.site, request)
        address = request.client.host if request.client is not None else ""
        key, directory = await welcome(self.store, self.pepper(), self.clock, presented, address)
        request.state.directory = directory
        return customer(key)

    def new_request_id(self) -> str:
        return new_id("req", self.clock.unix_ms(), self.randomness)


def desk_of(request: Request) -> ConsoleDesk:
    """The desk of the application that a request reached."""
    desk: ConsoleDesk = request.app.state.desk
    return desk


def directory_of(request: Request) -> Directory:
    """What the catalogue was when the request was let in with its key; without one it is refused."""
    key_of(request)
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
