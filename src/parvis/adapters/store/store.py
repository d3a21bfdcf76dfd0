"""The store: every port of `parvis.flows.store`, on SQLite for one machine and on PostgreSQL for several."""

import asyncio

from parvis.adapters.store.address import read_address
from parvis.adapters.store.catalogue import Catalogue
from parvis.adapters.store.claims import Claims
from parvis.adapters.store.database import Database
from parvis.adapters.store.deployments import Deployments
from parvis.adapters.store.identity import Identity
from parvis.adapters.store.keys import Keys
from parvis.adapters.store.ledger import Ledger
from parvis.adapters.store.limits import LimitRoom
from parvis.adapters.store.migrate import migrate
from parvis.adapters.store.nodes import Nodes
from parvis.adapters.store.notices import Notices
from parvis.adapters.store.openid import OpenIds
from parvis.adapters.store.orders import Orders
from parvis.adapters.store.people import People
from parvis.adapters.store.rates import Rates
from parvis.adapters.store.receipts import Receipts
from parvis.adapters.store.records import Records
from parvis.adapters.store.repetitions import Repetitions
from parvis.adapters.store.replica_usage import ReplicaUsage
from parvis.adapters.store.reviews import Reviews
from parvis.adapters.store.selfchecks import SelfChecks
from parvis.adapters.store.statements import Statements
from parvis.adapters.store.thresholds import Thresholds
from parvis.adapters.store.usage import Usage
from parvis.adapters.store.usage_buckets import UsageBuckets
from parvis.adapters.store.usage_exports import UsageExports
from parvis.adapters.store.vault import Vault
from parvis.core.clock import Clock, SystemClock


class SqlStore(
    Identity,
    Keys,
    Catalogue,
    Ledger,
    Orders,
    SelfChecks,
    Usage,
    UsageBuckets,
    UsageExports,
    ReplicaUsage,
    Vault,
    Records,
    Repetitions,
    Notices,
    LimitRoom,
    Thresholds,
    People,
    Reviews,
    OpenIds,
    Nodes,
    Deployments,
    Claims,
    Rates,
    Receipts,
    Statements,
):
    """A store at `sqlite:///path/of/file` or `postgresql://user:password@host:port/database`."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._url = read_address(url)

    async def open(self) -> None:
        """See the port."""
        await asyncio.to_thread(migrate, self._url)
        self._database = Database(self._url)

    async def close(self) -> None:
        """See the port."""
        database, self._database = self._database, None
        if database is not None:
            await asyncio.to_thread(database.close)
