"""An `auto` entry before two engines: who serves what, what callers are told, and what is booked."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from parvis.flows.first_start import TENANT_ID
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

SMALL, LARGE = "small-1b", "large-70b"
AUTO = {"candidates": [{"model": SMALL, "difficulty_max": 0.3}, {"model": LARGE}], "answer_tokens": 64}
HARD = "1. Prove that x^2 + y^2 = z^2. 2. Explain each step. 3. Why must x = 1? 4. Compare. 5. Then? 6. x = 2 + 2?"
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Look it up."}}]


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, FakeEngineProcess]]:
    with fake_engine(model=SMALL) as small, fake_engine(model=LARGE) as large:
        yield {SMALL: small, LARGE: large}


@pytest.fixture(scope="module")
def running(engines: dict[str, FakeEngineProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    served = {
        "small": served_by(engines[SMALL], model=SMALL, context_tokens=512),
        "large": served_by(engines[LARGE], model=LARGE, context_tokens=2048),
    }
    with service(tmp_path_factory.mktemp("auto") / "home", engines=served) as one:
        entries = [{"id": LARGE, "capabilities": ["chat", "tools"]}, {"id": "auto", "aliases": ["any"], "auto": AUTO}]
        one.operator.post("/v1/models/apply", json={"models": entries}).raise_for_status()
        wait_until(lambda: "auto" in shown(one), "the gateway knows the entry")
        yield one


def shown(running: Service, key: str = "") -> dict[str, Any]:
    head = {"authorization": f"Bearer {key or running.api_key}"}
    answer = httpx.get(f"{running.base_url}/models", headers=head, trust_env=False).json()
    return {one["id"]: one for one in answer.get("data", ())}


def ask(running: Service, text: str = "Hello.", key: str = "", path: str = "chat/completions", **more: Any) -> Any:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 20, **more}
    head = {"authorization": f"Bearer {key or running.api_key}"}
    return httpx.post(f"{running.base_url}/{path}", json=body, headers=head, trust_env=False, timeout=30)


def told(answer: httpx.Response) -> tuple[str, str]:
    model, entry, why = answer.headers["x-parvis-model"].split("; ")
    assert entry == "auto"
    return model, why


def test_the_smallest_that_fits_serves_and_is_named(running: Service) -> None:
    asked = {
        "easy": ask(running),
        "hard": ask(running, HARD),
        "long": ask(running, "word " * 350),
        "tools": ask(running, tools=TOOLS),
        "alias": ask(running, model="any"),
        "stream": ask(running, stream=True),
    }
    assert {name: answer.status_code for name, answer in asked.items()} == dict.fromkeys(asked, 200)
    chosen = {name: told(answer)[0] for name, answer in asked.items()}
    assert chosen == dict.fromkeys(("easy", "alias", "stream"), SMALL) | dict.fromkeys(("hard", "long", "tools"), LARGE)
    whole = {name: answer.json()["model"] for name, answer in asked.items() if name != "stream"}
    assert whole == {name: chosen[name] for name in whole}
    assert f'"model":"{SMALL}"' in asked["stream"].text.replace(" ", "")
    assert told(asked["easy"])[1] == "3+20 tokens, difficulty 0.00 of 0.30"
    ids = {answer.headers["x-request-id"]: chosen[name] for name, answer in asked.items()}
    assert {row["id"]: row["model"] for row in running.usage_rows(of=ids) if row["id"] in ids} == ids


def test_the_entry_is_listed_with_what_its_candidates_can_do(running: Service) -> None:
    card = shown(running)["auto"]
    assert (card["context_length"], card["capabilities"], card["aliases"]) == (2048, ["chat", "tools"], ["any"])


def test_a_key_gets_only_what_it_may_use(running: Service) -> None:
    made = running.operator.post(
        "/v1/keys", json={"name": "n", "tenant_id": TENANT_ID, "models_denied": [SMALL]}
    ).json()
    wait_until(lambda: bool(shown(running, made["key"])), "the gateway knows the key")
    assert told(ask(running, key=made["key"]))[0] == LARGE
    none = running.operator.post("/v1/keys", json={"name": "n", "tenant_id": TENANT_ID, "models": ["auto"]}).json()
    wait_until(lambda: ask(running, key=none["key"]).status_code != 401, "the gateway knows the other key")
    refused = ask(running, key=none["key"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert shown(running, none["key"]) == {}


def test_what_fits_nowhere_is_refused_with_the_reasons(running: Service) -> None:
    long = ask(running, "word " * 2000)
    assert (long.status_code, long.json()["error"]["code"]) == (400, "model_does_not_fit")
    for model, context in ((SMALL, 512), (LARGE, 2048)):
        assert f"'{model}' has a context of {context} tokens" in long.json()["error"]["message"]
    assert "x-parvis-model" not in long.headers
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    seen = ask(running, messages=[{"role": "user", "content": [image]}])
    assert (seen.status_code, seen.json()["error"]["code"]) == (400, "unsupported_parameter")
    vectors = ask(running, path="embeddings", messages=None, max_tokens=None, input="x")
    assert vectors.status_code == 400


def test_an_error_after_the_choice_names_it_too(running: Service) -> None:
    broken = ask(running, "@status=500 Hello.", stream=True)
    assert broken.status_code >= 400
    assert told(broken)[0] == SMALL


def test_an_estimate_tells_the_choice(running: Service) -> None:
    console = running.environ["PARVIS_CONSOLE__LISTEN"]
    head = {"authorization": f"Bearer {running.api_key}"}
    body = {"model": "auto", "messages": [{"role": "user", "content": HARD}], "max_tokens": 20}
    found = httpx.post(f"http://{console}/v1/estimate", json=body, headers=head, trust_env=False).json()
    assert (found["model"], found["chosen"]["name"]) == (LARGE, "auto")
    assert found["chosen"]["why"] == told(ask(running, HARD))[1]


def test_the_next_one_serves_while_nobody_of_the_first_does(
    running: Service, engines: dict[str, FakeEngineProcess]
) -> None:
    entry = {"id": SMALL, "engine": "nobody"}
    running.operator.post("/v1/models/apply", json={"models": [entry]}).raise_for_status()
    wait_until(lambda: told(ask(running))[0] == LARGE, "the gateway knows that nobody serves the small one")
    running.operator.post("/v1/models/apply", json={"models": [entry | {"engine": "small"}]}).raise_for_status()
    wait_until(lambda: told(ask(running))[0] == SMALL, "the gateway knows that somebody does")
