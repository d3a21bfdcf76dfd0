"""What routing reads of a request, and how its stay on a replica ended."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

Texts = Callable[[], Iterable[str]]
"""All texts of a prompt that a model will read, in their order."""


def no_texts() -> Iterable[str]:
    """Of a request whose prompt makes no difference."""
    return ()


class Ending(StrEnum):
    """What the end of a stay says of the replica."""

    GOOD = "good"
    """It answered, or the client left it: nothing speaks against it."""
    REFUSED = "refused"
    """It found the request wrong. Another one would too."""
    UNAVAILABLE = "unavailable"
    """It took nothing: another one may be tried."""
    DROPPED = "dropped"
    """It hung up on it before the first byte: it died, or the request is what breaks it. Another one may be tried."""
    KEY_REFUSED = "key refused"
    """It does not accept our key, of whatever request. Another one may be tried."""
    LATE = "late"
    """Another one, asked after it, began sooner, so that it was stopped."""
    BROKE = "broke"
    """It broke an answer that had begun."""


GAVE_NOTHING: Final = frozenset({Ending.UNAVAILABLE, Ending.DROPPED, Ending.KEY_REFUSED})
"""Endings after which another replica may be tried."""
TELLS_NOTHING: Final = frozenset({Ending.GOOD, Ending.REFUSED})
"""Endings that do not speak against the replica."""


class Ask:
    """One request, as it looks for a replica. Made for each, so a plain class: cheap where it is compiled."""

    __slots__ = (
        "attempts",
        "common",
        "drops",
        "home",
        "pool",
        "prefix",
        "priority",
        "request_id",
        "streamed",
        "tenant_id",
        "texts",
        "tokens",
        "tried",
    )

    def __init__(
        self,
        pool: str,
        tenant_id: str = "",
        tokens: int = 1,
        *,
        priority: int = 0,
        texts: Texts = no_texts,
        request_id: str = "",
        streamed: bool = True,
    ) -> None:
        self.pool = pool
        """As in `Model.engine`."""
        self.tenant_id = tenant_id
        """Among whom turns are shared while requests wait."""
        self.tokens = tokens
        """The most that it can be, input and output: what its turn costs its tenant."""
        self.priority = priority
        """Of its tier: higher ones go first where requests wait."""
        self.texts = texts
        """Its prompt, for who wants to know whose cache has its beginning."""
        self.request_id = request_id
        self.streamed = streamed
        """Its first byte is news: that of a whole answer comes with the last, and says how long the answer is."""
        self.prefix: tuple[int, ...] | None = None
        """Hashes of ever longer beginnings of its prompt, salted by tenant; None until somebody worked them out."""
        self.common = self.home = 0
        """See `prefix.Prompt`."""
        self.tried: frozenset[str] = frozenset()
        """Replicas that took nothing of it."""
        self.attempts = 0
        """How often a replica was asked."""
        self.drops = 0
        """How many of them hung up on it."""
