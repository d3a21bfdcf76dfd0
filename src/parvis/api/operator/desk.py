"""What the operator's routes stand on."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from parvis.api.web.credentials import bearer
from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated
from parvis.core.ids import Randomness, new_id
from parvis.core.secret import Secret
from parvis.domain.identity.principal import Principal, operator
from parvis.flows.keys import Mint
from parvis.flows.store import Store


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
    listen_host: str = "127.0.0.1"

    @property
    def mint(self) -> Mint:
        return Mint(self.pepper, self.clock, self.randomness)

    async def guard(self, request: Request) -> Principal:
        """The operator, known by the token; compared in constant time. Raises NotAuthenticated."""
        presented = bearer(request)
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
