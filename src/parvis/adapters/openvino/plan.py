"""OpenVINO's settings of one answer."""

import secrets
from collections.abc import Iterator
from typing import Any

import openvino_genai

from parvis.adapters.openvino.asked import Asked

SEED_MAX = 1 << 32
_USUAL = {"temperature": 0.8, "top_p": 0.95, "top_k": 40, "min_p": 0.05}
"""llama.cpp's own, of what a request leaves open: one model shall answer alike from either. OpenVINO's (all of the
vocabulary, at temperature 1) make a small model ramble on, and cost a fifth of the tokens a second at 64 streams."""


def plan(asked: Asked, answer: int, tokens_max: int, *, logprobs: bool) -> Any:
    """For the answer of this number. What OpenVINO would raise for (no temperature, say) is said otherwise."""
    settings = openvino_genai.GenerationConfig()
    settings.max_new_tokens = tokens_max
    settings.min_new_tokens = min(asked.min_tokens or 0, tokens_max)
    settings.ignore_eos = bool(asked.ignore_eos)
    settings.presence_penalty = asked.presence_penalty or 0.0
    settings.frequency_penalty = asked.frequency_penalty or 0.0
    settings.logprobs = int(logprobs)
    settings.do_sample = asked.temperature != 0 and asked.top_p != 0
    if settings.do_sample:
        for name, value in _sampling(asked, answer):
            setattr(settings, name, value)
    if asked.grammar is not None:
        settings.structured_output_config = openvino_genai.StructuredOutputConfig(grammar=asked.grammar)
    return settings


def _sampling(asked: Asked, answer: int) -> Iterator[tuple[str, Any]]:
    for name, usual in _USUAL.items():
        said = getattr(asked, name)
        value = usual if said is None else said
        if value > 0:  # else it is switched off
            yield name, value
    # Its own would be the same for all.
    yield "rng_seed", (secrets.randbits(32) if asked.seed is None else asked.seed + answer) % SEED_MAX
