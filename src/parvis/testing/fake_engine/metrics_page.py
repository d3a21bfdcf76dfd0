"""The fake engine's page for Prometheus, with the names that each kind of engine gives to the same things. Pure."""

from typing import NamedTuple

from parvis.testing.fake_engine.flavours import Flavour


class Gauges(NamedTuple):
    """What one process has counted, and does now."""

    running: int
    waiting: int
    read: int
    """Tokens of prompts, as the flavour counts them."""
    made: int


_VLLM = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:prompt_tokens_total")
_NAMES: dict[Flavour, tuple[str, ...]] = {
    "vllm": (*_VLLM, "vllm:generation_tokens_total"),
    "plain": (*_VLLM, "vllm:generation_tokens_total"),
    "llamacpp": (
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:prompt_tokens_total",
        "llamacpp:tokens_predicted_total",
    ),
    "sglang": (
        "sglang:num_running_reqs",
        "sglang:num_queue_reqs",
        "sglang:prompt_tokens_total",
        "sglang:generation_tokens_total",
    ),
    "tgi": ("tgi_batch_current_size", "tgi_queue_size"),
}


def metrics_page(flavour: Flavour, model: str, gauges: Gauges) -> bytes:
    """In Prometheus' text format: with the model as a label where the engine has one, and floats where it has them."""
    label = f'{{model_name="{model}"}}' if flavour in ("vllm", "plain", "sglang") else ""
    lines = []
    for name, count in zip(_NAMES[flavour], gauges, strict=False):
        value = float(count) if flavour in ("vllm", "sglang") else count
        lines += [f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", f"{name}{label} {value}"]
    return "\n".join(lines).encode() + b"\n"
