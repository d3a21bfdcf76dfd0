"""What a key is for, at a real gateway: models, endpoints, addresses, time; and what of it only the log tells."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.key_text import read_key, write_key
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.scope import Endpoint, KeyScope
from parvis.testing.locksmith import Locksmith
from parvis.testing.service import wait_until

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"
HOUR_MS = 3_600_000
BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": CHAT, "messages": [{"role": "user", "content": "@tokens=1"}]},
    "/completions": {"model": CHAT, "prompt": "@tokens=1"},
    "/embeddings": {"model": EMBED, "input": "hello"},
    "/rerank": {"model": EMBED, "query": "hello", "documents": ["hello"]},
}


@pytest.fixture
async def locksmith(house: Any) -> AsyncIterator[Locksmith]:
    async with Locksmith(house.service.home) as made:
        yield made


@pytest.fixture
async def client(house: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=house.service.base_url, trust_env=False, timeout=30) as one:
        yield one


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def known(client: httpx.AsyncClient, text: str) -> str:
    """The key, once the gateway knows it."""
    await until(client, text, 401, same=False)
    return text


async def until(client: httpx.AsyncClient, text: str, status: int, *, same: bool = True) -> None:
    """Wait until the list of models is answered with this status, or with another."""
    async with asyncio.timeout(20):
        while ((await client.get("/models", headers=bearer(text))).status_code == status) != same:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def ask(client: httpx.AsyncClient, text: str, path: str, **fields: object) -> tuple[int, str]:
    """The status, and the code of an error."""
    answer = await client.post(path, json={**BODIES[path], **fields}, headers=bearer(text))
    return answer.status_code, answer.json().get("error", {}).get("code", "")


# ---------------------------------------------------------------------------------------------------- models


async def test_a_model_beyond_the_scope_does_not_exist(client: httpx.AsyncClient, locksmith: Locksmith) -> None:
    _, text = await locksmith.make(scope=KeyScope(("*",), ("other*",)))
    listed = (await client.get("/models", headers=bearer(await known(client, text)))).json()
    assert [model["id"] for model in listed["data"]] == [EMBED, CHAT]
    assert (await client.get(f"/models/{CHAT}", headers=bearer(text))).status_code == 200
    hidden = await client.get(f"/models/{OTHER}", headers=bearer(text))
    unknown = await client.get("/models/nothing", headers=bearer(text))
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.text.replace(OTHER, "nothing") == unknown.text
    assert await ask(client, text, "/chat/completions") == (200, "")
    assert await ask(client, text, "/chat/completions", model=OTHER) == (404, "model_not_found")


async def test_a_tenant_bounds_its_keys_from_the_next_moment_on(
    client: httpx.AsyncClient, locksmith: Locksmith
) -> None:
    first = await locksmith.tenant()
    await locksmith.store.create_tenant("bounded", first.organisation_id, "Bounded", credit_unlimited=True)
    bounded = next(one for one in await locksmith.store.tenants() if one.tenant_id == "bounded")
    _, text = await locksmith.make(bounded)
    assert await ask(client, await known(client, text), "/chat/completions", model=OTHER) == (200, "")
    await locksmith.store.put_tenant(replace(bounded, models_allowed=(CHAT,)))
    async with asyncio.timeout(20):
        while (await ask(client, text, "/chat/completions", model=OTHER))[0] != 404:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)
    assert await ask(client, text, "/chat/completions") == (200, "")
    await locksmith.store.put_tenant(replace(bounded, standing=Standing.SUSPENDED))
    await until(client, text, 401)
    await locksmith.store.put_tenant(bounded)
    await until(client, text, 200)
    organisation = (await locksmith.store.organisations())[0]
    await locksmith.store.put_organisation(replace(organisation, standing=Standing.SUSPENDED))
    await until(client, text, 401)
    await locksmith.store.put_organisation(organisation)
    await until(client, text, 200)


async def test_an_operator_may_let_callers_know_what_is_forbidden(
    client: httpx.AsyncClient, locksmith: Locksmith, house: Any
) -> None:
    _, text = await locksmith.make(scope=KeyScope((CHAT,)))
    await known(client, text)
    settings = house.service.home / "parvis.toml"
    before = settings.read_text()
    for told, expected in (("403", (403, "permission_denied")), ("404", (404, "model_not_found"))):
        settings.write_text(f'{before}[inference]\nforbidden_model = "{told}"\n')
        reloaded = await asyncio.to_thread(house.service.command, "reload")
        assert reloaded.returncode == 0, reloaded.stderr
        assert await ask(client, text, "/chat/completions", model=OTHER) == expected
        assert (await client.get(f"/models/{OTHER}", headers=bearer(text))).status_code == expected[0]
        assert await ask(client, text, "/chat/completions", model="nothing") == (404, "model_not_found")
    settings.write_text(before)


# ------------------------------------------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (Endpoint.CHAT, "/chat/completions"),
        (Endpoint.COMPLETIONS, "/completions"),
        (Endpoint.EMBEDDINGS, "/embeddings"),
        (Endpoint.RERANK, "/rerank"),
        (Endpoint.MODELS, "/models"),
    ],
)
async def test_a_key_opens_its_endpoint_and_no_other(
    client: httpx.AsyncClient, locksmith: Locksmith, endpoint: Endpoint, path: str
) -> None:
    _, text = await locksmith.make(scope=KeyScope(endpoints=(endpoint,)))
    await known(client, text)
    for one in BODIES:
        assert (await ask(client, text, one))[0] == (200 if one == path else 403)
    for one in ("/models", f"/models/{CHAT}"):
        answer = await client.get(one, headers=bearer(text))
        assert answer.status_code == (200 if endpoint is Endpoint.MODELS else 403)
        if endpoint is not Endpoint.MODELS:
            error = answer.json()["error"]
            assert (error["code"], error["type"]) == ("permission_denied", "permission_error")
            assert "'models'" in error["message"]


# --------------------------------------------------------------------------------- refusals, and what is told of them


async def refused(client: httpx.AsyncClient, text: str, complained: "Log") -> str:
    """The reason that the log gives for a refusal which its caller cannot tell from another."""
    before = len(complained.refusals())
    answer = await client.get("/models", headers=bearer(text))
    assert answer.status_code == 401
    told = answer.json()["error"]
    assert told == {
        "message": "Incorrect API key provided. Check that it was copied whole, and that it has not been revoked.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    wait_until(lambda: len(complained.refusals()) > before, "the refusal is in the log")
    line = complained.refusals()[-1]
    assert (line["request_id"], line["address"]) == (answer.headers["x-request-id"], "127.0.0.1")
    shown = read_key(text) if line["reason"] != "unknown id" else None
    assert line.get("key_id") == (shown.key_id if shown else None)
    assert text.split("_")[-2] not in complained.text()
    return str(line["reason"])


class Log:
    """What the service has complained of."""

    def __init__(self, house: Any) -> None:
        self._service = house.service

    def text(self) -> str:
        said: str = self._service.complained()
        return said

    def refusals(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["message"] == "credential refused"]


async def test_refusals_are_told_apart_by_the_log_and_not_by_the_caller(
    client: httpx.AsyncClient, locksmith: Locksmith, house: Any
) -> None:
    now = time.time_ns() // 1_000_000
    tenant = await locksmith.tenant()
    suspended = replace(tenant, tenant_id="suspended")
    await locksmith.store.create_tenant("suspended", tenant.organisation_id, "Suspended", credit_unlimited=True)
    await locksmith.store.put_tenant(replace(suspended, standing=Standing.SUSPENDED))
    texts = {
        "revoked": (await locksmith.make(active=False))[1],
        "key expired": (await locksmith.make(ends_unix_ms=now))[1],
        "tenant not active": (await locksmith.make(suspended))[1],
        "address not allowed": (await locksmith.make(scope=KeyScope(addresses=("192.0.2.0/24",))))[1],
        "secret ended": await ended(locksmith, now),
    }
    good, good_text = await locksmith.make(scope=KeyScope(addresses=("127.0.0.0/8",)))
    texts["wrong secret"] = write_key(good.key_id, Secret("0" * 40)).reveal()
    texts["unknown id"] = write_key("0" * 16, Secret("0" * 40)).reveal()
    texts["malformed"] = good_text[:-1]
    await known(client, good_text)  # and so all that was made before it
    log = Log(house)
    assert {reason: await refused(client, text, log) for reason, text in texts.items()} == {one: one for one in texts}


async def ended(locksmith: Locksmith, now: int) -> str:
    """The text of a key's older secret, which has ended."""
    key, text = await locksmith.make()
    newer = KeySecret(bytes(32), now + 1)
    older = replace(key.secrets[0], ends_unix_ms=now + 2)
    await locksmith.store.swap_key(key, replace(key, secrets=(newer, older)))
    return text


async def test_a_secret_works_until_its_end_and_not_a_moment_longer(
    client: httpx.AsyncClient, locksmith: Locksmith
) -> None:
    key, text = await locksmith.make()
    await known(client, text)
    end = time.time_ns() // 1_000_000 + 1_500
    older = replace(key.secrets[0], ends_unix_ms=end)
    await locksmith.store.swap_key(key, replace(key, secrets=(KeySecret(bytes(32), end), older)))
    while time.time_ns() // 1_000_000 < end - 50:
        assert (await client.get("/models", headers=bearer(text))).status_code == 200
        await asyncio.sleep(0.02)
    await asyncio.sleep(max(0, end + 1 - time.time_ns() // 1_000_000) / 1000)
    assert (await client.get("/models", headers=bearer(text))).status_code == 401


async def test_the_last_use_of_a_key_is_written_down(client: httpx.AsyncClient, locksmith: Locksmith) -> None:
    key, text = await locksmith.make()
    await known(client, text)
    before = time.time_ns() // 1_000_000
    await client.get("/models", headers=bearer(text))
    await last_use(locksmith, key, before)


async def last_use(locksmith: Locksmith, key: ApiKey, at_least_unix_ms: int) -> None:
    async with asyncio.timeout(30):
        while True:
            uses = await locksmith.store.uses([key.key_id])
            assert all(use.made_unix_ms == key.secrets[0].made_unix_ms for use in uses)
            if uses and uses[0].last_unix_ms >= at_least_unix_ms:
                return
            await asyncio.sleep(0.05)
