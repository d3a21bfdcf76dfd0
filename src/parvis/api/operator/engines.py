"""The engines' own counters beside the ledger: `/v1/engines/counts`."""

from typing import Annotated

from parvis.api.operator.answers_engines import EngineCount
from parvis.api.operator.desk import TheDesk
from parvis.api.web.answers import Listed
from parvis.api.web.instants import write_instant
from parvis.api.web.shapes import Json, listing, token_shape
from parvis.domain.metering.comparison import Comparison
from parvis.flows.engine_counts import Uncompared


async def counts(desk: TheDesk) -> Annotated[Json, Listed[EngineCount]]:
    """Each replica: what it counted since control began to look, and what was booked. Waits for requests that run."""
    return listing([_shown(one) for one in await desk.engine_counts()])


def _shown(one: Comparison | Uncompared) -> Json:
    head: Json = {"object": "engine_count", "replica_id": one.replica_id}
    if isinstance(one, Uncompared):
        return {**head, "compared": False, "notes": [one.reason], **dict.fromkeys(_NUMBERS)}
    return {
        **head,
        "compared": True,
        "since": write_instant(one.since_unix_ms),
        "difference": one.difference,
        "prompt_difference": one.prompt_difference,
        "completion_difference": one.completion_difference,
        "engine": {"prompt": one.engine_prompt_tokens, "completion": one.engine_completion_tokens},
        "ledger": token_shape(one.booked.tokens),
        "requests": one.booked.requests,
        "running": one.running,
        "notes": list(_notes(one)),
    }


_NUMBERS = (
    "since",
    "difference",
    "prompt_difference",
    "completion_difference",
    "engine",
    "ledger",
    "requests",
    "running",
)


def _notes(one: Comparison) -> list[str]:
    """What a reader must know of the numbers."""
    booked = one.booked
    facts = (
        (not one.counts_cached, "cached prompt tokens are not compared: this engine does not count them"),
        (one.running, f"{one.running} requests run: ask again when they have ended"),
        (booked.cut_requests, f"{booked.cut_requests} requests were cut: their engine may have computed more"),
        (booked.estimated_requests, f"{booked.estimated_requests} requests are not booked by their engine's count"),
    )
    return [note for holds, note in facts if holds]
