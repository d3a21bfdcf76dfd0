"""Promise 21, its second half: nobody learns from an engine's prefix cache what another tenant has asked.

One tenant's prompts are in the cache. Another one guesses: half of the guesses were asked before, half were not, in
random order, each once. It takes the time to the first byte of the answer and the `cached_tokens` in its usage; how
well each of them tells the two halves apart is the area under the curve (AUC): 0.5 is chance, 1 is certainty.

At level N both are judged. A time can be anything on a machine that others use too, so with every `make test` only
`cached_tokens` are.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import httpx
import pytest

from parvis.domain.identity.organisation import Tenant
from parvis.testing.locksmith import Locksmith
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, planted, served_by, service, wait_until

GUESSES = {"C": 40, "N": 1_600}
AUC_MAX, AUC_MIN_OF_CONTROL = 0.55, 0.95
BLOCK_CHARS = 64
PROMPT_WORDS = 60
PREFILL_US_PER_CHAR = 50.0
"""A prompt that is not cached takes some twenty milliseconds: as a GPU does for a thousand tokens, or longer."""
SEED = 21
KNOWN_AFTER_S = 1.5
"""By then every gateway knows the tenant and the keys that were made."""
SOURCES = Path(__file__).parents[2] / "src"
WITHOUT_SALT = {
    "parvis/flows/caches.py": ("        return prepared.cache_salt, True\n", '        return "", True\n'),
}
"""Every tenant's prompts are kept under the same name."""
Level = Literal["C", "N"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What one guess told its sender."""

    asked_before: bool
    first_byte_s: float
    cached_tokens: int


def auc(told: list[Told], signal: Literal["time", "count"]) -> float:
    """How often the signal of a right guess is above that of a wrong one; whichever way round tells more."""

    def of(one: Told) -> float:
        return -one.first_byte_s if signal == "time" else one.cached_tokens

    right = [of(one) for one in told if one.asked_before]
    wrong = [of(one) for one in told if not one.asked_before]
    above = sum((one > other) + (one == other) / 2 for one in right for other in wrong) / (len(right) * len(wrong))
    return max(above, 1 - above)


def prompts(count: int) -> list[str]:
    dice = Random(SEED)
    return [" ".join(f"w{dice.randrange(10**5)}" for _ in range(PROMPT_WORDS)) for _ in range(count)]


class Asker:
    """Somebody with a key, on one connection."""

    def __init__(self, running: Service, api_key: str, model: str) -> None:
        self._url = f"{running.base_url}/chat/completions"
        self._model = model
        self._client = httpx.Client(headers={"authorization": f"Bearer {api_key}"}, timeout=60, trust_env=False)

    def ask(self, prompt: str, *, asked_before: bool = False) -> Told:
        messages = [{"role": "user", "content": prompt}]
        options = {"max_tokens": 2, "stream": True, "stream_options": {"include_usage": True}}
        begun_s = time.perf_counter()
        with self._client.stream(
            "POST", self._url, json={"model": self._model, "messages": messages, **options}
        ) as came:
            lines = came.iter_lines()
            said = [next(lines)]
            first_byte_s = time.perf_counter() - begun_s
            said += lines
        assert came.status_code == httpx.codes.OK, said
        events = [json.loads(line.removeprefix("data: ")) for line in said if line.startswith("data: {")]
        usage = next(event["usage"] for event in events if event.get("usage"))
        return Told(asked_before, first_byte_s, usage["prompt_tokens_details"]["cached_tokens"])

    def close(self) -> None:
        self._client.close()


@contextmanager
def two_tenants(running: Service, model: str) -> Iterator[tuple[Asker, Asker]]:
    """Whoever has the first key of the service, and somebody of another tenant, who is new."""
    stranger_key = asyncio.run(new_tenants_key(running.home))
    time.sleep(KNOWN_AFTER_S)
    askers = Asker(running, running.api_key, model), Asker(running, stranger_key, model)
    try:
        yield askers
    finally:
        for asker in askers:
            asker.close()


async def new_tenants_key(home: Path) -> str:
    async with Locksmith(home) as locksmith:
        first = await locksmith.tenant()
        await locksmith.store.create_tenant("stranger", first.organisation_id, "Stranger", credit_unlimited=True)
        stranger = Tenant("stranger", first.organisation_id, "Stranger", credit_unlimited=True)
        return (await locksmith.make(stranger))[1]


def attack(home: Path, guesses: int, source: Path | None = None) -> list[Told]:
    """The first tenant asks half of the guesses; the second one then tries them all."""
    with (
        fake_engine(
            prefix_blocks=1_000_000, prefix_block_chars=BLOCK_CHARS, prefill_us_per_char=PREFILL_US_PER_CHAR
        ) as engine,
        service(home, engines={"fake": served_by(engine, context_tokens=8192)}, source=source) as running,
        two_tenants(running, "fake-8b") as (victim, attacker),
    ):
        all_of_them = prompts(guesses)
        asked = set(Random(SEED).sample(all_of_them, guesses // 2))
        for prompt in all_of_them:
            if prompt in asked:
                victim.ask(prompt)
        told = [attacker.ask(prompt, asked_before=prompt in asked) for prompt in all_of_them]
        for who in (victim, attacker):  # what is their own, both find again
            assert who.ask(next(iter(asked))).cached_tokens > 0
        assert all("cache_salt" in record.body for record in engine.log()) == (source is None)
        return told


def tell(what: str, told: list[Told]) -> None:
    by_time, by_count = auc(told, "time"), auc(told, "count")
    print(f"\nrow 21, {what}: {len(told)} guesses; AUC by time {by_time:.3f}, by cached_tokens {by_count:.3f}")


@pytest.mark.timeout(600)
def test_a_guess_tells_nothing_of_what_another_tenant_has_asked(tmp_path: Path, level: Level) -> None:
    told = attack(tmp_path / "home", GUESSES[level])
    tell("with the salt", told)
    assert auc(told, "count") <= AUC_MAX
    assert level == "C" or auc(told, "time") <= AUC_MAX


@pytest.mark.timeout(600)
def test_control_without_the_salt_a_guess_tells(tmp_path: Path, level: Level) -> None:
    with planted(SOURCES, WITHOUT_SALT) as sources:
        told = attack(tmp_path / "home", GUESSES[level], sources)
    tell("control, without it", told)
    assert auc(told, "count") >= AUC_MIN_OF_CONTROL
    assert level == "C" or auc(told, "time") >= AUC_MIN_OF_CONTROL


def test_llama_cpp_finds_a_prompt_again_only_while_there_is_one_tenant(tmp_path: Path) -> None:
    """It knows no salt: from the second tenant on, each request computes the whole of its prompt."""
    model = "smollm2-135m-instruct"
    engines = {"chat": {"weights": f"builtin:{model}", "model": model, "parallel": 2, "context_tokens": 1024}}
    [prompt] = prompts(1)
    with service(tmp_path / "home", engines=engines) as running:
        alone = Asker(running, running.api_key, model)
        alone.ask(prompt)
        assert alone.ask(prompt).cached_tokens > 0
        alone.close()
        with two_tenants(running, model) as (victim, attacker):
            assert attacker.ask(prompt).cached_tokens == 0
            assert victim.ask(prompt).cached_tokens == 0
        [replica] = running.get("/v1/status")["replicas"]
        assert replica["cache"] == "off"


def test_an_engine_that_would_share_refuses_the_second_tenant_until_that_is_declared(tmp_path: Path) -> None:
    with fake_engine(flavour="ollama", model="shared") as one, fake_engine(flavour="tgi", model="declared") as other:
        engines = {
            "shared": served_by(one, "ollama", "shared"),
            "declared": served_by(other, "tgi", "declared", cache="shared"),
        }
        with service(tmp_path / "home", engines=engines) as running:
            bodies = [{"model": model, "messages": [{"role": "user", "content": "hi"}]} for model in engines]

            def answers() -> list[int]:
                key = {"authorization": f"Bearer {running.api_key}"}
                url = f"{running.base_url}/chat/completions"
                return [httpx.post(url, json=body, headers=key, timeout=30).status_code for body in bodies]

            assert answers() == [200, 200]
            asyncio.run(new_tenants_key(running.home))
            time.sleep(KNOWN_AFTER_S)
            assert answers() == [403, 200]
            in_force = {replica["engine"]: replica["cache"] for replica in running.get("/v1/status")["replicas"]}
            assert in_force == {"shared": "refused", "declared": "shared"}
            wait_until(lambda: "requests are refused" in running.complained(), "the log says so")
