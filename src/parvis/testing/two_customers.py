"""Two customers and an operator with all that can be theirs, made by the stories themselves: of promise 20.

    house = await furnish(f"sqlite:///{folder}/store.db")
    answer = await house.visitor.ask("console", "GET", "/v1/tenants", house.callers["developer"].headers)

`north` has the tenants `home` (of whoever asks) and `beside`, `south` has `away`. In each tenant there is one of
everything that a path can name.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from sqlalchemy import Connection, inspect, text

from parvis.adapters.certificates.authority import fingerprint, new_authority, sign_request
from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.openid.client import OpenIdClient
from parvis.adapters.outbound.client import OutboundClient
from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import Argon2Passwords
from parvis.adapters.store.store import SqlStore
from parvis.api.console.app import make_app as make_console
from parvis.api.console.desk import ConsoleDesk
from parvis.api.operator.app import make_app as make_operator
from parvis.api.operator.desk import OperatorDesk
from parvis.api.web.routes import Route
from parvis.core.clock import SystemClock
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.domain.billing.party import Buyer, Party, Seller
from parvis.domain.catalog.builtin import entry
from parvis.domain.fleet.deployment import Deployment, Source
from parvis.domain.fleet.explained import Candidate, Explained
from parvis.domain.fleet.hearing import Hearing, Supposed, Told
from parvis.domain.fleet.node import Node
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.routing import Weights
from parvis.domain.identity.key_text import OPERATOR_PREFIX, PERSONAL_PREFIX, PREFIX, read_key, read_other, write_key
from parvis.domain.identity.notice import NoticeTarget, TargetKind
from parvis.domain.identity.openid import Provider
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.identity.session import Means
from parvis.domain.quota.budget import month_of
from parvis.domain.quota.limit import FIRST_TIERS, Level, Limits, SubjectLimits, subject
from parvis.flows.closing import Bookkeeper, close_month
from parvis.flows.deployments import Depot
from parvis.flows.first_start import FIRST_PRICES
from parvis.flows.grants import grant
from parvis.flows.invitations import invite
from parvis.flows.keys import create_key, tenant_named
from parvis.flows.limits import first_tiers
from parvis.flows.lobby import Lobby, Proofs
from parvis.flows.nodes import Certificate, Joining
from parvis.flows.openid_settings import OpenIdHouse
from parvis.flows.organisations import create_project
from parvis.flows.overview import FleetNow, PoolNow, ReplicaNow, TalkerNow
from parvis.flows.people import create_person
from parvis.flows.personal_tokens import make_token
from parvis.flows.receipts import Notary
from parvis.flows.review import Plan, open_campaign
from parvis.flows.sessions import open_session
from parvis.flows.statement_file import write_party
from parvis.flows.statement_store import SELLER
from parvis.testing.answer_witness import AnswerWitness
from parvis.testing.store_suite import NOON_UNIX_MS, PRICES, lent, usage_record

MODEL = "acme/7b"
TOKEN = "the operator's token"  # noqa: S105 - of a store that exists for a test
DAY_MS = 86_400_000
MONTH = month_of(NOON_UNIX_MS)
TARGETS_MAX = 9
WHAT_RUNS = {
    "ready": True,
    "stopping": False,
    "gateways": ["run0"],
    "open_runs": ["run0"],
    "open_requests": 0,
    "replicas": [
        {
            "id": "e-0",
            "engine": "e",
            "kind": "vllm",
            "address": "127.0.0.1:1",
            "state": "ready",
            "seen": "open",
            "why": "",
            "in_flight": 0,
            "pace": 1.0,
            "first_byte_ms": 0,
            "load": {"running": 1, "waiting": 0, "used": 0.5},
            "cache": "salted",
        }
    ],
}
RUNNING = tuple(
    Replica(f"e-{number}", "e", EngineKind.VLLM, f"http://h:{number + 1}", ReplicaState.READY) for number in range(3)
)
ROUTED = Explained("", "e", "e-0", "Equals take turns.", (Candidate("e-0"), Candidate("e-1", "full")), Weights())
_SEEN = ReplicaNow("e-0", "open", "", NOON_UNIX_MS, 1, 4, 20.0, 12)
FLEET = FleetNow(
    at_unix_ms=NOON_UNIX_MS,
    gateways=("run0",),
    span_ms=60_000,
    requests_per_s=1.0,
    tokens_per_s=20.0,
    per_hour=Money(1),
    pools=(PoolNow("e", 1, 1, 4, 0, 20.0, (_SEEN,)),),
    talkers=(TalkerNow("home", 1.0, 20.0, Money(1)),),
)
PLACES = {"own": Target("north", "home"), "sibling": Target("north", "beside"), "foreign": Target("south", "away")}
NOWHERE = "nothing"
"""The place of what does not exist."""
NORTH, HOME = Target("north"), PLACES["own"]
ROLES: dict[str, tuple[Role, Target]] = {
    "member@tenant": (Role.MEMBER, HOME),
    "member@org": (Role.MEMBER, NORTH),
    "billing@tenant": (Role.BILLING_READER, HOME),
    "billing@org": (Role.BILLING_READER, NORTH),
    "auditor@tenant": (Role.AUDITOR, HOME),
    "auditor@org": (Role.AUDITOR, NORTH),
    "developer": (Role.DEVELOPER, HOME),
    "tenant_owner": (Role.TENANT_OWNER, HOME),
    "org_owner": (Role.ORGANISATION_OWNER, NORTH),
    "op_auditor": (Role.OPERATOR_AUDITOR, INSTALLATION),
    "operator": (Role.OPERATOR, INSTALLATION),
}
"""People who come by a session with a fresh proof."""
Ids = dict[str, str]
_WHO_WAS_THERE = re.compile("seen|used|key_uses|challenges|attempts")
"""In the names of columns and of tables: what every visit may change."""


@dataclass(frozen=True)
class Caller:
    """Somebody with a credential, and the same credential with something wrong in it."""

    headers: Mapping[str, str]
    forged: Mapping[str, str]
    own: Ids = field(default_factory=dict)
    """What is theirs alone: session, token."""


class Visitor:
    """Asks the two applications, without a socket between."""

    def __init__(self, console: FastAPI, operator: FastAPI) -> None:
        self._apps = {"console": console, "operator": operator}
        self._witnesses = {name: AnswerWitness(app) for name, app in self._apps.items()}

    @property
    def answered(self) -> set[Route]:
        """Routes that have answered in JSON, as they declare."""
        return set().union(*(witness.seen for witness in self._witnesses.values()))

    def description(self, listener: str) -> dict[str, Any]:
        """Of all its routes, as OpenAPI."""
        return self._apps[listener].openapi()

    async def ask(
        self, listener: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        said, target = bytearray(), path.partition("?")
        every = {"host": "localhost", "origin": "http://localhost", "content-type": "application/json", **headers}
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            said.extend(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target[0],
            "raw_path": target[0].encode(),
            "query_string": target[2].encode(),
            "headers": [(name.encode(), value.encode()) for name, value in every.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        witness = self._witnesses[listener]
        witness.told.clear()
        await witness(scope, receive, send)
        assert not witness.told, f"answers are not what their routes declare: {witness.told}"
        return status, bytes(said)


@dataclass(frozen=True)
class TwoCustomers:
    """The furnished house."""

    store: SqlStore
    visitor: Visitor
    callers: Mapping[str, Caller]
    things: Mapping[str, Ids]
    """By place: the id of one of everything there."""
    staff: Ids
    """Of the operator's own people."""


class _LinkAuthority:
    """Signs for machines, and keeps nothing."""

    def __init__(self) -> None:
        self._identity = new_authority("link", datetime.now(UTC))
        self.fingerprint = fingerprint(self._identity.certificate.public_bytes(Encoding.DER))
        self.certificate_pem = self._identity.certificate_pem()

    def sign(self, request: bytes, name: str, now: datetime) -> Certificate:
        signed = sign_request(self._identity, request, name, now, days=1)
        return Certificate(f"{signed.serial_number:x}", signed.public_bytes(Encoding.PEM))


class _OneGateway:
    """It remembers all requests that were booked, and would send the next one to the same replica."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def of_request(self, request_id: str) -> Hearing:
        booked = await self._store.request(request_id) is not None
        return Hearing(1, 0, (Told("run0", ROUTED),) if booked else ())

    async def of_supposed(self, _: Supposed) -> Hearing:
        return Hearing(1, 0, (Told("run0", ROUTED),))


class Furnisher:
    """Makes it, piece by piece."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        clock, hasher = SystemClock(), PasswordHasher.from_parameters(CHEAPEST)
        proofs = Proofs(
            passwords=Argon2Passwords(hasher), passkeys=WebAuthnSite("http://localhost"), seal_key=lambda: b"s" * 32
        )
        self._console = ConsoleDesk(store=store, pepper=lambda: b"pepper", clock=clock, proofs=proofs)
        openid = OpenIdHouse(
            lobby=self._console.lobby,
            providers=OpenIdClient(OutboundClient((), (), ""), clock),
            seal_key=lambda: b"s" * 32,
            public_url="http://localhost",
        )
        self._console = replace(self._console, openid=openid)
        self._operator = OperatorDesk(
            store=store,
            token=Secret(TOKEN),
            pepper=lambda: b"pepper",
            clock=clock,
            randomness=os.urandom,
            announce=_nobody_listens,
            metrics=lambda: "",
            status=lambda: dict(WHAT_RUNS),
            signer=Ed25519Signer(b"seed" * 8),
            joining=Joining(_LinkAuthority(), _nobody_listens),
            depot=Depot(replicas=lambda: RUNNING),
            fleet=lambda: FLEET,
            witnesses=_OneGateway(store),
            proofs=proofs,
            openid=openid,
        )
        self._mint = self._operator.mint

    async def furnish(self) -> TwoCustomers:
        """All of it."""
        await self._store.put_model(entry(MODEL, engine="e", context_tokens=4096))
        await self._store.add_prices(FIRST_PRICES)
        await self._store.add_prices(PRICES)
        await first_tiers(self._store)
        things: dict[str, Ids] = {}
        for name, place in PLACES.items():
            if not things or place.organisation_id not in {one["organisation_id"] for one in things.values()}:
                await self._organisation(place.organisation_id)
            things[name] = await self._tenant(place, number=len(things))
        await self._invoices(things)
        callers = {name: await self._person(name, *role) for name, role in ROLES.items()}
        staff = {"operator_id": callers["operator"].own["user_id"], **await self._staff()}
        visitor = Visitor(make_console(self._console), make_operator(self._operator))
        programs = await self._programs(callers["org_owner"].own["user_id"])
        return TwoCustomers(self._store, visitor, callers | programs, things, staff)

    async def _organisation(self, organisation_id: str) -> None:
        """With an identity provider that nobody ever calls, and a budget."""
        await self._limit(Level.ORGANISATION, organisation_id, Target(organisation_id))
        await self._store.create_organisation(organisation_id, organisation_id)
        provider = Provider(organisation_id, f"https://login.{organisation_id}.example", "parvis")
        await self._store.put_provider(provider, None)

    async def _tenant(self, place: Target, number: int) -> Ids:
        organisation_id, tenant_id = place
        actor = operator()
        await self._store.create_tenant(tenant_id, organisation_id, tenant_id, credit_unlimited=True)
        project = await create_project(self._operator.office, tenant_id, "p")
        await self._limit(Level.PROJECT, project.project_id, place)
        key = await create_key(self._store, self._mint, await tenant_named(self._store, tenant_id), "k")
        moved = replace(key.key, project_id=project.project_id)
        await self._store.swap_key(key.key, moved)
        email = f"somebody@{tenant_id}.example"
        person = await create_person(self._store, self._mint, Realm.CUSTOMER, organisation_id, email, "Somebody")
        given = await grant(self._store, self._mint, actor, person.user_id, Role.MEMBER, place)
        roles = [(Role.MEMBER, place)]
        invited = await invite(self._store, self._mint, actor, organisation_id, f"guest@{tenant_id}.example", roles)
        due_unix_ms = time.time_ns() // 1_000_000 + DAY_MS
        review = await open_campaign(self._store, self._mint, actor, Plan("r", place, due_unix_ms))
        target = NoticeTarget(f"ntt_{number}", *place, TargetKind.MAIL, email, "en", b"", 1)
        await self._store.add_target(target, TARGETS_MAX)
        await self._store.add_join_code(tenant_id, due_unix_ms)
        node = Node(f"node_{number}", "a machine", f"{number}", 1)
        await self._store.redeem_join_code(tenant_id, node)
        return {
            "organisation_id": organisation_id,
            "tenant_id": tenant_id,
            "node_id": node.node_id,
            "project_id": project.project_id,
            "key_id": key.key.key_id,
            "user_id": person.user_id,
            "grant_id": given.grant_id,
            "invitation_id": invited.invitation.invitation_id,
            "review_id": review.review_id,
            "item_id": f"grant:{given.grant_id}",
            "target_id": target.target_id,
            "request_id": await self._request(place, number, key.key.key_id),
            "token_id": (await self._token(person, Realm.CUSTOMER))[0],
            "session_id": (await self._session(self._console.lobby, person.user_id))[0],
            "name": MODEL,
            "model_id": MODEL,
            "subject": f"key:{key.key.key_id}",
            "tier_id": FIRST_TIERS[0].tier_id,
            "deployment_id": await self._deployment(number),
            "replica_id": RUNNING[number].replica_id,
        }

    async def _deployment(self, number: int) -> str:
        """Engine processes that nobody starts."""
        one = Deployment(deployment_id=f"deployment_{number}", pool="e", source=Source.HERE, weights="w")
        await self._store.add_deployment(one)
        return one.deployment_id

    async def _limit(self, level: Level, one_id: str, place: Target) -> None:
        """A budget that is there to be read."""
        await self._store.put_limits(SubjectLimits(subject(level, one_id), *place, Limits(monthly=Money.euro(5))))

    async def _request(self, place: Target, number: int, key_id: str) -> str:
        """A request that was served and booked."""
        run, known = f"run{number}", usage_record(number, place.tenant_id)
        request_id, organisation_id = f"req_{number:026d}", place.organisation_id
        started = known.started._replace(
            request_id=request_id, organisation_id=organisation_id, key_id=key_id, model_id=MODEL
        )
        record = known._replace(started=started, settled=known.settled._replace(request_id=request_id))
        await lent(self._store, place.tenant_id, run, Money.euro(1), run)
        await self._store.ingest(run, 1, [record])
        return started.request_id

    async def _invoices(self, things: Mapping[str, Ids]) -> None:
        """Of the month of all these requests: one for each organisation, after their receipts."""
        desk, clock = self._operator, SystemClock()
        await Notary(self._store, desk.signer, clock, os.urandom).seal()
        party = Party("Somebody", "Street 1", "75002", "Paris", vat_id="FR96552100554")
        await self._store.put_party(SELLER, write_party(Seller(party)))
        for organisation_id in sorted({ids["organisation_id"] for ids in things.values()}):
            await self._store.put_party(organisation_id, write_party(Buyer(party)))
            issued = await close_month(Bookkeeper(self._store, desk.signer, clock), organisation_id, MONTH)
            for ids in things.values():
                if ids["organisation_id"] == organisation_id:
                    ids["number"] = issued.number

    async def _person(self, name: str, role: Role, place: Target) -> Caller:
        """Somebody of this role, signed in a moment ago."""
        realm = Realm.CUSTOMER if place.organisation_id else Realm.OPERATOR
        email = f"{name.replace('@', '.')}@north.example"
        person = await create_person(self._store, self._mint, realm, place.organisation_id, email, name)
        await grant(self._store, self._mint, operator(), person.user_id, role, place)
        lobby = self._console.lobby if realm is Realm.CUSTOMER else self._operator.lobby
        session_id, cookie = await self._session(lobby, person.user_id)
        token_id, _ = await self._token(person, realm)
        called = "parvis_session" if realm is Realm.CUSTOMER else "parvis_operator_session"
        own = {"user_id": person.user_id, "session_id": session_id, "token_id": token_id}
        return Caller({"cookie": f"{called}={cookie}"}, {"cookie": f"{called}={cookie[1:]}{_other(cookie[0])}"}, own)

    async def _session(self, lobby: Lobby, user_id: str) -> tuple[str, str]:
        dossier = await lobby.people.dossier(user_id)
        assert dossier
        opened = await open_session(lobby, dossier, Means.OPENID, "127.0.0.1", complete=True)
        return opened.session.session_id, opened.cookie.reveal()

    async def _token(self, person: Person, realm: Realm) -> tuple[str, str]:
        ends_unix_ms = time.time_ns() // 1_000_000 + DAY_MS
        made = await make_token(self._store, self._mint, person, "t", ends_unix_ms, (), realm)
        return made.token.token_id, made.text.reveal()

    async def _staff(self) -> Ids:
        """What there is of the operator's people."""
        person = await create_person(self._store, self._mint, Realm.OPERATOR, "", "staff@operator.example", "Staff")
        role = (Role.OPERATOR_AUDITOR, INSTALLATION)
        given = await grant(self._store, self._mint, operator(), person.user_id, *role)
        guest = "guest@operator.example"
        invited = await invite(self._store, self._mint, operator(), "", guest, [role], Realm.OPERATOR)
        return {
            "staff_id": person.user_id,
            "grant_id": given.grant_id,
            "invitation_id": invited.invitation.invitation_id,
        }

    async def _programs(self, owner_id: str) -> dict[str, Caller]:
        """Who comes by something else than a session."""
        tenant = await tenant_named(self._store, HOME.tenant_id)
        key = (await create_key(self._store, self._mint, tenant, "k2")).text.reveal()
        owner = await self._store.people(Realm.CUSTOMER).person(owner_id)
        assert owner
        token_id, token = await self._token(owner, Realm.CUSTOMER)
        return {
            "nobody": Caller({}, _bearing("nothing that we made")),
            "key": Caller(_bearing(key), _bearing(forged(key))),
            "owner_token": Caller(_bearing(token), _bearing(forged(token)), {"token_id": token_id}),
            "token": Caller(_bearing(TOKEN), _bearing(TOKEN[:-1])),
        }


async def by_hand(store: SqlStore, statement: str) -> None:
    """Do this to the database behind the store's back."""

    def act(connection: Connection) -> None:
        connection.execute(text(statement))

    await store.database.run(act)


async def forbid_the_record(store: SqlStore) -> None:
    """From now on no line can be added to it; everything else can be written."""
    await by_hand(store, "CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END")


async def contents(store: SqlStore) -> dict[str, list[Any]]:
    """All rows of all tables, without what tells who was there."""

    def read(connection: Connection) -> dict[str, list[Any]]:
        seen, found = inspect(connection), {}
        for table in seen.get_table_names():
            columns = [c["name"] for c in seen.get_columns(table) if not _WHO_WAS_THERE.search(f"{table}.{c['name']}")]
            rows = text(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names of our own tables
            found[table] = [tuple(row) for row in connection.execute(rows)] if columns else []
        return found

    return await store.database.read(read)


async def furnish(url: str) -> TwoCustomers:
    """Open the store at `url`, which is empty, and fill it."""
    store = SqlStore(url)
    await store.open()
    return await Furnisher(store).furnish()


def forged(text: str) -> str:
    """The same id and another secret, with the right checksum: nothing but the comparison can tell."""
    for prefix in (PERSONAL_PREFIX, OPERATOR_PREFIX):
        if known := read_other(prefix, text):
            return write_key(known.key_id, Secret(_turned(known.secret.reveal())), prefix).reveal()
    key = read_key(text)
    assert key
    return write_key(key.key_id, Secret(_turned(key.secret.reveal())), PREFIX).reveal()


def _turned(secret: str) -> str:
    return secret[1:] + _other(secret[0])


def _other(letter: str) -> str:
    return "0" if letter != "0" else "1"


def _bearing(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


async def _nobody_listens() -> None:
    """There are no gateways."""
