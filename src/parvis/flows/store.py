"""What stories need from the store, as intents. Each intent is one atomic transaction: all of it or nothing.

Promises that hold for every method:

- When a writing method returns, its effect is durable: it survives the death of the process and of the
  machine.
- When it raises, nothing of it happened, with one exception: `Unavailable` while committing may hide a
  success (the connection broke before the answer came). Every method of the ledger may therefore be sent
  again.
- A caller that stops waiting (a cancelled task) does not undo what it asked for.
- `Unavailable`: the database cannot be reached, has no room, or cannot be written. Any method may raise it.
- What was written is seen by every later read of the same store.

The conformance suite is `parvis.testing.store_suite`.
"""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Organisation, Project, Tenant
from parvis.domain.metering.buckets import Bucket, UsageQuestion
from parvis.domain.metering.records import UsageRecord
from parvis.domain.metering.totals import GroupBy, UsagePage, UsageTotal
from parvis.flows.claim_store import ClaimStore
from parvis.flows.deployment_store import DeploymentStore
from parvis.flows.export_store import ExportStore
from parvis.flows.ledger_store import LedgerStore
from parvis.flows.limit_store import LimitStore
from parvis.flows.node_store import NodeStore
from parvis.flows.notice_store import NoticeStore
from parvis.flows.openid_store import OpenIdStore
from parvis.flows.people_store import Realms
from parvis.flows.ports import Changes, KeyUse
from parvis.flows.rate_store import RateStore
from parvis.flows.receipt_store import ReceiptStore
from parvis.flows.record_store import RecordStore, RepetitionStore
from parvis.flows.replica_store import ReplicaStore
from parvis.flows.review_store import ReviewStore
from parvis.flows.statement_store import StatementStore


class IdentityStore(Protocol):
    """Organisations, their tenants, projects and keys.

    A change that takes something away (a key, a standing) goes before all that waits to be written.
    """

    async def create_organisation(self, organisation_id: str, name: str) -> None:
        """Raises Conflict when the id is taken."""

    async def put_organisation(self, organisation: Organisation) -> None:
        """Replace the one of this id. Its standing is that of its tenants too. Raises NotFound."""

    async def organisations(self) -> list[Organisation]:
        """All, sorted by id."""

    async def create_tenant(self, tenant_id: str, organisation_id: str, name: str, *, credit_unlimited: bool) -> None:
        """Raises Conflict when the id is taken, NotFound without the organisation, BadRequest for a `:` in it."""

    async def tenants(self) -> list[Tenant]:
        """All, sorted by id."""

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """One, by id; its own standing, whatever its organisation's is."""

    async def tenants_in_force(self, tenant_ids: Sequence[str] | None = None) -> list[Tenant]:
        """These or all, sorted by id, each with the standing that counts: its own, or that of its organisation."""

    async def put_tenant(self, tenant: Tenant) -> None:
        """Replace the one of this id. Raises NotFound, Conflict when it would move to another organisation."""

    async def add_project(self, project: Project) -> None:
        """Raises Conflict when the id is taken, NotFound unless the organisation has the tenant."""

    async def put_project(self, project: Project) -> None:
        """Replace the one of this id and tenant. Raises NotFound."""

    async def projects(self) -> list[Project]:
        """All, archived ones included, sorted by id."""

    async def add_key(self, key: ApiKey) -> None:
        """Raises Conflict when the id is taken, NotFound unless the organisation has the tenant."""

    async def keys(self) -> list[ApiKey]:
        """All, revoked ones included, sorted by id."""

    async def key(self, key_id: str) -> ApiKey | None:
        """One, of whichever tenant: the caller sees to who may read it."""

    async def keys_page(self, tenant_ids: Sequence[str] | None, after: str | None, limit: int) -> list[ApiKey]:
        """The next ones after an id, of these tenants or of all, sorted by id."""

    async def keys_in_force(self, after: str | None, limit: int) -> list[ApiKey]:
        """The next ones after an id, of all tenants, as gateways must know them: those of a suspended person rest."""

    async def keys_owned(self, user_id: str) -> list[ApiKey]:
        """Those of this person, revoked ones included, sorted by id."""

    async def swap_key(self, before: ApiKey, after: ApiKey) -> None:
        """Replace a key that is still `before`. Raises Conflict when it has changed meanwhile, NotFound."""

    async def directory_version(self) -> int:
        """The number of the last change that gateways must learn of; 0 before the first. Cheap: asked all the time."""

    async def changes(self, after: int) -> Changes:
        """What gateways must learn that was changed after this version; after -1: everything."""

    async def note_uses(self, uses: Sequence[KeyUse]) -> None:
        """Keep the latest use of each secret; keys that nobody knows are passed over."""

    async def uses(self, key_ids: Sequence[str]) -> list[KeyUse]:
        """What is known of these keys, sorted by key and secret."""

    async def revoke_key(self, key_id: str) -> None:
        """For good; again is no error. Goes before all that waits to be written. Raises NotFound."""


class CatalogueStore(Protocol):
    """Models and their prices."""

    async def put_model(self, model: Model) -> None:
        """Add it, or replace the one of the same id."""

    async def models(self) -> list[Model]:
        """All, in every state, sorted by id."""

    async def model(self, model_id: str) -> Model | None:
        """By id; aliases are not looked at."""

    async def add_prices(self, prices: PriceList) -> None:
        """Append. The same list again is no error; a version of a model that differs raises Conflict."""

    async def prices(self) -> list[PriceList]:
        """All that ever were, sorted by the time from which they hold."""


class UsageStore(Protocol):
    """Who used what."""

    async def usage(
        self,
        tenant_id: str | None,
        group_by: tuple[GroupBy, ...] = (),
        since_unix_ms: int | None = None,
        until_unix_ms: int | None = None,
        limit: int | None = None,
    ) -> list[UsageTotal]:
        """Sums over requests started in [since, until), of one tenant or of all, sorted by group.

        The first `limit` groups, if there is a limit; tags are none of the store's. Fast, because only the days that
        a bound cuts are read request by request; exact always. Without grouping: one total, even of nothing.
        """

    async def usage_buckets(self, question: UsageQuestion) -> list[Bucket]:
        """The buckets in which there was something, sorted by time; within each, totals sorted by group.

        The bounds are starts of buckets. Exact; fast for days of whatever operation.
        """

    async def requests(self, tenant_id: str | None, after: str | None = None, limit: int = 100) -> UsagePage:
        """One page, newest first; `after` is the previous page's. BadRequest for a strange cursor or limit."""

    async def request(self, request_id: str) -> UsageRecord | None:
        """One request, of whichever tenant: the caller sees to who may read it."""


class VaultStore(Protocol):
    """Wrapped data keys. What they open is elsewhere, and what opens them is never here."""

    async def data_key(self, tenant_id: str, purpose: str) -> tuple[int, bytes] | None:
        """The wrapping version and the wrapped key, of the highest version."""

    async def put_data_key(self, tenant_id: str, purpose: str, version: int, wrapped: bytes) -> tuple[int, bytes]:
        """Keep it unless this version exists; return the one that is kept. The first writer wins."""

    async def destroy_data_keys(self, tenant_id: str) -> None:
        """Remove all versions for all purposes, overwriting them where the database can."""


class Store(
    IdentityStore,
    CatalogueStore,
    LedgerStore,
    UsageStore,
    VaultStore,
    RecordStore,
    RepetitionStore,
    ReviewStore,
    NoticeStore,
    LimitStore,
    Realms,
    OpenIdStore,
    NodeStore,
    DeploymentStore,
    ClaimStore,
    ExportStore,
    RateStore,
    ReceiptStore,
    ReplicaStore,
    StatementStore,
    Protocol,
):
    """All of it, with a life."""

    async def open(self) -> None:
        """Bring the tables to this release's shape, then begin.

        Raises Misconfigured for an address that is none, or a database that is newer than this release.
        """

    async def close(self) -> None:
        """Finish what was asked for, then let go of everything. Later calls raise Unavailable."""
