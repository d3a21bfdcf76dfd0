"""`parvis key sync`: a key renews itself in the file of its application, and whoever dies on the way breaks nothing."""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from parvis.api.console.app import make_app
from parvis.cli.main import main
from parvis.client import key_sync
from parvis.client.key_places import EnvFile, KeyFile
from parvis.client.key_sync import Synced, sync_key
from parvis.core.errors import Conflict, Failure, Misconfigured, NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.flows.keys import NewKey, create_key, revoke_key, tenant_named
from parvis.flows.rotation import start_rotation

ENV = "OTHER=1\n# the key\nexport OPENAI_API_KEY=\"{}\" # do not share\nLAST='x'\n"


@pytest.fixture
async def address(premises: Any, kit: Any) -> AsyncIterator[str]:
    async with kit.listening(make_app(premises.console_desk())) as address:
        yield address


@pytest.fixture
async def app_key(premises: Any) -> NewKey:
    desk = premises.console_desk()
    return await create_key(desk.store, desk.mint, await tenant_named(desk.store, "first"), "app")


@pytest.fixture
def file(tmp_path: Path, app_key: NewKey) -> Path:
    path = tmp_path / "openai.key"
    path.write_text(app_key.text.reveal() + "\n")
    path.chmod(0o644)
    return path


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no gateway here that would have to learn of it."""
    monkeypatch.setattr(key_sync, "SETTLED_S", 0.0)


Sync = Callable[..., Any]


@pytest.fixture
def sync(address: str, file: Path) -> Sync:
    """The library's call, in a thread of its own."""

    def call(**said: Any) -> Synced:
        place = said.pop("place", None) or KeyFile(file)
        with httpx.Client(base_url=said.pop("base", address), trust_env=False) as api:
            return sync_key(api, place, sleep=lambda _: None, **said)

    async def in_a_thread(**said: Any) -> Synced:
        return await asyncio.to_thread(call, **said)

    return in_a_thread


def held(file: Path) -> str:
    return file.read_text().strip()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


async def parvis(*words: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, ["key", "sync", *words]))


async def opens(address: str, key: str) -> bool:
    async with httpx.AsyncClient(base_url=address) as client:
        return (await client.get("/v1/me", headers={"authorization": f"Bearer {key}"})).status_code == 200


async def test_nothing_happens_until_it_is_due(sync: Sync, file: Path, premises: Any, app_key: NewKey) -> None:
    before = held(file)
    synced = await sync()
    assert (synced.rotated, synced.reloaded, synced.state["phase"]) == (False, False, "current")
    assert held(file) == before
    await start_rotation(premises.store, premises.clock, app_key.key.key_id)
    assert (await sync()).rotated
    assert held(file) != before


async def test_the_next_key_lies_where_the_old_one_lay_and_both_open(
    sync: Sync, file: Path, address: str, app_key: NewKey
) -> None:
    reloaded: list[str] = []
    synced = await sync(rotate=True, reload=lambda: reloaded.append(held(file)))
    fresh = held(file)
    assert synced.rotated
    assert reloaded == [fresh] != [app_key.text.reveal()]
    assert mode(file) == 0o600
    assert [await opens(address, key) for key in (app_key.text.reveal(), fresh)] == [True, True]
    assert "key" not in synced.state
    assert sorted(path.name for path in file.parent.glob("*.new")) == []


async def test_an_environment_file_keeps_its_other_lines(sync: Sync, tmp_path: Path, app_key: NewKey) -> None:
    path = tmp_path / ".env"
    path.write_text(ENV.format(app_key.text.reveal()))
    await sync(rotate=True, place=EnvFile(path, "OPENAI_API_KEY"))
    fresh = EnvFile(path, "OPENAI_API_KEY").read().reveal()
    assert fresh != app_key.text.reveal()
    assert path.read_text() == ENV.format(fresh)


class DiedError(Exception):
    """The process is gone."""


async def test_who_dies_between_fetch_and_write_is_followed_by_who_fetches_again(
    sync: Sync, file: Path, address: str, app_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: KeyFile, __: Secret) -> None:
        raise DiedError

    with monkeypatch.context() as dying:
        dying.setattr(KeyFile, "write", die)
        with pytest.raises(DiedError):
            await sync(rotate=True)
    assert held(file) == app_key.text.reveal()
    assert await opens(address, app_key.text.reveal())
    assert (await sync()).rotated, "the unused one is replaced without being asked for"
    assert await opens(address, held(file))


async def test_who_dies_while_writing_leaves_a_whole_file(
    sync: Sync, file: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise DiedError

    with monkeypatch.context() as dying:
        dying.setattr(os, "fsync", die)
        with pytest.raises(DiedError):
            await sync(rotate=True)
    assert await opens(address, held(file))
    assert (await sync()).rotated
    assert await opens(address, held(file))


async def test_a_reload_that_failed_is_owed(sync: Sync, file: Path) -> None:
    def fail() -> None:
        raise Conflict("The application does not start.")

    with pytest.raises(Conflict):
        await sync(rotate=True, reload=fail)
    fresh = held(file)
    again: list[str] = []
    synced = await sync(reload=lambda: again.append("reloaded"))
    assert (synced.rotated, synced.reloaded, again) == (False, True, ["reloaded"])
    assert held(file) == fresh
    assert not (await sync(reload=fail)).reloaded


async def test_a_new_key_that_the_service_refuses_is_taken_back(
    sync: Sync, file: Path, app_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotAuthenticated("No.")

    monkeypatch.setattr(key_sync, "_verify", refuse)
    with pytest.raises(NotAuthenticated):
        await sync(rotate=True)
    assert held(file) == app_key.text.reveal()


async def test_a_new_key_stays_when_nobody_says_that_it_is_wrong(
    sync: Sync, file: Path, app_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service made it durably before it gave it; and it may have heard our first use of it."""

    def nobody(*_: object) -> None:
        raise Unavailable("Nobody answers.")

    with monkeypatch.context() as cut:
        cut.setattr(key_sync, "_verify", nobody)
        with pytest.raises(Unavailable):
            await sync(rotate=True)
    assert held(file) != app_key.text.reveal()
    again: list[str] = []
    assert (await sync(reload=lambda: again.append("reloaded"))).reloaded
    assert again == ["reloaded"]


async def test_one_sync_at_a_time(sync: Sync, file: Path) -> None:
    with file.with_name(".openai.key.sync").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="Another sync"):
            await sync()
    await sync()


async def test_what_cannot_be_is_said_in_one_sentence(
    sync: Sync, tmp_path: Path, premises: Any, app_key: NewKey
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    for place in (KeyFile(empty), KeyFile(tmp_path / "missing"), EnvFile(empty, "OPENAI_API_KEY")):
        with pytest.raises(Misconfigured):
            await sync(place=place)
    with pytest.raises(Misconfigured):
        EnvFile(empty, "A B")
    with pytest.raises(Unavailable):
        await sync(base="http://127.0.0.1:1")
    await revoke_key(premises.store, app_key.key.key_id)
    with pytest.raises(NotAuthenticated):
        await sync()


async def test_an_answer_that_is_not_ours_changes_nothing(file: Path, app_key: NewKey) -> None:
    def strange(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"next_wanted": True})
        return httpx.Response(200, json={"next_wanted": False, "key": "sk-parvis_cut"})

    with (
        httpx.Client(base_url="http://x", transport=httpx.MockTransport(strange)) as api,
        pytest.raises(Failure, match="no whole key"),
    ):
        sync_key(api, KeyFile(file))
    assert held(file) == app_key.text.reveal()


# -------------------------------------------------------------------------------------------------- the command


async def test_the_command_says_what_it_did_and_shows_no_key(address: str, file: Path, app_key: NewKey) -> None:
    quiet = await parvis("--url", address, "--file", str(file))
    assert quiet.exit_code == 0, quiet.output
    assert "'current'" in quiet.output
    mark = file.with_name("reloaded")
    loud = await parvis("--url", address, "--file", str(file), "--rotate", "--command", f"touch '{mark}'")
    assert loud.exit_code == 0, loud.output
    assert "has its next secret" in loud.output
    assert mark.exists()
    for text in (quiet.output, loud.output):
        assert "sk-parvis_" not in text


async def test_the_command_has_a_shell_only_when_told(address: str, file: Path) -> None:
    mark = file.with_name("reloaded")
    without = await parvis("--url", address, "--file", str(file), "--rotate", "--command", f"true; touch '{mark}'")
    assert without.exit_code == 1, "there is no program 'true;'"
    assert not mark.exists()
    shell = await parvis("--url", address, "--file", str(file), "--shell", "--command", f"true; touch '{mark}'")
    assert shell.exit_code == 0, shell.output
    assert mark.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--url", "http://127.0.0.1:1"),
        ("--url", "http://127.0.0.1:1", "--file", "a", "--env-file", "b"),
        ("--url", "http://127.0.0.1:1", "--file", "a", "--every", "1s"),
        ("--url", "http://127.0.0.1:1", "--file", "a", "--every", "soon"),
        ("--file", "a"),
    ],
)
async def test_wrong_words_are_refused(words: tuple[str, ...]) -> None:
    assert (await parvis(*words)).exit_code == 2


async def test_a_key_never_goes_over_an_open_road(file: Path) -> None:
    refused = await parvis("--url", "http://console.example.eu:8001", "--file", str(file))
    assert (refused.exit_code, "https://" in refused.output) == (1, True)
