"""What the administration answers, as types: for its description and for tests. Answers are built by the shapes.

A handler names its answer beside what it returns: `-> Annotated[Json, Listed[Tenant]]`. This file has what the answers
of many subjects are made of; `answers_keys`, `answers_people` and `answers_access` have those of one subject.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from parvis.domain.catalog.model import Capability, ModelState, Track
from parvis.domain.identity.organisation import Exhaustion, Standing
from parvis.domain.identity.role import Role
from parvis.domain.metering.records import Operation, Outcome

T = TypeVar("T")
Instant = Annotated[datetime, Meta(tz=True)]
"""As `instants.write_instant` writes it."""
Options = Annotated[dict[str, Any], Meta(description="What WebAuthn gives to the browser; base64url in texts.")]


class Shape(Struct, forbid_unknown_fields=True):
    """An object that has the fields that its class names, and no other."""


class Listed(Shape, Generic[T]):
    """One page. `next` is what to send as `after` for the following one."""

    object: Literal["list"]
    data: list[T]
    has_more: bool
    next: str | None


class Money(Shape):
    """An amount, exact twice: as a text to read, and in pico-euro to add."""

    text: str
    pico_euro: int


class Tokens(Shape):
    """The four classes that are counted apart, and their sum."""

    input: int
    cached: int
    output: int
    reasoning: int
    total: int


class Units(Shape):
    """What is billed beside tokens: started minutes of audio, documents that were reranked, images."""

    audio_minutes: int
    documents: int
    images: int


class Quantities(Shape):
    """What one request used beside tokens."""

    audio_ms: int
    documents: int
    images: int


class UsageGroup(Shape):
    """What a line of a report is about: a value for each name that was grouped by."""

    tenant: str | UnsetType = UNSET
    project: Annotated[str, Meta(description="Empty where a key has none.")] | UnsetType = UNSET
    user: Annotated[str, Meta(description="The owner of the key; empty where it has none.")] | UnsetType = UNSET
    tag: Annotated[str, Meta(description="Of the key; empty where it has none.")] | UnsetType = UNSET
    key: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    day: Annotated[str, Meta(description="Like 2026-07-14, in UTC.")] | UnsetType = UNSET


class UsageSum(Shape):
    """A sum over requests."""

    group: UsageGroup
    requests: int
    estimated_requests: int
    tokens: Tokens
    units: Units
    billed: Money
    written_off: Money


class Usage(Listed[UsageSum]):
    """A report, and the sum of its lines."""

    total: UsageSum


class Request(Shape):
    """A request that was served and booked."""

    object: Literal["request"]
    id: str
    tenant_id: str
    key_id: str
    model: str
    operation: Operation
    streamed: bool
    started_at: Instant
    started_unix_ms: int
    outcome: Outcome
    tokens: Tokens
    quantities: Quantities | None
    estimated: bool
    price_version: str
    billed: Money
    written_off: Money
    first_byte_ms: int
    total_ms: int


class Tenant(Shape):
    """A tenant with its rules. `standing` is its own, whatever its organisation's is."""

    object: Literal["tenant"]
    id: str
    organisation_id: str
    name: str
    standing: Standing
    credit_unlimited: bool
    models_allowed: list[str]
    models_denied: list[str]
    addresses: list[str]
    tier_id: str | None
    exhaustion: Exhaustion
    created_at: Instant


class PricesInEuro(Shape):
    """Decimal euro for a million tokens."""

    input: str
    cached: str
    output: str
    reasoning: str


class UnitPricesInEuro(Shape):
    """Decimal euro for one: a started minute of audio, a reranked document, an image. Null is not sold."""

    audio_minute: str | None
    document: str | None
    image: str | None


class PriceList(Shape):
    """Prices of one model, or of all (`*`), from an instant on."""

    object: Literal["price_list"]
    version: str
    model_id: str
    valid_from: Instant
    valid_from_unix_ms: int
    input_microeuro_per_mtoken: int
    cached_microeuro_per_mtoken: int
    output_microeuro_per_mtoken: int
    reasoning_microeuro_per_mtoken: int
    batch_input_microeuro_per_mtoken: int
    batch_cached_microeuro_per_mtoken: int
    batch_output_microeuro_per_mtoken: int
    batch_reasoning_microeuro_per_mtoken: int
    audio_pico_euro_per_minute: int | None
    rerank_pico_euro_per_document: int | None
    image_pico_euro_each: int | None
    per_mtoken: PricesInEuro
    batch_per_mtoken: PricesInEuro
    per_unit: UnitPricesInEuro


class EstimatedTokens(Shape):
    """Of the input, and the most that the answers can have together."""

    input: int
    output_max: int


class CostRange(Shape):
    """An answer of no length to a prompt at its cheaper class; the longest one at the dearest."""

    least: Money
    most: Money


class CostByClass(Shape):
    """The whole input computed, or cached; the longest answer visible, or reasoning."""

    input: Money
    cached: Money
    output: Money
    reasoning: Money


class Chosen(Shape):
    """The `auto` entry that was asked for, and why it chose this model."""

    name: str
    why: str


class Estimate(Shape):
    """What a request would cost. `estimated`: no tokenizer answered, so it is about four characters a token."""

    object: Literal["estimate"]
    model: str
    chosen: Chosen | None
    estimated: bool
    tokens: EstimatedTokens
    cost: CostRange
    cost_by_class: CostByClass
    batch_cost: CostRange
    prices: PriceList


class ModelCard(Shape):
    """What a customer may know of a model. Dates are ISO 8601; null is unknown."""

    object: Literal["model"]
    id: str
    aliases: list[str]
    state: ModelState
    track: Track
    capabilities: list[Capability]
    context_tokens: int
    dimensions: int | None
    editor: str
    country: str
    parameters: int | None
    speed_tokens_per_s: int | None
    energy_wh_per_mtoken: int | None
    licence: str
    languages: list[str]
    tags: list[str]
    use_cases: list[str]
    production_on: str | None
    end_of_support_on: str | None
    long_term_support: bool
    successor: str | None
    card_url: str
    prices: PriceList | None


class SignInRule(Shape):
    """Who has this value in their claim has this role: over a tenant, or (empty) over the organisation."""

    value: str
    role: Role
    tenant_id: str


class SignIn(Shape):
    """The identity provider of an organisation, without its secret."""

    object: Literal["sign_in"]
    organisation_id: str
    issuer: str
    client_id: str
    scopes: list[str]
    groups_claim: str
    mappings: list[SignInRule]
    domains: list[str]
    vouches_for_factor: bool
    acr_values: list[str]
    required: bool
    redirect_uri: str
    sign_in_url: str


class SignInRemoved(Shape):
    """No provider any more."""

    object: Literal["sign_in"]
    organisation_id: str
    deleted: bool


class SignInLinkRemoved(Shape):
    """By which name the provider knows somebody is forgotten."""

    object: Literal["sign_in.link"]
    user_id: str
    deleted: bool
