"""What the routes about engines answer."""

from typing import Literal

from parvis.api.web.answers import Instant, Shape, Tokens


class CountedByEngine(Shape):
    """Tokens that an engine counted itself."""

    prompt: int
    completion: int


class EngineCount(Shape):
    """A replica's own counters less the ledger's sums, since an instant. Null where nothing can be compared."""

    object: Literal["engine_count"]
    replica_id: str
    compared: bool
    since: Instant | None
    difference: int | None
    """Tokens that one of them has and the other has not."""
    prompt_difference: int | None
    completion_difference: int | None
    engine: CountedByEngine | None
    ledger: Tokens | None
    requests: int | None
    running: int | None
    notes: list[str]
