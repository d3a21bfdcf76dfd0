"""Requests that are sent again under the same `Idempotency-Key`, at the door of both administration listeners."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.api.web.repetition import KEPT_MS, LOST_MS
from parvis.core.errors import Unavailable
from parvis.domain.identity.permission import Permission as May
from parvis.testing.small_house import (
    NOW_UNIX_MS,
    SECRET,
    House,
    bug,
    caller_of,
    conflict,
    refused,
    small_house,
    somebody,
)

ONCE = {"idempotency-key": "once"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with small_house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller_of(house) as caller:
        yield caller


async def test_the_same_request_again_gets_the_same_answer(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    first = await client.post("/things", json={"name": "x"}, headers=ONCE)
    again = await client.post("/things", json={"name": "x"}, headers=ONCE)
    assert (again.status_code, again.json(), house.done) == (201, first.json(), ["x"])
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert len(await house.lines()) == 2


async def test_another_request_needs_another_key(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE, May.KEYS_WRITE)
    await client.post("/things", json={"name": "x"}, headers=ONCE)
    for path, name in (("/things", "y"), ("/secrets", "x"), ("/things?x=1", "x")):
        refused(await client.post(path, json={"name": name}, headers=ONCE), 409, "idempotency_key_reused")
    house.who = replace(house.who, name="user usr_2")
    assert (await client.post("/things", json={"name": "y"}, headers=ONCE)).status_code == 201
    assert house.done == ["x", "y"]


async def test_a_key_is_remembered_for_a_day(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    for later_ms in (0, KEPT_MS, KEPT_MS + 1):
        house.clock.now_unix_ms = NOW_UNIX_MS + later_ms
        await client.post("/things", json={"name": "x"}, headers=ONCE)
    assert house.done == ["x", "x"]


async def test_while_the_first_runs_the_second_waits(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    goes_on, began = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await goes_on.wait()

    house.during = wait
    first = asyncio.create_task(client.post("/things", json={"name": "x"}, headers=ONCE))
    await began.wait()
    second = await client.post("/things", json={"name": "x"}, headers=ONCE)
    refused(second, 409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"
    goes_on.set()
    assert (await first).status_code == 201
    assert (await client.post("/things", json={"name": "x"}, headers=ONCE)).json() == (await first).json()
    assert house.done == ["x"]


async def test_a_refusal_leaves_the_key_free(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    assert (await client.post("/things", json={}, headers=ONCE)).status_code == 400
    house.during = conflict
    assert (await client.post("/things", json={"name": "x"}, headers=ONCE)).status_code == 409
    house.during = None
    assert (await client.post("/things", json={"name": "y"}, headers=ONCE)).status_code == 201


async def away() -> None:
    raise Unavailable("Perhaps it was done.")


@pytest.mark.parametrize("during", [bug, away])
async def test_what_broke_midway_is_not_done_again(
    house: House, client: httpx.AsyncClient, during: Callable[[], Any]
) -> None:
    house.who, house.during = somebody(May.PROJECTS_WRITE), during
    assert (await client.post("/things", json={"name": "x"}, headers=ONCE)).status_code >= 500
    house.during = None
    again = await client.post("/things", json={"name": "x"}, headers=ONCE)
    assert "broke midway" in refused(again, 409, "idempotent_result_not_kept")
    assert house.done == ["x"]


async def test_a_key_whose_process_died_is_free_after_a_while(house: House, client: httpx.AsyncClient) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    house.during = lambda: house.by_hand("PRAGMA query_only = ON")  # the answer cannot be kept: as if it had died
    await client.post("/things", json={"name": "x"}, headers=ONCE)
    house.during = None
    await house.store.close()
    await house.store.open()
    for later_ms, code in ((LOST_MS, 409), (LOST_MS + 1, 201)):
        house.clock.now_unix_ms = NOW_UNIX_MS + later_ms
        assert (await client.post("/things", json={"name": "x"}, headers=ONCE)).status_code == code


async def test_an_answer_with_a_secret_is_not_kept(house: House, client: httpx.AsyncClient, tmp_path: Path) -> None:
    house.who = somebody(May.KEYS_WRITE)
    assert (await client.post("/secrets", json={"name": "x"}, headers=ONCE)).json()["secret"] == SECRET
    again = await client.post("/secrets", json={"name": "x"}, headers=ONCE)
    assert "'thing_1'" in refused(again, 409, "idempotent_result_not_kept")
    await house.store.close()
    assert not any(SECRET.encode() in file.read_bytes() for file in files(tmp_path))


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_of_strangers_nothing_is_remembered(house: House, client: httpx.AsyncClient) -> None:
    counts = [(await client.post("/sign_in", json={"name": "x"}, headers=ONCE)).json()["count"] for _ in range(2)]
    assert counts == [1, 2]


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"\xe9", b"a\x01b"])
async def test_a_key_that_is_none_is_refused(house: House, client: httpx.AsyncClient, key: bytes) -> None:
    house.who = somebody(May.PROJECTS_WRITE)
    headers = {b"idempotency-key": key}
    refused(await client.post("/things", json={"name": "x"}, headers=headers), 400, "invalid_value")
    assert house.done == []
