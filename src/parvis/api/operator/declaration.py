"""A declaration as it is written: what `parvis apply` sends. A field that nobody knows is refused by its path."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from parvis.api.operator.deployment_form import NewDeployment
from parvis.api.operator.money import Name as PriceName
from parvis.api.operator.price_form import PriceFields
from parvis.api.operator.tiers import PRIORITY_MAX
from parvis.api.web.instants import read_instant
from parvis.api.web.limit_shapes import Euro, LimitsForm
from parvis.core.money import Money
from parvis.domain.billing.price import PriceList
from parvis.domain.identity.changes import Kind, Sheet
from parvis.domain.identity.organisation import Exhaustion
from parvis.domain.identity.person import checked_email, same_email
from parvis.domain.identity.role import Role
from parvis.domain.identity.rotation import DAY_MS, Schedule
from parvis.domain.identity.scope import Endpoint
from parvis.domain.quota.limit_words import euro_text, in_words
from parvis.flows.catalogue import PRICES_ALL
from parvis.flows.declared import BY_OPENID
from parvis.flows.limits import checked_limits

MANY = 1000
Text = Annotated[str, Field(max_length=300)]
Texts = Annotated[list[Text], Field(max_length=MANY)]
Days = Annotated[int, Field(ge=0, le=3660)]
Facts = dict[str, Any]
_PLAIN = Schedule()
_OWNABLE = {
    "tenants": Kind.TENANT,
    "projects": Kind.PROJECT,
    "keys": Kind.KEY,
    "grants": Kind.GRANT,
    "deployments": Kind.DEPLOYMENT,
}


class Said(BaseModel):
    """A part of a file. What it does not say stays as it is."""

    model_config = ConfigDict(extra="forbid")

    def facts(self, *names: str) -> Facts:
        """Those of these fields that are said; lists as tuples."""
        said = {name: getattr(self, name) for name in names if name in self.model_fields_set}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


class Limited(Said):
    """A part of a file on which limits can be set. They are said as a whole; `{}` takes all of them away."""

    limits: LimitsForm | None = None

    def facts(self, *names: str) -> Facts:
        return super().facts(*names) | self.limit_facts("limits")

    def limit_facts(self, name: str) -> Facts:
        """Raises BadRequest."""
        form: LimitsForm | None = getattr(self, name)
        return {} if form is None else {name: in_words(checked_limits(form.limits()))}


class TierSaid(Limited):
    """A class of contracts."""

    id: Text
    name: Text = ""
    name_fr: Text = ""
    priority: Annotated[StrictInt, Field(ge=0, le=PRIORITY_MAX)] = 0
    entry_credit_euro: Euro = "0"

    def sheet(self) -> Sheet:
        facts = self.facts("name", "name_fr", "priority")
        if "entry_credit_euro" in self.model_fields_set:
            facts["entry_credit_euro"] = euro_text(Money.euro(self.entry_credit_euro))
        return Sheet(Kind.TIER, (self.id,), facts)


class RotationSaid(Said):
    """When a key's next secret is due, in days."""

    every_days: Days = _PLAIN.every_ms // DAY_MS
    overlap_days: Days = _PLAIN.overlap_ms // DAY_MS
    notice_days: Days = _PLAIN.notice_ms // DAY_MS
    grace_days: Days = _PLAIN.grace_ms // DAY_MS

    def spans_ms(self) -> tuple[int, ...]:
        return tuple(days * DAY_MS for days in (self.every_days, self.overlap_days, self.notice_days, self.grace_days))


class ProjectSaid(Limited):
    """A group of keys."""

    id: Text
    name: Text = ""
    archived: StrictBool = False


class KeySaid(Limited):
    """A key, known by its name in its tenant. Its secret is never in a file."""

    name: Text
    models: Texts = []
    models_denied: Texts = []
    endpoints: list[Endpoint] = []
    addresses: Texts = []
    project: Text = ""
    tags: Texts = []
    ends_at: Text | None = None
    rotation: RotationSaid | None = None

    def sheet_facts(self) -> Facts:
        facts = self.facts("models", "models_denied", "endpoints", "addresses", "project", "tags")
        if "ends_at" in self.model_fields_set:
            facts["ends_unix_ms"] = read_instant(self.ends_at, "ends_at")
        if "rotation" in self.model_fields_set:
            facts["rotation_ms"] = None if self.rotation is None else self.rotation.spans_ms()
        return facts


class TenantSaid(Limited):
    """A tenant, its rules, its projects and its keys."""

    id: Text
    name: Text = ""
    standing: Literal["active", "suspended"] = "active"
    credit_unlimited: StrictBool = False
    models_allowed: Texts = []
    models_denied: Texts = []
    addresses: Texts = []
    tier: Text = ""
    exhaustion: Exhaustion = Exhaustion.CLIP
    agreed: LimitsForm | None = None
    """What was agreed beside the tier."""
    projects: Annotated[list[ProjectSaid], Field(max_length=MANY)] = []
    keys: Annotated[list[KeySaid], Field(max_length=MANY)] = []

    def sheets(self, organisation_id: str) -> Iterator[Sheet]:
        here = (organisation_id, self.id)
        rules = ("name", "standing", "credit_unlimited", "models_allowed", "models_denied", "addresses")
        yield Sheet(Kind.TENANT, here, self.facts(*rules, "tier", "exhaustion") | self.limit_facts("agreed"))
        for project in self.projects:
            yield Sheet(Kind.PROJECT, (*here, project.id), project.facts("name", "archived"))
        for key in self.keys:
            yield Sheet(Kind.KEY, (*here, key.name), key.sheet_facts())


class RoleSaid(Said):
    """A role over the organisation, or over one tenant of it."""

    role: Role
    tenant: Text = ""


class PersonSaid(Said):
    """A user, known by the address. Whom nobody knows yet is invited, or comes by OpenID."""

    email: Text
    name: Text = ""
    language: Literal["en", "fr"] = "en"
    sign_in: Literal["invitation", "openid"] = "invitation"
    roles: Annotated[list[RoleSaid], Field(max_length=MANY)] = []

    def sheets(self, organisation_id: str) -> Iterator[Sheet]:
        email = same_email(checked_email(self.email))
        facts = self.facts("name", "language")
        if self.sign_in == BY_OPENID:
            facts["sign_in"] = BY_OPENID
        yield Sheet(Kind.PERSON, (organisation_id, email), facts)
        for one in self.roles:
            yield Sheet(Kind.GRANT, (organisation_id, email, one.role, one.tenant))


class OrganisationSaid(Limited):
    """A customer with all that is its own."""

    id: Text
    name: Text = ""
    standing: Literal["active", "suspended"] = "active"
    second_factor: StrictBool = True
    tenants: Annotated[list[TenantSaid], Field(max_length=MANY)] = []
    people: Annotated[list[PersonSaid], Field(max_length=MANY)] = []

    def sheets(self) -> Iterator[Sheet]:
        yield Sheet(Kind.ORGANISATION, (self.id,), self.facts("name", "standing", "second_factor"))
        for tenant in self.tenants:
            yield from tenant.sheets(self.id)
        for person in self.people:
            yield from person.sheets(self.id)


class PricesSaid(Said, PriceFields):
    """A price list. It is never changed once it is there, so it has a name and a day."""

    version: PriceName
    model: PriceName = PRICES_ALL
    valid_from: Text

    def prices(self) -> PriceList:
        """Raises BadRequest for a day that is none."""
        return self.price_list(self.version, self.model, read_instant(self.valid_from, "valid_from") or 0)


class DeclarationForm(Said):
    """A whole file."""

    owns: list[Literal["tenants", "projects", "keys", "grants", "deployments"]] = []
    """Of which kinds everything that the file does not name goes, with `prune`, where the file speaks of the place.

    Deployments lie nowhere: all go that it does not name, but for the engines of `parvis.toml`.
    """
    tiers: Annotated[list[TierSaid], Field(max_length=MANY)] = []
    organisations: Annotated[list[OrganisationSaid], Field(max_length=MANY)] = []
    models: Annotated[list[Facts], Field(max_length=MANY)] = []
    prices: Annotated[list[PricesSaid], Field(max_length=MANY)] = []
    deployments: Annotated[list[NewDeployment], Field(max_length=MANY)] = []

    def owned(self) -> tuple[Kind, ...]:
        return tuple(_OWNABLE[name] for name in self.owns)

    def sheets(self) -> tuple[Sheet, ...]:
        """Raises BadRequest for an address or an instant that is none."""
        customers = (sheet for organisation in self.organisations for sheet in organisation.sheets())
        deployments = (deployment.sheet() for deployment in self.deployments)
        return (*(tier.sheet() for tier in self.tiers), *deployments, *customers)
