"""What the reports of `/v1/organization/...` answer, as types: the record, usage and costs over time."""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta

from parvis.api.web.answers import Shape
from parvis.domain.audit.entry import Step

T = TypeVar("T")


class AuditUser(Shape):
    """Who was in a session: nulls for the operator and the service."""

    id: str | None
    email: str | None


class AuditSession(Shape):
    """A session in which something was done."""

    user: AuditUser
    ip_address: str | None


class AuditKey(Shape):
    """The key by which something was done."""

    id: str
    type: Literal["service_account"]
    ip_address: str


class AuditActor(Shape):
    """Who did it. `name` is how the record calls them."""

    type: Literal["session", "api_key"]
    session: AuditSession | None
    api_key: AuditKey | None
    name: str


class AuditProject(Shape):
    """The project that it is about."""

    id: str
    name: None


class AuditObject(Shape):
    """The thing that it is about, if the record names it."""

    id: str | None


class AuditFacts(Shape, forbid_unknown_fields=False):
    """A line of the record. One field more is named as its `type` says, and has the id of what it is about."""

    id: str
    object: Literal["organization.audit_log"]
    type: str
    effective_at: int
    actor: AuditActor
    project: AuditProject | None
    result: str | None
    step: Step
    act_id: str
    request_id: str
    tenant_id: str | None
    objects: dict[str, str]
    details: dict[str, str]


_OBJECT = {
    "type": "object",
    "description": AuditObject.__doc__,
    "properties": {"id": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["id"],
    "additionalProperties": False,
}
_AuditLine = Annotated[AuditFacts, Meta(extra_json_schema={"unevaluatedProperties": _OBJECT})]


class AuditLines(Shape):
    """One page of the record, newest first."""

    object: Literal["list"]
    data: list[_AuditLine]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Grouped(Shape):
    """By what usage was split: null where it was not split so, or where nobody knows."""

    project_id: str | None
    user_id: str | None
    api_key_id: str | None


class CompletionsResult(Grouped):
    """Tokens and requests of chats and completions."""

    object: Literal["organization.usage.completions.result"]
    model: str | None
    input_tokens: int
    input_cached_tokens: int
    input_uncached_tokens: int
    output_tokens: int
    output_reasoning_tokens: int
    num_model_requests: int
    batch: None
    service_tier: None


class EmbeddingsResult(Grouped):
    """Tokens and requests of embeddings."""

    object: Literal["organization.usage.embeddings.result"]
    model: str | None
    input_tokens: int
    num_model_requests: int


class TranscriptionsResult(Grouped):
    """Transcriptions and translations, in seconds of the minutes that were billed."""

    object: Literal["organization.usage.audio_transcriptions.result"]
    model: str | None
    seconds: int
    num_model_requests: int


class SpeechesResult(Grouped):
    """Speech, in minutes that were billed; its characters are not counted."""

    object: Literal["organization.usage.audio_speeches.result"]
    model: str | None
    characters: int
    minutes: int
    num_model_requests: int


class NoResult(Shape):
    """Of what this service does not do there is never one."""


class Amount(Shape):
    """`value` is the nearest number that JSON readers keep in a double; the other two are exact."""

    value: float
    currency: Literal["eur"]
    value_text: str
    pico_euro: int


class CostsResult(Grouped):
    """What was billed. A line item is a model."""

    object: Literal["organization.costs.result"]
    line_item: str | None
    amount: Amount
    quantity: int | None
    quantity_unit: Literal["tokens"] | None


class Bucket(Shape, Generic[T]):
    """A span of time: [start, end)."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[T]


class Buckets(Shape, Generic[T]):
    """One page. `next_page` is what to send as `page` for the following one."""

    object: Literal["page"]
    data: list[Bucket[T]]
    has_more: bool
    next_page: str | None


class Enforcement(Shape):
    """Whether requests are refused now because the limit is reached."""

    status: Literal["inactive", "enforcing"]


class SpendLimit(Shape):
    """No more than so many cents in a month."""

    object: Literal["organization.spend_limit", "project.spend_limit"]
    currency: Literal["EUR"]
    interval: Literal["month"]
    threshold_amount: int
    enforcement: Enforcement


class SpendLimitDeleted(Shape):
    """There is no such limit any more."""

    object: Literal["organization.spend_limit.deleted", "project.spend_limit.deleted"]
    deleted: bool
