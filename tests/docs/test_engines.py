"""The table of engines is what the profiles say, and the settings of the how-to are settings."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from parvis.adapters.engines.tokenizer import APPLY_TEMPLATE, CHAT_TOKENIZE, TOKENIZE
from parvis.domain.fleet.caching import Caching
from parvis.domain.fleet.profile import PROFILES, EngineProfile
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import EngineSettings

DOCS = Path(__file__).parents[2] / "docs"
ENGINES, CONNECT = DOCS / "reference" / "engines.md", DOCS / "how-to" / "vllm-and-sglang.md"
TOKENIZERS = {
    EngineKind.LLAMA_CPP: {TOKENIZE, APPLY_TEMPLATE},
    EngineKind.OPENVINO: {TOKENIZE},
    EngineKind.VLLM: {TOKENIZE},
    EngineKind.SGLANG: {TOKENIZE},
    EngineKind.TGI: {TOKENIZE, CHAT_TOKENIZE},
    EngineKind.OLLAMA: set[bytes](),
    EngineKind.OPENAI: {TOKENIZE},
    EngineKind.SPEECH: set[bytes](),
}


def rows(heads: str) -> dict[str, list[str]]:
    """The cells of the table with these heads, by the word in the first one."""
    table = ENGINES.read_text().partition(heads)[2].partition("\n\n")[0]
    lines = [line[1:-1].split("|") for line in table.splitlines()[2:]]
    return {words(cells[0])[0]: [cell.strip() for cell in cells[1:]] for cells in lines}


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def lacking(profile: EngineProfile) -> list[str]:
    return [*sorted(profile.lacks), *sorted(profile.lacks_in_completions)]


def test_every_kind_has_its_line() -> None:
    assert list(rows("| kind |")) == [kind.value for kind in EngineKind]


@pytest.mark.parametrize("kind", sorted(EngineKind))
def test_a_line_says_what_the_profile_says(kind: EngineKind) -> None:
    profile = PROFILES[kind]
    counts, load, tokenizer, cache, health, refused = rows("| kind |")[kind]
    assert bool(counts) == (profile.running_usage or profile.running_timings)
    assert words(load) == ([profile.metrics] if profile.load else [])
    assert {word.encode() for word in words(tokenizer)} == TOKENIZERS[kind]
    assert words(cache) == [name for name in (profile.salt, profile.cache_switch) if name]
    assert words(health) == [profile.health]
    assert words(refused) == lacking(profile)


def test_everything_that_can_be_in_force_is_explained() -> None:
    assert set(rows("| in force |")) == set(Caching)


def test_the_settings_of_the_how_to_are_settings() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", CONNECT.read_text(), re.DOTALL)
    engines = [engine for block in blocks for engine in tomllib.loads(block)["engines"].values()]
    kinds = {msgspec.convert(engine, EngineSettings).kind for engine in engines}
    assert kinds == {EngineKind.VLLM, EngineKind.SGLANG, EngineKind.TGI, EngineKind.OLLAMA}
