"""What sets the flavours of the fake engine apart. Facts and their sources: `parvis.domain.fleet.profile`.

`plain` keeps to OpenAI's letter. llama.cpp's habits were recorded from a running server, the others' were read.
"""

from typing import Literal, NamedTuple

Flavour = Literal["vllm", "llamacpp", "plain", "sglang", "tgi", "ollama"]


class Traits(NamedTuple):
    """How a flavour differs from OpenAI's letter."""

    opens: bool = True
    """A chat's stream begins with an event that has the role alone."""
    says_role: Literal["", "first", "always"] = ""
    """Which events with text tell the role beside it."""
    runs_usage: bool = False
    """Counts so far in every event, where asked for."""
    one_choice: bool = False
    """It passes over `n`."""
    details: bool = True
    """Usage tells what was cached, and what was reasoning."""
    event_start: bytes = b"data: "
    done_after_error: bool = False
    fingerprint: str = "fake"
    """Empty where it tells none."""
    owner: str = "fake"
    health: str = "/health"
    metrics: bool = True
    """It has a page of them; `plain` speaks there as vLLM does."""


FLAVOURS: dict[Flavour, Traits] = {
    "plain": Traits(),
    "vllm": Traits(runs_usage=True, done_after_error=True, fingerprint="", owner="vllm"),
    "llamacpp": Traits(owner="llamacpp"),
    "sglang": Traits(runs_usage=True, done_after_error=True, fingerprint="", owner="sglang"),
    "tgi": Traits(
        opens=False,
        says_role="always",
        one_choice=True,
        details=False,
        event_start=b"data:",
        done_after_error=True,
        fingerprint="3.3.6-native",
    ),
    "ollama": Traits(
        opens=False,
        says_role="first",
        one_choice=True,
        details=False,
        fingerprint="fp_ollama",
        owner="library",
        health="/api/version",
        metrics=False,
    ),
}
