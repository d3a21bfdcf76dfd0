"""The command that starts a server for GPUs, and the settings that lead to it."""

import shlex
import tomllib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.gpu_server import GPU_KINDS, GpuServer, command_line, engine_name, settings_block
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import EngineSettings

BIG = GpuServer(
    kind=EngineKind.VLLM,
    model="qwen3-32b",
    weights="/srv/models/qwen3-32b",
    context_tokens=32_768,
    gpus=2,
    host="10.0.0.5",
    key_file="/etc/parvis/vllm.key",
)
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40)


def words(wanted: GpuServer) -> list[str]:
    """As a shell would read them, were there no file with a key."""
    return shlex.split(command_line(replace(wanted, key_file="")).replace("\\\n", ""))


def test_vllm_is_told_what_the_catalogue_promises() -> None:
    line = command_line(replace(BIG, reasoning_parser="qwen3", tool_parser="hermes", parallel=64))
    assert line.startswith('VLLM_API_KEY="$(cat /etc/parvis/vllm.key)" vllm serve /srv/models/qwen3-32b ')
    for told in (
        "--served-model-name qwen3-32b",
        "--max-model-len 32768",
        "--tensor-parallel-size 2",
        "--max-num-seqs 64",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        "--reasoning-parser qwen3",
        "--enable-auto-tool-choice",
        "--tool-call-parser hermes",
        "--host 10.0.0.5",
        "--port 8000",
    ):
        assert told in line


def test_sglang_is_told_the_same_in_its_words() -> None:
    line = command_line(replace(BIG, kind=EngineKind.SGLANG, tool_parser="qwen25"))
    for told in (
        "--model-path /srv/models/qwen3-32b",
        "--context-length 32768",
        "--tensor-parallel-size 2",
        "--enable-metrics",
        "--enable-cache-report",
        "--tool-call-parser qwen25",
        "--port 30000",
        '--api-key "$(cat /etc/parvis/vllm.key)"',
    ):
        assert told in line
    assert "--enable-auto-tool-choice" not in line


@pytest.mark.parametrize(
    ("kind", "told"), [(EngineKind.VLLM, "--runner pooling"), (EngineKind.SGLANG, "--is-embedding")]
)
def test_a_model_for_embeddings_is_served_as_one(kind: EngineKind, told: str) -> None:
    wanted = replace(BIG, kind=kind, embedding=True)
    assert told in command_line(wanted)
    assert tomllib.loads(settings_block(wanted))["engines"]["qwen3-32b"]["embedding"] is True


@given(st.sampled_from(GPU_KINDS), texts, texts, st.integers(64, 1 << 22), st.integers(1, 16))
def test_no_name_becomes_a_command(kind: EngineKind, model: str, weights: str, context: int, gpus: int) -> None:
    wanted = GpuServer(kind=kind, model=model, weights=weights, context_tokens=context, gpus=gpus)
    told = words(wanted)
    assert told[told.index("--served-model-name") + 1] == model
    assert told[told.index("serve" if kind is EngineKind.VLLM else "--model-path") + 1] == weights


@given(st.sampled_from(GPU_KINDS), texts, st.integers(64, 1 << 22), st.sampled_from(["127.0.0.1", "::1"]))
def test_the_block_is_a_section_of_our_settings(kind: EngineKind, model: str, context: int, host: str) -> None:
    wanted = GpuServer(kind=kind, model=model, weights="/w", context_tokens=context, host=host, key_file="/k")
    [(name, section)] = tomllib.loads(settings_block(wanted))["engines"].items()
    read = msgspec.convert(section, EngineSettings)
    assert name == engine_name(model)
    assert (read.server, read.model, read.context_tokens, read.api_key_file) == (kind, model, context, "/k")
    assert read.addresses[0].endswith(f":{wanted.listens_on}")
