"""What a gateway writes down of a request, in the order of its life: started, marked, settled, closed."""

from enum import StrEnum
from typing import NamedTuple

from parvis.core.quantities import Quantities
from parvis.core.tokens import NO_TOKENS, TokenCount


class Operation(StrEnum):
    """What was asked for."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    SPEECH = "speech"


class Outcome(StrEnum):
    """How a request ended. All but `completed` may have delivered less than was asked."""

    COMPLETED = "completed"
    CLIENT_LEFT = "client_left"
    ENGINE_BROKE = "engine_broke"
    REFUSED = "refused"
    """An engine refused it; nothing was computed."""
    GATEWAY_LOST = "gateway_lost"
    """The gateway ended before the answer did; billed for what was delivered (if it died, up to the last mark)."""
    IN_DOUBT = "in_doubt"
    """Settled, then the gateway died or the client left before the answer was handed over; written off."""


class Started(NamedTuple):
    """Written before the request leaves for an engine. `held_pico_euro` bounds what can be billed."""

    request_id: str
    organisation_id: str
    tenant_id: str
    key_id: str
    model_id: str
    operation: Operation
    replica_id: str
    price_version: str
    held_pico_euro: int
    streamed: bool
    started_unix_ms: int
    project_id: str = ""
    """The key's, when it was used."""
    owner_id: str = ""
    """The user whose key it was."""
    budgets: tuple[str, ...] = ()
    """The budgets' accounts against which it was held, beside its tenant's."""


class Marked(NamedTuple):
    """What has left for the client so far, and what that costs; at most every 200 ms of a stream."""

    request_id: str
    tokens: TokenCount
    due_pico_euro: int
    quantities: Quantities | None = None
    """What was delivered beside tokens, if anything."""


class Settled(NamedTuple):
    """The end of a request, durable before its final marker is sent."""

    request_id: str
    outcome: Outcome
    tokens: TokenCount = NO_TOKENS
    estimated: bool = False
    """A count that no engine gave."""
    billed_pico_euro: int = 0
    written_off_pico_euro: int = 0
    first_byte_ms: int = 0
    total_ms: int = 0
    quarantined: str = ""
    """What an engine claimed to have counted, where that cannot be; the tokens above are then our own count."""
    quantities: Quantities | None = None
    """What was used beside tokens, if anything."""


class Closed(NamedTuple):
    """What became of whole answers after they were settled: handed to the kernel, or their client had gone."""

    request_ids: tuple[str, ...]
    undelivered: tuple[str, ...] = ()


Record = Started | Marked | Settled | Closed


class UsageRecord(NamedTuple):
    """One request, once, for ever: what the ledger and every report are made from."""

    started: Started
    settled: Settled
