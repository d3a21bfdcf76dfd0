"""`/v1/organization/usage/...` and `/v1/organization/costs`: what was used and what it costs, over time."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers_reports import (
    Buckets,
    CompletionsResult,
    CostsResult,
    EmbeddingsResult,
    NoResult,
    SpeechesResult,
    TranscriptionsResult,
)
from parvis.api.console.organization.buckets import BucketQuery, WidthQuery, bucket_pages, grouped, splits
from parvis.api.web.exports import ExportQuery, TableFile, export_usage
from parvis.api.web.queries import ALL_GROUPS
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.core.money import PICO_PER_EURO, Money
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.principal import Principal
from parvis.domain.metering.buckets import UsageQuestion, Width
from parvis.domain.metering.records import Operation
from parvis.domain.metering.totals import UsageTotal
from parvis.flows.reach import tenants_reached
from parvis.flows.usage_over_time import COMPLETIONS, EMBEDDINGS, SPEECHES, TRANSCRIPTIONS, BucketPage, usage_page

NOTHING_USED = (
    "code_interpreter_sessions",
    "decisions",
    "file_search_calls",
    "images",
    "moderations",
    "vector_stores",
    "web_search_calls",
)
"""What OpenAI counts and this service does not do: always empty, so that reports that ask for all of it work."""
SECONDS_A_MINUTE = 60
_GROUPS = ("project_id", "user_id", "api_key_id", "model")
_COST_GROUPS = ("project_id", "user_id", "api_key_id", "line_item")


class UsageQuery(WidthQuery):
    """Which usage, and how it is split."""

    group_by: list[Literal["project_id", "user_id", "api_key_id", "model"]] = Field(default=[], alias="group_by[]")


class NothingQuery(WidthQuery):
    """Of what was never used: whatever it would be split by."""

    group_by: list[str] = Field(default=[], alias="group_by[]", max_length=20)


class CostsQuery(BucketQuery):
    """Which costs. Buckets are days, and a line item is a model."""

    bucket_width: Literal["1d"] = "1d"
    limit: int = Field(default=7, ge=1, le=180)
    line_items: list[str] | None = Field(default=None, alias="line_items[]", max_length=100)
    group_by: list[Literal["project_id", "user_id", "api_key_id", "line_item"]] = Field(default=[], alias="group_by[]")


async def completions(
    desk: TheDesk, actor: TheActor, query: Annotated[UsageQuery, Query()]
) -> Annotated[Json, Buckets[CompletionsResult]]:
    """Tokens and requests of chats and completions. Cached tokens are a part of the input, reasoning of the output."""
    page = await _used(desk, actor, query, COMPLETIONS)
    return bucket_pages(page, query.bucket_width, lambda total: _completions(total, query.group_by))


async def embeddings(
    desk: TheDesk, actor: TheActor, query: Annotated[UsageQuery, Query()]
) -> Annotated[Json, Buckets[EmbeddingsResult]]:
    """Tokens and requests of embeddings."""
    page = await _used(desk, actor, query, EMBEDDINGS)
    return bucket_pages(page, query.bucket_width, lambda total: _embeddings(total, query.group_by))


async def audio_transcriptions(
    desk: TheDesk, actor: TheActor, query: Annotated[UsageQuery, Query()]
) -> Annotated[Json, Buckets[TranscriptionsResult]]:
    """Started minutes, as seconds, and requests of transcriptions and translations."""
    page = await _used(desk, actor, query, TRANSCRIPTIONS)
    return bucket_pages(page, query.bucket_width, lambda total: _transcriptions(total, query.group_by))


async def audio_speeches(
    desk: TheDesk, actor: TheActor, query: Annotated[UsageQuery, Query()]
) -> Annotated[Json, Buckets[SpeechesResult]]:
    """Started minutes and requests of speech. Characters are not counted."""
    page = await _used(desk, actor, query, SPEECHES)
    return bucket_pages(page, query.bucket_width, lambda total: _speeches(total, query.group_by))


async def nothing_used(desk: TheDesk, query: Annotated[NothingQuery, Query()]) -> Annotated[Json, Buckets[NoResult]]:
    """Buckets without results."""
    since, until = query.span_ms(desk.clock.unix_ms())
    nobodys = UsageQuestion(tenant_ids=(), since_unix_ms=since, until_unix_ms=until, width=query.bucket_width)
    page = await usage_page(desk.store, nobodys, query.count())
    return bucket_pages(page, query.bucket_width, lambda _: {})


async def costs(
    desk: TheDesk, actor: TheActor, query: Annotated[CostsQuery, Query()]
) -> Annotated[Json, Buckets[CostsResult]]:
    """What was billed, a bucket a day."""
    since, until = query.span_ms(desk.clock.unix_ms())
    question = UsageQuestion(
        tenant_ids=await _tenant_ids(desk, actor, Permission.COSTS_READ),
        since_unix_ms=since,
        until_unix_ms=until,
        split_by=splits(query.group_by),
        key_ids=_given(query.api_key_ids),
        project_ids=_given(query.project_ids),
        model_ids=_given(query.line_items),
    )
    page = await usage_page(desk.store, question, query.limit)
    return bucket_pages(page, Width.DAY, lambda total: _cost(total, query.group_by))


async def file(desk: TheDesk, actor: TheActor, query: Annotated[ExportQuery, Query()]) -> TableFile:
    """Sums over the requests of all tenants that one may read, every group of them, as a CSV or Parquet file."""
    return await export_usage(desk.store, await _tenant_ids(desk, actor, Permission.USAGE_READ), query, ALL_GROUPS)


async def _used(
    desk: ConsoleDesk, actor: Principal, query: UsageQuery, operations: tuple[Operation, ...]
) -> BucketPage:
    since, until = query.span_ms(desk.clock.unix_ms())
    question = UsageQuestion(
        tenant_ids=await _tenant_ids(desk, actor, Permission.USAGE_READ),
        since_unix_ms=since,
        until_unix_ms=until,
        width=query.bucket_width,
        split_by=splits(query.group_by),
        operations=operations,
        key_ids=_given(query.api_key_ids),
        model_ids=_given(query.models),
        project_ids=_given(query.project_ids),
        user_ids=_given(query.user_ids),
    )
    return await usage_page(desk.store, question, query.count())


async def _tenant_ids(desk: ConsoleDesk, actor: Principal, permission: Permission) -> tuple[str, ...]:
    return tuple(tenant.tenant_id for tenant in await tenants_reached(desk.store, actor, permission))


def _given(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _completions(total: UsageTotal, group_by: Sequence[str]) -> Json:
    tokens = total.tokens
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": tokens.prompt_total,
        "input_cached_tokens": tokens.cached,
        "input_uncached_tokens": tokens.input,
        "output_tokens": tokens.completion_total,
        "output_reasoning_tokens": tokens.reasoning,
        "num_model_requests": total.requests,
        **grouped(total, group_by, _GROUPS),
        "batch": None,
        "service_tier": None,
    }


def _embeddings(total: UsageTotal, group_by: Sequence[str]) -> Json:
    return {
        "object": "organization.usage.embeddings.result",
        "input_tokens": total.tokens.prompt_total,
        "num_model_requests": total.requests,
        **grouped(total, group_by, _GROUPS),
    }


def _transcriptions(total: UsageTotal, group_by: Sequence[str]) -> Json:
    return {
        "object": "organization.usage.audio_transcriptions.result",
        "seconds": total.units.audio_minutes * SECONDS_A_MINUTE,
        "num_model_requests": total.requests,
        **grouped(total, group_by, _GROUPS),
    }


def _speeches(total: UsageTotal, group_by: Sequence[str]) -> Json:
    return {
        "object": "organization.usage.audio_speeches.result",
        "characters": 0,
        "minutes": total.units.audio_minutes,
        "num_model_requests": total.requests,
        **grouped(total, group_by, _GROUPS),
    }


def _cost(total: UsageTotal, group_by: Sequence[str]) -> Json:
    by_item = "line_item" in group_by
    return {
        "object": "organization.costs.result",
        "amount": _amount(total.billed),
        **grouped(total, group_by, _COST_GROUPS),
        "quantity": total.tokens.total if by_item else None,
        "quantity_unit": "tokens" if by_item else None,
    }


def _amount(money: Money) -> Json:
    """`value` is the nearest number that JSON readers keep in a double; the other two are exact."""
    return {
        "value": money.pico_euro / PICO_PER_EURO,
        "currency": "eur",
        "value_text": str(money).removesuffix(" €"),
        "pico_euro": money.pico_euro,
    }
