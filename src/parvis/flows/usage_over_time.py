"""Usage and costs over time, a page of buckets at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from parvis.domain.catalog.model import Capability, Model
from parvis.domain.metering.buckets import Bucket, UsageQuestion, Width, bucket_start
from parvis.domain.metering.records import Operation
from parvis.flows.store import CatalogueStore, UsageStore

COMPLETIONS = (Operation.CHAT, Operation.COMPLETION)
EMBEDDINGS = (Operation.EMBEDDING,)
TRANSCRIPTIONS = (Operation.TRANSCRIPTION, Operation.TRANSLATION)
SPEECHES = (Operation.SPEECH,)
ROWS_MAX = 300_000
"""Requests that are read one by one for a page. It ends after the bucket in which there are so many."""
RESULT_ROWS = 30
"""What one more result costs, in rows that are read: 10,000 of them make a page too."""


class UsageReader(UsageStore, CatalogueStore, Protocol):
    """The ports that this story needs, of one store."""


@dataclass(frozen=True, slots=True)
class BucketPage:
    """Every bucket of a span, those in which nothing was used too. `next_unix_ms`: where the following page starts."""

    buckets: tuple[Bucket, ...]
    next_unix_ms: int | None


async def usage_page(store: UsageReader, question: UsageQuestion, count: int) -> BucketPage:
    """The first buckets of what is asked, at most `count`, and fewer where there is more in them than makes a page.

    A bound inside a bucket stands for the whole bucket.
    """
    width = question.width
    since, until = (
        bucket_start(question.since_unix_ms, width),
        bucket_start(question.until_unix_ms - 1, width) + width.ms,
    )
    end = min(until, since + count * width.ms)
    asked = replace(question, since_unix_ms=since, until_unix_ms=end)
    if asked.width is Width.DAY and asked.operations is not None:
        asked = _by_models(asked, asked.operations, await store.models())
    found, end = await _found(store, asked)
    buckets = (found.get(start, Bucket(start)) for start in range(since, end, width.ms))
    return BucketPage(tuple(buckets), end if end < until else None)


async def _found(store: UsageReader, question: UsageQuestion) -> tuple[dict[int, Bucket], int]:
    """Those in which there was something, and where the first is that did not fit any more.

    More and more buckets are asked for at once, as long as they have proved to hold little.
    """
    width_ms, end = question.width.ms, question.until_unix_ms
    by_rows = question.width is not Width.DAY or question.operations is not None
    found: dict[int, Bucket] = {}
    start, cost = question.since_unix_ms, 0
    step = 1 if by_rows or question.split_by else (end - start) // width_ms
    while start < end and cost < ROWS_MAX:
        stop = min(start + step * width_ms, end)
        some = await store.usage_buckets(replace(question, since_unix_ms=start, until_unix_ms=stop))
        found |= {bucket.start_unix_ms: bucket for bucket in some}
        added = sum(_cost(bucket, by_rows=by_rows) for bucket in some)
        start, cost = stop, cost + added
        room = (ROWS_MAX - cost) * step // max(added, 1)
        step = max(1, min(2 * step, room))
    return found, start


def _cost(bucket: Bucket, *, by_rows: bool) -> int:
    rows = sum(total.requests for total in bucket.totals) if by_rows else 0
    return rows + RESULT_ROWS * len(bucket.totals)


def _by_models(question: UsageQuestion, operations: tuple[Operation, ...], models: Sequence[Model]) -> UsageQuestion:
    """The same, asked of roll-ups: they know models, not operations, and most models are for one of them only."""
    if any({Capability.CHAT, Capability.EMBEDDINGS} <= set(model.capabilities) for model in models):
        return question
    needed = Capability.EMBEDDINGS if operations == EMBEDDINGS else Capability.CHAT
    fit = {model.id for model in models if needed in model.capabilities}
    wanted = fit if question.model_ids is None else fit & set(question.model_ids)
    return replace(question, operations=None, model_ids=tuple(sorted(wanted)))
