"""What operators see of the fleet: how requests were and would be routed, and all replicas as gateways see them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

SECRET_WORDS = "the horse does not eat cucumber salad"
BODY = {"model": "fake-8b", "messages": [{"role": "user", "content": SECRET_WORDS}], "max_tokens": 20}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fake_engine() as one, fake_engine() as two:
        pool = served_by(one) | {"addresses": [one.address, two.address]}
        home = tmp_path_factory.mktemp("view") / "home"
        with service(home, engines={"pool": pool}, env={"PARVIS_INFERENCE__WORKERS": "2"}) as running:
            wait_until(lambda: len(running.get("/v1/status")["gateways"]) == 2, "both gateways are connected")
            yield running


def ask(running: Service) -> str:
    head = {"authorization": f"Bearer {running.api_key}"}
    url = f"{running.base_url}/chat/completions"
    answer = httpx.post(url, json=BODY, headers=head, trust_env=False, timeout=30).raise_for_status()
    return answer.headers["x-request-id"]


def told(running: Service, *words: str) -> str:
    done = running.command(*words)
    assert done.returncode == 0, done.stderr
    assert SECRET_WORDS not in done.stdout
    return done.stdout


def test_a_decision_is_explained_as_it_was(running: Service) -> None:
    request_id = ask(running)
    found = running.get(f"/v1/route/{request_id}")
    assert (found["request_id"], found["pool"], found["gateway"][:3]) == (request_id, "pool", "gw_")
    assert {one["replica_id"] for one in found["candidates"]} == {"pool-0", "pool-1"}
    assert found["picked"] in {"pool-0", "pool-1"}
    [row] = [row for row in running.usage_rows(of=[request_id]) if row["id"] == request_id]
    assert row["replica_id"] == found["picked"]
    table = told(running, "route", "explain", request_id)
    assert found["why"] in table
    assert all(one["replica_id"] in table for one in found["candidates"])


def test_what_nobody_remembers_is_said_with_the_bound(running: Service) -> None:
    answer = running.operator.get("/v1/route/req_00000000000000000000000000")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "decision_not_found")
    assert "4,096" in answer.json()["error"]["message"]


def test_a_request_that_nobody_made_is_explained_by_each_gateway(running: Service, tmp_path: Path) -> None:
    file, before = tmp_path / "body.json", running.get("/v1/usage")["total"]["requests"]
    file.write_text(json.dumps(BODY))
    [key] = running.get("/v1/keys")["data"]
    said = json.loads(told(running, "route", "explain", "--file", str(file), "--key", key["id"], "-o", "json"))
    assert (said["model"], said["chosen"]) == ("fake-8b", None)
    assert {one["gateway"] for one in said["routes"]} == set(running.get("/v1/status")["gateways"])
    assert {one["pool"] for one in said["routes"]} == {"pool"}
    assert running.get("/v1/usage")["total"]["requests"] == before
    refused = {
        (404, "key_not_found"): {"key_id": "nobody", "request": BODY},
        (404, "model_not_found"): {"key_id": key["id"], "request": BODY | {"model": "none"}},
        (400, "invalid_value"): {"key_id": key["id"], "request": {"model": "fake-8b"}},
        (400, "unsupported_parameter"): {"key_id": key["id"], "request": {"model": "fake-8b", "input": "x"}},
    }
    answers = [running.operator.post("/v1/route", json=body) for body in refused.values()]
    assert [(one.status_code, one.json()["error"]["code"]) for one in answers] == list(refused)


def test_the_fleet_is_shown_whole(running: Service) -> None:
    ids = [ask(running) for _ in range(4)]
    running.usage_rows(of=ids)

    def fleet() -> Any:
        return json.loads(told(running, "top", "-o", "json"))

    wait_until(lambda: fleet()["pools"][0]["open"] == 2, "both gateways have told what they see")
    now = fleet()
    [pool], [talker] = now["pools"], now["talkers"]
    assert [one["replica_id"] for one in pool["replicas"]] == ["pool-0", "pool-1"]
    assert talker["tenant_id"] == "first"
    assert talker["tokens_per_s"] == pytest.approx(now["tokens_per_s"])
    assert sum(one["tokens_per_s"] for one in pool["replicas"]) == pytest.approx(now["tokens_per_s"])
    assert now["per_hour"]["pico_euro"] > 0
    picture = told(running, "top", "--once")
    assert all(word in picture for word in ("gateways 2", "pool-0", "pool-1", "2 of 2", "first", "€/h"))
    lines = list(csv.DictReader(io.StringIO(told(running, "top", "-o", "csv"))))
    assert [(one["pool"], one["name"], one["state"]) for one in lines] == [
        ("pool", "pool-0", "open"),
        ("pool", "pool-1", "open"),
    ]


def test_a_reason_is_said_in_the_language_of_its_reader(running: Service) -> None:
    told(running, "replica", "cordon", "pool-1")
    try:

        def replica(language: str) -> Any:
            answer = running.operator.get("/v1/replicas/pool-1", headers={"accept-language": language})
            assert (answer.status_code, answer.headers["content-language"]) == (200, language)
            return answer.json()

        wait_until(lambda: replica("en")["why_code"] == "cordoned", "control knows of it")
        french = replica("fr")["why"]
        assert french != replica("en")["why"] == "Cordoned by the operator."
        [pool] = running.operator.get("/v1/fleet", headers={"accept-language": "fr"}).json()["pools"]
        assert french in {one["why"] for one in pool["replicas"]}
    finally:
        told(running, "replica", "uncordon", "pool-1")
