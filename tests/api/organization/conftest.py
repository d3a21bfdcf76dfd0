"""Two customers with their people, as they are in production: a real store, a real listener, the official client."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.api.console.app import make_app
from parvis.api.console.desk import ConsoleDesk
from parvis.core.clock import SystemClock
from parvis.core.secret import Secret
from parvis.domain.catalog.builtin import entry as model
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import Means, Session
from parvis.flows.first_start import FIRST_PRICES
from parvis.flows.grants import grant
from parvis.flows.keys import KeyTerms, NewKey, create_key
from parvis.flows.lobby import Proofs
from parvis.flows.organisations import create_organisation, create_project, create_tenant
from parvis.flows.people import create_person
from parvis.flows.personal_tokens import make_token
from parvis.flows.sessions import session_digest

YEAR_MS = 365 * 86_400_000
ACME, RIVAL = "acme", "rival"
CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, because there is no TLS here: to read this machine's trust takes clients most of their time."""
PROOFS = Proofs(
    passwords=Argon2Passwords(PasswordHasher.from_parameters(CHEAPEST)),
    passkeys=WebAuthnSite("http://localhost"),
    seal_key=lambda: b"seal" * 8,
)
PEOPLE = {
    "owner": (ACME, Role.ORGANISATION_OWNER, ""),
    "boss": (ACME, Role.TENANT_OWNER, "acme-a"),
    "developer": (ACME, Role.DEVELOPER, "acme-a"),
    "payer": (ACME, Role.BILLING_READER, ""),
    "auditor": (ACME, Role.AUDITOR, ""),
    "sibling": (ACME, Role.TENANT_OWNER, "acme-b"),
    "foreigner": (RIVAL, Role.ORGANISATION_OWNER, ""),
}
"""Who: their organisation, their role, and the tenant over which it is."""


@dataclass
class Town:
    """Everything that the tests ask about, by short names."""

    desk: ConsoleDesk
    address: str = ""
    users: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, NewKey] = field(default_factory=dict)
    """By tenant: each has one of its own, in its project."""
    announced: list[int] = field(default_factory=list)
    open: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """How to close what was opened."""

    def admin(self, who: str) -> Any:
        """The part of the official client that administers, with the personal token of somebody."""
        plain = DefaultAsyncHttpxClient(verify=NOBODY, trust_env=False)
        token = self.tokens[who]
        client = AsyncOpenAI(base_url=f"{self.address}/v1", admin_api_key=token, max_retries=0, http_client=plain)
        self.open.append(client.close)
        return client.admin.organization

    def http(self, who: str) -> httpx.AsyncClient:
        """Without the client's help."""
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        client = httpx.AsyncClient(base_url=self.address, headers=headers, verify=NOBODY, trust_env=False)
        self.open.append(client.aclose)
        return client

    async def browser(self, who: str, *, proven_s_ago: int = 0) -> httpx.AsyncClient:
        """Somebody who signed in, and who gave a proof so long ago."""
        now, cookie = self.desk.clock.unix_ms(), Secret(os.urandom(32).hex())
        session = Session(
            f"ses_{who}",
            self.users[who],
            Means.OPENID,
            complete=True,
            address="127.0.0.1",
            created_unix_ms=now - proven_s_ago * 1000,
            seen_unix_ms=now,
            proven_unix_ms=now - proven_s_ago * 1000,
        )
        people = self.desk.store.people(Realm.CUSTOMER)
        await people.add_session(session, session_digest(self.desk.lobby, cookie))
        client = httpx.AsyncClient(
            base_url=self.address,
            cookies={"parvis_session": cookie.reveal()},
            headers={"origin": self.address, "content-type": "application/json"},
            verify=NOBODY,
            trust_env=False,
        )
        self.open.append(client.aclose)
        return client


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Town]:
    """A database in which both customers are, made once and copied for each test; and what is in it."""
    path = tmp_path_factory.mktemp("town") / "store.db"
    return path, asyncio.run(_settle(path))


@pytest.fixture
async def town(settled: tuple[Path, Town], tmp_path: Path, kit: Any) -> AsyncIterator[Town]:
    """A town of one's own."""
    path, made = settled
    shutil.copy(path, tmp_path / "store.db")
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    await store.open()
    announced: list[int] = []
    town = replace(made, desk=desk_on(store, announced), announced=announced, open=[])
    async with kit.listening(make_app(town.desk)) as address:
        town.address = address
        yield town
        for close in town.open:
            await close()
    await store.close()


def desk_on(store: SqlStore, announced: list[int]) -> ConsoleDesk:
    """The desk of the customers' listener; what it announces is counted."""

    async def announce() -> None:
        announced.append(1)

    return ConsoleDesk(store=store, pepper=lambda: b"pepper", clock=SystemClock(), proofs=PROOFS, announce=announce)


async def _settle(path: Path) -> Town:
    store = SqlStore(f"sqlite:///{path}")
    await store.open()
    town = Town(desk_on(store, []))
    await store.add_prices(FIRST_PRICES)
    for entry in (
        model(CHAT, engine="smollm2", context_tokens=4096),
        model(EMBED, engine="minilm", context_tokens=512, embedding=True),
    ):
        await store.put_model(entry)
    await _build(town)
    for who, (organisation_id, role, tenant_id) in PEOPLE.items():
        await _welcome(town, who, organisation_id, role, Target(organisation_id, tenant_id))
    await store.close()
    return town


async def _build(town: Town) -> None:
    """Organisations, tenants, a project in each, a key in each project."""
    desk, store = town.desk, town.desk.store
    for organisation_id, tenant_ids in {ACME: ("acme-a", "acme-b"), RIVAL: ("rival-a",)}.items():
        await create_organisation(desk.office, operator(), organisation_id.title(), organisation_id)
        for tenant_id in tenant_ids:
            tenant = await create_tenant(
                desk.office, operator(), organisation_id, tenant_id.title(), tenant_id, credit_unlimited=True
            )
            project = await create_project(desk.office, tenant_id, f"Project of {tenant_id}", f"proj-{tenant_id}")
            terms = KeyTerms(project_id=project.project_id)
            town.keys[tenant_id] = await create_key(store, desk.mint, tenant, f"key of {tenant_id}", terms=terms)


async def _welcome(town: Town, who: str, organisation_id: str, role: Role, target: Target) -> None:
    """A person with a role and a personal token."""
    desk, store = town.desk, town.desk.store
    person = await create_person(store, desk.mint, Realm.CUSTOMER, organisation_id, f"{who}@example.org", who.title())
    await grant(store, desk.mint, operator(), person.user_id, role, target)
    ends = desk.clock.unix_ms() + YEAR_MS
    town.users[who] = person.user_id
    town.tokens[who] = (await make_token(store, desk.mint, person, f"token of {who}", ends)).text.reveal()
