"""The administration as it is in production: a real store on SQLite, real listeners on loopback, a real client."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server, socket
from typing import Any

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from fastapi import FastAPI

from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.api.console.desk import ConsoleDesk
from parvis.api.operator.desk import OperatorDesk
from parvis.api.web.routes import Route
from parvis.core.clock import SystemClock
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import cost
from parvis.domain.catalog.builtin import entry
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord
from parvis.flows.first_start import FIRST_PRICES, TENANT_ID, first_start
from parvis.flows.invitations import accept, invite
from parvis.flows.keys import NewKey, create_key, tenant_named
from parvis.flows.lobby import Proofs
from parvis.testing.answer_witness import AnswerWitness
from parvis.testing.empty_store import empty_store
from parvis.testing.store_suite import lent

TOKEN = "the operator's token"
PEPPER = b"pepper"
DAY_MS = 86_400_000
OTHER = "other"
PASSWORD = "a sufficiently long phrase"
PROOFS = Proofs(
    passwords=Argon2Passwords(PasswordHasher.from_parameters(CHEAPEST)),
    passkeys=WebAuthnSite("http://localhost"),
    seal_key=lambda: b"seal" * 8,
)
"""Of hashes that cost nothing: what a slow one is for has its own tests."""
CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"


class MovableClock(SystemClock):
    """The machine's time, and as much later as a test says."""

    ahead_ms = 0

    def unix_ms(self) -> int:
        return super().unix_ms() + self.ahead_ms


@dataclass
class Premises:
    """A furnished store, its two desks, and what the operator's changes have announced."""

    store: SqlStore
    first: NewKey
    other: NewKey
    announced: list[int] = field(default_factory=list)
    clock: MovableClock = field(default_factory=MovableClock)
    status: dict[str, Any] = field(
        default_factory=lambda: {
            "ready": False,
            "stopping": False,
            "gateways": [],
            "open_runs": [],
            "open_requests": 0,
            "replicas": [],
        }
    )

    async def announce(self) -> None:
        self.announced.append(len(await self.store.keys()))

    def operator_desk(self) -> OperatorDesk:
        return OperatorDesk(
            store=self.store,
            token=Secret(TOKEN),
            pepper=lambda: PEPPER,
            clock=self.clock,
            randomness=os.urandom,
            announce=self.announce,
            metrics=lambda: "parvis_requests_total 3\n",
            status=lambda: self.status,
            signer=Ed25519Signer(b"signing seed".ljust(32)),
            proofs=PROOFS,
        )

    def console_desk(self) -> ConsoleDesk:
        return ConsoleDesk(store=self.store, pepper=lambda: PEPPER, clock=self.clock, proofs=PROOFS)

    async def person(
        self, email: str, *roles: tuple[Role, Target], password: str = PASSWORD, realm: Realm = Realm.CUSTOMER
    ) -> Person:
        """Somebody who accepted an invitation of the operator's."""
        mint, organisation_id = self.operator_desk().mint, self.first.key.organisation_id
        place = organisation_id if realm is Realm.CUSTOMER else ""
        _, link = await invite(self.store, mint, operator(), place, email, roles, realm)
        return await accept(self.store, mint, PROOFS.passwords, link, "Ada", Secret(password), realm)

    async def use(self, key: NewKey, requests: list[UsageRecord]) -> None:
        """Book these requests, as ingest does."""
        tenant, run = key.key.tenant_id, f"run-{key.key.tenant_id}"
        await lent(self.store, tenant, run, Money.euro(1), f"grant-{tenant}")
        await self.store.ingest(run, len(requests), requests)


@pytest.fixture
async def premises(tmp_path: Path) -> AsyncIterator[Premises]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"))
    await store.open()
    desk = Premises(store, None, None)  # type: ignore[arg-type]  # its own desk makes the keys, below
    models = [
        entry(CHAT, engine="smollm2", context_tokens=4096),
        entry(EMBED, engine="minilm", context_tokens=512, embedding=True),
    ]
    mint = desk.operator_desk().mint
    first = (await first_start(store, mint, models)).key
    assert first
    await store.create_tenant(OTHER, first.key.organisation_id, "Other", credit_unlimited=True)
    desk.first, desk.other = first, await create_key(store, mint, await tenant_named(store, OTHER), "other", [EMBED])
    yield desk
    await store.close()


@asynccontextmanager
async def listening(app: FastAPI, answered: set[Route] | None = None) -> AsyncIterator[str]:
    """Serve on a free port of loopback; gives `http://127.0.0.1:PORT`. Every answer must be what its route declares.

    Those that were are added to `answered`.
    """
    # As control gets its sockets: by descriptor. Made here, asyncio would not know them as TCP and leave Nagle on.
    sock = socket(fileno=create_server(("127.0.0.1", 0)).detach())
    witness = AnswerWitness(app)
    server = uvicorn.Server(uvicorn.Config(witness, log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(server._serve([sock]))
    while not server.started:  # noqa: ASYNC110 - it has no event to wait for
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert not witness.told, f"answers are not what their routes declare: {witness.told}"
        if answered is not None:
            answered |= witness.seen
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def client_of(app: FastAPI, credential: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {credential}"} if credential else {}
    async with listening(app) as address, httpx.AsyncClient(base_url=address, headers=headers) as client:
        yield client


def record(key: NewKey, number: int, *, model: str = CHAT, day: int = 0) -> UsageRecord:
    """A request of some tokens on some day, priced as the story prices it."""
    tokens = TokenCount(10 * number, number, 3 * number, 2)
    due = cost(tokens, FIRST_PRICES).pico_euro
    started = Started(
        f"req_{key.key.tenant_id}_{number:04d}",
        key.key.organisation_id,
        key.key.tenant_id,
        key.key.key_id,
        model,
        Operation.CHAT,
        "smollm2-0",
        FIRST_PRICES.version,
        held_pico_euro=due * 2,
        streamed=True,
        started_unix_ms=1_784_000_000_000 + day * DAY_MS + number,
    )
    settled = Settled(started.request_id, Outcome.COMPLETED, tokens, billed_pico_euro=due, first_byte_ms=5, total_ms=50)
    return UsageRecord(started, settled)


@contextmanager
def occupied() -> Iterator[int]:
    """A port that another program has taken, which hangs up on whoever calls."""
    with create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(0.01)
        yield sock.getsockname()[1]


class Kit:
    """What tests of this folder take from here: test folders are no packages."""

    listening = staticmethod(listening)
    client_of = staticmethod(client_of)
    record = staticmethod(record)
    occupied = staticmethod(occupied)
    token = TOKEN
    first_tenant = TENANT_ID
    password = PASSWORD


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Builders and names."""
    return Kit()
