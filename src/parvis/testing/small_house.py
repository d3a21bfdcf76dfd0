"""A house with a door of the administration, a few routes of its own and a store: for tests of the door."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text
from starlette.requests import Request

from parvis.adapters.store.store import SqlStore
from parvis.api.web.door import Door
from parvis.api.web.places import tenant_place
from parvis.api.web.routes import Route, TheActor, TheDetails, TheTarget
from parvis.core.errors import Conflict, NotAuthenticated
from parvis.core.ids import new_id
from parvis.domain.audit.entry import Entry
from parvis.domain.audit.query import EntryQuery
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Kind, Principal, Right
from parvis.domain.identity.site import HERE, Site
from parvis.testing.empty_store import empty_store

NOW_UNIX_MS = 1_800_000_000_000
HOME, HERS, THEIRS = Target("org", "home"), Target("org", "hers"), Target("other", "theirs")
SECRET = "sk-shown-once"  # noqa: S105 - opens nothing
Json = Annotated[dict[str, Any], dict[str, Any]]


class StillClock:
    """Time goes on when a test says so."""

    now_unix_ms = NOW_UNIX_MS

    def unix_ms(self) -> int:
        return self.now_unix_ms

    def monotonic_s(self) -> float:
        return self.now_unix_ms / 1000


def somebody(*permissions: May, place: Target = HOME, **more: Any) -> Principal:
    """A user with these permissions in one place."""
    return Principal("user usr_1", Kind.USER, "usr_1", "org", (Right(frozenset(permissions), place),), **more)


@dataclass
class House:
    """A desk whose guard lets in whom the test names, and what the routes have done."""

    store: SqlStore
    clock: StillClock = field(default_factory=StillClock)
    who: Principal | None = None
    done: list[str] = field(default_factory=list)
    during: Callable[[], Any] | None = None
    site: Site = HERE
    randomness: Callable[[int], bytes] = os.urandom

    def pepper(self) -> bytes:
        return b"pepper"

    async def guard(self, _: Request) -> Principal:
        if self.who is None:
            raise NotAuthenticated("Sign in.")
        return self.who

    def new_request_id(self) -> str:
        return new_id("req", self.clock.unix_ms())

    async def by_hand(self, statement: str) -> None:
        def act(connection: Connection) -> None:
            connection.execute(text(statement))

        await self.store.database.run(act)

    async def lines(self) -> list[Entry]:
        """The record, oldest first."""
        return list(reversed((await self.store.entries(EntryQuery())).entries))

    async def told(self) -> list[tuple[str, str, str]]:
        return [(line.step, line.action, line.result) for line in await self.lines()]


class Form(BaseModel):
    """What the routes that write take."""

    model_config = ConfigDict(extra="forbid")
    name: str
    colour: str = ""


def routes_of(house: House) -> list[Route]:
    """Reading, writing, removing; with a place and without; a secret in the answer; a note in a place."""

    async def show(target: TheTarget) -> Json:
        return {"place": list(target)}

    async def show_all(actor: TheActor) -> Json:
        return {"places": [list(place) for place in actor.places(May.TENANTS_READ)]}

    async def write(form: Form, details: TheDetails) -> Json:
        house.done.append(form.name)
        details["said"] = "publicly"
        if house.during is not None:
            await house.during()
        return {"object": "house.thing", "id": f"thing_{len(house.done)}", "secret": SECRET}

    async def remove() -> Json:
        house.done.append("removed")
        return {}

    async def public(form: Form) -> Json:
        house.done.append(form.name)
        return {"count": len(house.done)}

    place = "/places/{tenant_id}"
    return [
        Route("GET", "/places", show_all, May.TENANTS_READ),
        Route("GET", place, show, May.TENANTS_READ, target=tenant_place),
        Route("POST", place, write, May.TENANTS_WRITE, 201, target=tenant_place, action="thing.created"),
        Route("DELETE", place, remove, May.TENANTS_WRITE, target=tenant_place, action="thing.deleted", step_up=True),
        Route("POST", "/things", write, May.PROJECTS_WRITE, 201, action="thing.created"),
        Route("POST", "/secrets", write, May.KEYS_WRITE, 201, action="thing.created", secret_answer=True),
        Route(
            "POST", f"{place}/notes/{{note_id}}", write, May.TENANTS_WRITE, target=tenant_place, action="note.written"
        ),
        Route("GET", "/session", show_all, May.OWN_SESSION),
        Route("GET", "/factors", show_all, May.OWN_FACTORS_WRITE),
        Route("POST", "/sign_in", public, May.SIGN_IN, action="login.tried"),
    ]


@asynccontextmanager
async def small_house(folder: Path) -> AsyncIterator[House]:
    """Two organisations: `org` with the tenants `home` and `hers`, `other` with `theirs`."""
    store = SqlStore(empty_store(folder / "store.db"))
    await store.open()
    for organisation_id, tenant_id in (("org", "home"), ("org", "hers"), ("other", "theirs")):
        if tenant_id != "hers":
            await store.create_organisation(organisation_id, organisation_id)
        await store.create_tenant(tenant_id, organisation_id, tenant_id, credit_unlimited=False)
    yield House(store)
    await store.close()


@asynccontextmanager
async def caller_of(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody before the door."""
    door = Door("a house", routes_of(house), house)
    transport = httpx.ASGITransport(door, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The sentence of a refusal."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return str(answer.json()["error"]["message"])


async def conflict() -> None:
    """An expected failure of a handler."""
    raise Conflict("Two of them.")


async def bug() -> None:
    """One that nobody foresaw."""
    raise RuntimeError("a secret detail")
