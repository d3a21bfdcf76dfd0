"""What the operator's routes stand on."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from parvis.api.web.credentials import bearer
from parvis.api.web.identification import has_cookie, recognised
from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated
from parvis.core.ids import Randomness, new_id
from parvis.core.secret import Secret
from parvis.domain.catalog.difficulty import Scorer, difficulty
from parvis.domain.identity.key_text import OPERATOR_PREFIX
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import Principal, operator
from parvis.domain.identity.site import HERE, Site
from parvis.domain.metering.comparison import Comparison
from parvis.flows.deployments import NO_DEPOT, Depot, Yard
from parvis.flows.engine_counts import Uncompared
from parvis.flows.explaining import NOBODY_SAW, Witnesses
from parvis.flows.keys import Mint
from parvis.flows.lobby import Lobby, Proofs
from parvis.flows.nodes import Joining
from parvis.flows.notices import PostOffice
from parvis.flows.openid_settings import OpenIdHouse
from parvis.flows.organisations import Office
from parvis.flows.overview import FleetNow, no_fleet
from parvis.flows.press import Press
from parvis.flows.signing import Signer
from parvis.flows.store import Store


async def _nothing_counts() -> list[Comparison | Uncompared]:
    """There are no engines."""
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesk:
    """Ports and callables, chosen by the composition root."""

    store: Store
    token: Secret
    """The operator's credential, of `operator.token` in the data folder."""
    pepper: Callable[[], bytes]
    clock: Clock
    randomness: Randomness
    announce: Callable[[], Awaitable[None]]
    """Tell the gateways. Called after each change of keys, models or prices, when the change is durable."""
    metrics: Callable[[], str]
    """The Prometheus text of all processes."""
    status: Callable[[], dict[str, Any]]
    """At least `ready` (can anything be served?), `stopping`, `gateways` and `replicas`. Holds no credential."""
    proofs: Proofs
    """What passwords, passkeys and seeds of people are checked with."""
    signer: Signer
    """Of reports that must be believed elsewhere."""
    engine_counts: Callable[[], Awaitable[list[Comparison | Uncompared]]] = _nothing_counts
    """The engines' own counters beside the ledger, of each replica."""
    depot: Depot = NO_DEPOT
    """What runs, as far as control knows; without it only what the store wants is there."""
    site: Site = HERE
    press: Press | None = None
    """What prints invoices; without it they are issued and not printed."""
    post_office: PostOffice | None = None
    """Where notices are sent; without it they are made and shown only."""
    joining: Joining | None = None
    """How other machines join; without it none does."""
    fleet: Callable[[], FleetNow] = no_fleet
    """The replicas of this moment, and who asks most."""
    witnesses: Witnesses = NOBODY_SAW
    """The gateways, asked how they route."""
    serving: Callable[[], frozenset[str]] = frozenset
    """The pools in which somebody takes requests now."""
    scorer: Scorer = difficulty
    """How hard a task is, for `auto` entries: that of the gateways."""
    openid: OpenIdHouse | None = None
    """How customers' people come by the identity providers of their organisations; without it nobody does."""

    @property
    def mint(self) -> Mint:
        return Mint(self.pepper, self.clock, self.randomness)

    @property
    def yard(self) -> Yard:
        return Yard(self.store, self.clock, self.depot)

    @property
    def office(self) -> Office:
        return Office(self.store, self.clock, self.randomness)

    @property
    def lobby(self) -> Lobby:
        return Lobby(
            store=self.store, realm=Realm.OPERATOR, mint=self.mint, proofs=self.proofs, site_name=self.site.name
        )

    async def guard(self, request: Request) -> Principal:
        """Whoever holds the operator's token (compared in constant time), or one of the operator's people.

        Raises NotAuthenticated.
        """
        presented = bearer(request)
        by_browser = "authorization" not in request.headers and has_cookie(self.lobby, self.site, request)
        if by_browser or (presented or "").startswith(OPERATOR_PREFIX):
            return await recognised(self.lobby, self.site, request)
        if presented is None or not hmac.compare_digest(presented.encode(), self.token.reveal().encode()):
            raise NotAuthenticated(
                "Send the operator's token, from the file operator.token: 'Authorization: Bearer TOKEN'.",
                code="invalid_operator_token",
            )
        return operator()

    def new_request_id(self) -> str:
        return new_id("req", self.clock.unix_ms(), self.randomness)


def desk_of(request: Request) -> OperatorDesk:
    """The desk of the application that a request reached."""
    desk: OperatorDesk = request.app.state.desk
    return desk


TheDesk = Annotated[OperatorDesk, Depends(desk_of)]
