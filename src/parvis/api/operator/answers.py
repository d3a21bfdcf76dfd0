"""What the operator's routes answer, as types, where the customers' do not answer the same."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from parvis.api.web.answers import Instant, Listed, Money, PriceList, Request, Shape
from parvis.api.web.answers_people import Grant
from parvis.domain.audit.entry import Step
from parvis.domain.catalog.changes import ChangeKind
from parvis.domain.catalog.model import Capability, ModelState, Track
from parvis.domain.fleet.caching import Caching
from parvis.domain.fleet.replica import ReplicaState
from parvis.domain.identity.changes import Kind, Sign
from parvis.domain.identity.invitation import InvitationState
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.role import Level, Role

Value = Annotated[Any, Meta(description="A fact, as JSON has it: text, number, truth value, list, object or null.")]


class Probe(Shape):
    """The state, and nothing else."""

    status: Literal["alive", "ready"]


class EngineLoad(Shape):
    """How busy an engine is for everybody, by its own word."""

    running: int
    waiting: int
    used: float | None
    """The part of its KV memory that is in use, 0 to 1; null where it does not say."""


class Replica(Shape):
    """One engine that serves, and how it does. `state` is the operator's word, `seen` what gateways see of it."""

    id: str
    engine: str
    kind: str
    address: str
    state: ReplicaState
    seen: Literal["open", "partly", "closed", "returning", "unseen"]
    """`closed`: no gateway asks it now; `partly`: some do; `returning`: it takes ever more after it healed."""
    why: str
    """Why it is not simply open, in the caller's language."""
    why_code: str
    """Stays the same whatever the wording; empty where there is none."""
    why_facts: dict[str, str]
    """What the sentence quotes."""
    in_flight: int
    pace: float
    """How much of its share it takes, 0 to 1."""
    first_byte_ms: int
    """Lately, on average; 0 while nobody knows."""
    load: EngineLoad | None
    """Null where it does not say."""
    cache: Caching
    """Whose prompts can be told from its prefix cache."""


class Status(Shape):
    """What runs now."""

    object: Literal["status"]
    ready: bool
    stopping: bool
    gateways: list[str]
    open_runs: list[str]
    open_requests: int
    replicas: list[Replica]


class RequestInside(Request):
    """A request with what only the operator may know."""

    organisation_id: str
    replica_id: str
    held: Money
    quarantined: str | None
    """What its engine claimed to have counted, where that cannot be: a short JSON text."""


class AutoCandidate(Shape):
    """A model that may be chosen, for tasks up to this difficulty (0 to 1)."""

    model: str
    difficulty_max: float


class AutoPolicy(Shape):
    """How a model is chosen for each request: the first candidate that fits. An empty language is guessed."""

    candidates: list[AutoCandidate]
    language: str
    answer_tokens: int


class CatalogueEntry(Shape):
    """A model of the catalogue. Dates are ISO 8601; null is unknown. `auto`: an entry that chooses among others."""

    object: Literal["model"]
    id: str
    engine: str
    engine_model: str
    context_tokens: int
    capabilities: list[Capability]
    state: ModelState
    track: Track
    aliases: list[str]
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
    weights_digest: str | None
    provenance: str
    card_url: str
    dimensions: int | None
    template_tokens: int
    control_tokens: list[str]
    begins_in_reasoning: bool
    created_unix_s: int
    auto: AutoPolicy | None


class FactDifference(Shape):
    """One fact that is another. `before` is null of a new thing."""

    name: str
    before: Value
    after: Value


class EntryDifference(Shape):
    """What happens to a model of the catalogue."""

    object: Literal["model.change"]
    id: str
    kind: ChangeKind
    fields: list[FactDifference]


class EntriesApplied(Listed[EntryDifference]):
    """What was done, or (`applied` is false) what would be."""

    applied: bool


class Difference(Shape):
    """What happens to one thing that a file declares."""

    object: Literal["change"]
    sign: Sign
    kind: Kind
    path: str
    fields: list[FactDifference]


class MadeSecret(Shape):
    """A new key, or the link of a new invitation. `text` stands in this answer alone."""

    object: Kind
    id: str
    path: str
    text: str


class Applied(Listed[Difference]):
    """What was done, or what would be. `stopped` says why nothing more was done."""

    applied: bool
    secrets: list[MadeSecret]
    stopped: str | None


class PriceListInForce(PriceList):
    """A price list, and whether requests of now are billed by it."""

    in_force: bool


class Credit(Shape):
    """What was added to an account, and what is in it now."""

    object: Literal["credit"]
    tenant_id: str
    reference: str
    amount: Money
    balance: Money


class Balance(Shape):
    """What a tenant may still spend; what gateways hold is not in it."""

    object: Literal["balance"]
    tenant_id: str
    organisation_id: str
    name: str
    credit_unlimited: bool
    balance: Money


class Balances(Listed[Balance]):
    """Of all tenants; `house` has the accounts of the house by their names."""

    house: dict[str, Money]


class Check(Shape):
    """Whether the books add up; `differences` are sentences."""

    object: Literal["check"]
    ok: bool
    differences: list[str]


class RecordActor(Shape):
    """Who did it, and from where."""

    kind: str
    name: str
    address: str


class RecordLine(Shape):
    """A line of the record: an intent before an act, its outcome after it."""

    object: Literal["audit_log"]
    id: str
    at: Instant
    at_unix_ms: int
    step: Step
    act_id: str
    action: str
    actor: RecordActor
    request_id: str
    organisation_id: str
    tenant_id: str
    objects: dict[str, str]
    details: dict[str, str]
    result: str


class Organisation(Shape):
    """A customer. `second_factor`: whether people with local accounts must show one."""

    object: Literal["organisation"]
    id: str
    name: str
    standing: Standing
    second_factor: bool
    created_at: Instant


class Project(Shape):
    """A group of keys of one tenant."""

    object: Literal["project"]
    id: str
    organisation_id: str
    tenant_id: str
    name: str
    archived: bool
    created_at: Instant


class Operator(Shape):
    """One of the operator's people."""

    object: Literal["operator"]
    id: str
    email: str
    name: str
    standing: Standing
    language: str
    created_at: Instant
    last_seen_at: Instant | None


class InvitedRole(Shape):
    """A role that waits for who is asked in. `tenant_id` is null of one over all."""

    role: Role
    tenant_id: str | None


class Invitation(Shape):
    """Somebody who is asked in, without the link."""

    object: Literal["invitation"]
    id: str
    organisation_id: str
    email: str
    roles: list[InvitedRole]
    state: InvitationState
    invited_by: str
    created_at: Instant
    ends_at: Instant


class NewInvitation(Invitation):
    """An invitation that was just made. `link` is its token: it stands in this answer alone."""

    link: str


class GrantAtLevel(Grant):
    """One role over one place, and what kind of place it is."""

    level: Level


class RoleRules(Shape):
    """A role: what it gives, over what it can be granted, and which roles nobody has beside it."""

    object: Literal["role"]
    id: Role
    levels: list[Level]
    excludes: list[Role]
    permissions: list[Permission]
