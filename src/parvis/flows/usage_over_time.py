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


class UsageReader(UsageStore, CatalogueStore, Protocol):
    """The ports that this story needs, of one store."""


@dataclass(frozen=True, slots=True)
class BucketPage:
    """Every bucket of a span, those in which nothing was used too. `next_unix_ms`: where the following page starts."""

    buckets: tuple[Bucket, ...]
    next_unix_ms: int | None


async def usage_page(store: UsageReader, question: UsageQuestion, count: int) -> BucketPage:
    """The first `count` buckets of what is asked. A bound inside a bucket stands for the whole bucket."""
    width = question.width
    since, until = (
        bucket_start(question.since_unix_ms, width),
        bucket_start(question.until_unix_ms - 1, width) + width.ms,
    )
    end = min(until, since + count * width.ms)
    asked = replace(question, since_unix_ms=since, until_unix_ms=end)
    if asked.width is Width.DAY and asked.operations is not None:
        asked = _by_models(asked, asked.operations, await store.models())
    found = {bucket.start_unix_ms: bucket for bucket in await store.usage_buckets(asked)}
    buckets = (found.get(start, Bucket(start)) for start in range(since, end, width.ms))
    return BucketPage(tuple(buckets), end if end < until else None)


def _by_models(question: UsageQuestion, operations: tuple[Operation, ...], models: Sequence[Model]) -> UsageQuestion:
    """The same, asked of roll-ups: they know models, not operations, and most models are for one of them only."""
    if any({Capability.CHAT, Capability.EMBEDDINGS} <= set(model.capabilities) for model in models):
        return question
    needed = Capability.EMBEDDINGS if operations == EMBEDDINGS else Capability.CHAT
    fit = {model.id for model in models if needed in model.capabilities}
    wanted = fit if question.model_ids is None else fit & set(question.model_ids)
    return replace(question, operations=None, model_ids=tuple(sorted(wanted)))
