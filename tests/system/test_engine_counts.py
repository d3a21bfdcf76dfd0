"""Before the whole service: what the engine counted is what was booked, an estimate is what is counted afterwards."""

import json
import os
from pathlib import Path
from typing import Any

import httpx

from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

MODEL = "fake-8b"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "@tokens=9 four words and more"}]}


def chat(running: Service, **fields: Any) -> None:
    headers = {"authorization": f"Bearer {running.api_key}"}
    path = f"{running.base_url}/chat/completions"
    httpx.post(path, json={**CHAT, **fields}, headers=headers, timeout=60).raise_for_status()


def set_aside(running: Service) -> list[dict[str, Any]]:
    """Requests whose engine claimed what cannot be."""
    return [row for row in running.get("/v1/requests")["data"] if row["quarantined"]]


def counts(running: Service) -> tuple[int, dict[str, Any]]:
    """The exit code of the command, and what it says of the only replica."""
    ended = running.command("engines", "counts", "-o", "json")
    [found] = json.loads(ended.stdout)
    return ended.returncode, found


def test_the_engines_counters_and_the_ledger_agree(tmp_path: Path) -> None:
    with fake_engine(model=MODEL) as engine, service(tmp_path / "home", engines={"fake": served_by(engine)}) as running:
        running.get("/v1/engines/counts")
        for fields in ({}, {"stream": True}, {"n": 2}):
            chat(running, **fields)
        code, found = counts(running)
        assert (code, found["compared"], found["difference"], found["requests"]) == (0, True, 0, 3)
        assert found["engine"]["completion"] == found["ledger"]["output"] == 9 * 4
        engine.faults(miscount=5)
        code, found = counts(running)
        assert (code, found["difference"], found["completion_difference"]) == (1, 5, 5)
        chat(running, messages=[{"role": "user", "content": "@tokens=9 @wrong_usage=900000"}])
        wait_until(lambda: bool(set_aside(running)), "a claim that is set aside")
        [row] = set_aside(running)
        assert json.loads(row["quarantined"])["why"] == "completion_above_its_limit"
        assert (row["tokens"]["output"], row["estimated"]) == (9, True)
        estimates_are_what_is_counted(running, tmp_path, engine)


def estimates_are_what_is_counted(running: Service, folder: Path, engine: FakeEngineProcess) -> None:
    key, file = folder / "key", folder / "chat.json"
    os.close(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600))
    key.write_text(running.api_key)
    file.write_text(json.dumps(CHAT))
    ended = running.command("estimate", str(file), "--max-tokens", "9", "--key-file", str(key), "-o", "json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    row = running.get("/v1/requests")["data"][-1]
    assert (found["model"], found["estimated"]) == (MODEL, False)
    assert found["tokens"] == {"input": row["tokens"]["input"] + row["tokens"]["cached"], "output_max": 9}
    engine.faults(no_tokenizer=True)
    ended = running.command("estimate", str(file), "--key-file", str(key))
    assert "about" in ended.stdout
