"""What a new customer does in the first hour: on the whole service, with real processes, through every door.

An operator creates an organisation; its owner comes by the invitation's link, with a second factor, and invites a
developer; the developer makes a key for one model, calls it, rotates it under load without one failed call, revokes it,
and sees it refused. The second is judged at level N; with every `make test` only hangs fail.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyotp
import pytest
from openai import APIStatusError, AsyncOpenAI, AuthenticationError, NotFoundError, PermissionDeniedError

from parvis.testing.browser import Browser, browser
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service

MODEL, OTHER = "fake-8b", "fake-9b"
PASSWORD = "a long phrase that nobody else would think of"
CALLERS = {"C": 4, "N": 32}
CALLS_BEFORE, CALLS_AFTER = {"C": 5, "N": 200}, {"C": 5, "N": 200}
REVOKED_S_MAX = {"C": 20.0, "N": 1.0}
STEP_S_MAX = 60.0
LOADED_MS = 20
WORKERS = 2


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("story") / "home"
    with fake_engine() as one, fake_engine() as two:
        engines = {"one": served_by(one, model=MODEL), "two": served_by(two, model=OTHER)}
        with service(home, engines=engines, env={"PARVIS_INFERENCE__WORKERS": str(WORKERS)}) as started:
            yield started


def console_of(running: Service) -> str:
    return f"http://{running.environ['PARVIS_CONSOLE__LISTEN']}"


async def command(running: Service, *words: str) -> Any:
    """What `parvis ... -o json` says."""
    done = await asyncio.to_thread(running.command, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@asynccontextmanager
async def client_of(base_url: str, api_key: str = "", admin_api_key: str | None = None) -> AsyncIterator[AsyncOpenAI]:
    """The official client, for models or for administration."""
    async with AsyncOpenAI(
        base_url=base_url, api_key=api_key, admin_api_key=admin_api_key, max_retries=0, timeout=STEP_S_MAX
    ) as client:
        yield client


@asynccontextmanager
async def arrived(running: Service, invitation: str, email: str) -> AsyncIterator[tuple[Browser, AsyncOpenAI]]:
    """Somebody who followed the link of an invitation, with a second factor: their browser, and their program."""
    async with browser(console_of(running)) as page:
        accepted = await page.post("/v1/invitations/accept", token=invitation, name="Somebody", password=PASSWORD)
        assert accepted.status_code == 201, accepted.text
        assert (await page.sign_in(email, PASSWORD)).json()["must"] == "must_enrol"
        app: pyotp.TOTP = await page.enrol_app(int(time.time() * 1000))
        assert app.digits == 6
        made = await page.post("/v1/organization/admin_api_keys", name="program", expires_in_seconds=3600)
        token = made.json()["value"]
        async with client_of(f"{console_of(running)}/v1", admin_api_key=token) as program:
            yield page, program


class Caller:
    """An application: reads its key from a file for each call, and never stops."""

    def __init__(self, running: Service, key_file: Path) -> None:
        self._running = running
        self._file = key_file
        self.by_key: dict[str, int] = {}
        """How many calls succeeded, by the key that was shown."""
        self.failures: list[str] = []

    async def call_until(self, stop: asyncio.Event) -> None:
        async with client_of(self._running.base_url, api_key="in the file") as client:
            while not stop.is_set():
                key = key_in(self._file)
                try:
                    await said(client.with_options(api_key=key))
                except APIStatusError as refused:
                    self.failures.append(f"{refused.status_code} {refused.code}")
                else:
                    self.by_key[key] = self.by_key.get(key, 0) + 1

    async def has_called(self, key: str, times: int) -> None:
        """Wait until so many calls with this key have succeeded, or one has failed."""
        async with asyncio.timeout(STEP_S_MAX):
            while self.by_key.get(key, 0) < times and not self.failures:  # noqa: ASYNC110 - it counts for many
                await asyncio.sleep(0.01)


def key_in(file: Path) -> str:
    return file.read_text().strip()


def put_key(file: Path, key: str) -> None:
    file.write_text(key)


async def said(client: AsyncOpenAI, model: str = MODEL) -> str:
    messages: Any = [{"role": "user", "content": f"@first_ms={LOADED_MS}"}]
    answer = await client.chat.completions.create(model=model, messages=messages, max_tokens=4)
    return answer.choices[0].message.content or ""


async def refused_after(client: AsyncOpenAI, within_s: float) -> float:
    """Seconds until a call is refused on both workers, over fresh connections."""
    since_s, in_a_row = time.monotonic(), 0
    while in_a_row < 3 * WORKERS:
        try:
            await said(client)
            in_a_row = 0
        except AuthenticationError:
            in_a_row += 1
        assert time.monotonic() - since_s < within_s, "the key still opens"
    return time.monotonic() - since_s


async def rotate(running: Service, key_file: Path) -> str:
    """What the agent beside the application does; the key that is in the file afterwards."""
    words = ("key", "sync", "--url", console_of(running), "--file", str(key_file), "--rotate")
    done = await asyncio.to_thread(running.command, *words)
    assert done.returncode == 0, done.stderr
    return key_in(key_file)


async def test_a_customer_comes_works_rotates_and_revokes(running: Service, tmp_path: Path, level: str) -> None:
    await command(running, "org", "create", "Acme", "--id", "acme")
    await command(running, "tenant", "create", "acme", "Research", "--id", "research", "--unlimited")
    invited = await command(running, "user", "invite", "acme", "ada@example.org", "--role", "organisation_owner")

    async with arrived(running, invited["link"], "ada@example.org") as (_, ada):
        owner = ada.admin.organization
        project = await owner.projects.create(name="Chatbot")
        assert project.to_dict()["tenant_id"] == "research"
        invite = await owner.invites.create(
            email="bob@example.org", role="reader", projects=[{"id": project.id, "role": "member"}]
        )
        link = invite.to_dict()["link"]
        async with arrived(running, str(link), "bob@example.org") as (page, bob):
            form = {"name": "chatbot", "models": [MODEL], "project_id": project.id}
            made = (await page.post("/v1/tenants/research/keys", **form)).json()
            await _works_for_one_model(running, made["key"])
            await _rotates_under_load(running, page, tmp_path / "key", made, level)
            await _is_revoked(running, page, tmp_path / "key", made["id"], level)
            with pytest.raises(PermissionDeniedError):
                await bob.admin.organization.users.list()
        await _is_seen_by_its_owner(owner, project.id, made["id"])
    assert running.check() == []


async def _works_for_one_model(running: Service, key: str) -> None:
    async with client_of(running.base_url, api_key=key) as client:
        assert await said(client)
        assert [model.id async for model in client.models.list()] == [MODEL]
        with pytest.raises(NotFoundError):
            await said(client, OTHER)


async def _rotates_under_load(running: Service, page: Browser, file: Path, made: Any, level: str) -> None:
    put_key(file, made["key"])
    caller, stop = Caller(running, file), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS[level]):
            group.create_task(caller.call_until(stop))
        try:
            await caller.has_called(made["key"], CALLS_BEFORE[level])
            successor = await rotate(running, file)
            await caller.has_called(successor, CALLS_AFTER[level] + CALLERS[level])
            ended = await page.post(f"/v1/keys/{made['id']}/rotation", act="end_old")
            assert ended.status_code == 200, ended.text
            await caller.has_called(successor, caller.by_key.get(successor, 0) + CALLS_AFTER[level])
        finally:
            stop.set()
    assert caller.failures == []
    assert set(caller.by_key) == {made["key"], successor}
    async with client_of(running.base_url, api_key=made["key"]) as old:
        await refused_after(old, REVOKED_S_MAX[level])


async def _is_revoked(running: Service, page: Browser, file: Path, key_id: str, level: str) -> None:
    async with client_of(running.base_url, api_key=key_in(file)) as client:
        assert await said(client)
        assert (await page.delete(f"/v1/keys/{key_id}")).status_code == 200
        await refused_after(client, REVOKED_S_MAX[level])


async def _is_seen_by_its_owner(owner: Any, project_id: str, key_id: str) -> None:
    """People, keys, usage and the record, through the official client."""
    assert {user.email async for user in owner.users.list()} == {"ada@example.org", "bob@example.org"}
    assert [key async for key in owner.projects.api_keys.list(project_id)] == []
    done = [entry.type async for entry in owner.audit_logs.list(resource_ids=[key_id])]
    assert {"api_key.created", "api_key.synced", "api_key.deleted"} <= set(done)
    start = int(time.time()) - 86_400
    async with asyncio.timeout(STEP_S_MAX):
        while True:
            page = await owner.usage.completions(start_time=start, group_by=["api_key_id", "model"])
            found = [result for bucket in page.data for result in bucket.results]
            if any((result.api_key_id, result.model) == (key_id, MODEL) for result in found):
                break
            await asyncio.sleep(0.1)


async def test_an_operator_does_the_same_by_commands(running: Service, tmp_path: Path, level: str) -> None:
    await command(running, "org", "create", "Globex", "--id", "globex")
    await command(running, "tenant", "create", "globex", "Labs", "--id", "labs", "--unlimited")
    await command(running, "project", "create", "labs", "Chatbot", "--id", "chatbot")
    made = await command(running, "key", "create", "bot", "--tenant", "labs", "--model", MODEL, "--project", "chatbot")
    await _works_for_one_model(running, made["key"])
    file = tmp_path / "key"
    put_key(file, made["key"])
    successor = await rotate(running, file)
    async with client_of(running.base_url, api_key=successor) as client:
        for key in (made["key"], successor):
            assert await said(client.with_options(api_key=key))
        who = await command(running, "access", "who", "--model", MODEL, "--tenant", "labs")
        assert [line["id"] for line in who if line["means"] == "key"] == [made["id"]]
        await command(running, "key", "revoke", made["id"])
        await refused_after(client, REVOKED_S_MAX[level])
