"""Profiles of modelled GPUs, each fitted to figures that somebody measured and published, or that we measured.

`figures` of a profile are those measurements; `tests/domain/test_modelled_gpu.py` lets the model do the same and
compares. What no source says is arithmetic from the shape of the model, or assumed, and says so. Sources:

- LMDEPLOY: InternLM/lmdeploy, `docs/en/benchmark/a100_fp16.md` of v0.1.0a1: static batches, A100-80G, FP16, CUDA 11.8.
- TRTLLM: NVIDIA/TensorRT-LLM, `docs/source/performance.md` of v0.5.0: static batches and first tokens, FP8.
- NIM: docs.nvidia.com, "NIM LLMs benchmarking 1.0.0, performance": Llama-3.3-70B, FP8, NIM 1.8.0, two H100.
- INFERENCEBENCH: yobitelcomm.github.io/bench, "Recipe: concurrency sweep" of 2026-05-16: Llama-3.1-8B, FP16, vLLM 0.21.
- OURS: the project's own bench of llama.cpp on two virtual cores (`bench/results`, `docs/adr/0006-engine.md`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured when so many equal requests came at once. None where the source does not say."""

    batch: int
    prompt_tokens: int
    output_tokens: int
    first_token_ms: float | None = None
    """Of one request alone."""
    tokens_per_s: float | None = None
    """Of all answers together, prompts included in the time."""
    step_ms: float | None = None
    """Between two tokens, in the middle."""


@dataclass(frozen=True, slots=True)
class GpuProfile:
    """How fast an engine is, and how much it remembers. `modelled_gpu` has the formula."""

    name: str
    hardware: str
    source: str
    step_ms: float
    """To read the weights once: what a token costs that is made alone."""
    step_ms_each: float
    step_us_per_token: float
    prefill_tokens_per_s: float
    prefill_ms: float
    kv_tokens: int
    slots: int
    """Requests side by side that the gateway gives it: where it is fastest without being slow for each."""
    batch_max: int = 256
    prefill_ns_per_pair: float = 0.0
    """For each token that is read, and each token before it."""
    step_tokens_max: int = 8_192
    block_tokens: int = 16
    figures: tuple[Figure, ...] = ()
    gpus: int = 1


_LMDEPLOY = "InternLM/lmdeploy docs/en/benchmark/a100_fp16.md (v0.1.0a1)"
_TRTLLM = "NVIDIA/TensorRT-LLM docs/source/performance.md (v0.5.0)"

PROFILES = {
    profile.name: profile
    for profile in (
        GpuProfile(
            name="7b-a100",
            hardware="one A100-80G, Llama-2-7B in FP16",
            source=_LMDEPLOY,
            step_ms=9.7,
            step_ms_each=0.05,
            step_us_per_token=0.30,
            prefill_tokens_per_s=16_400,
            prefill_ms=4.5,
            kv_tokens=121_000,  # (77 - 13.5) GB at 524,288 bytes a token
            slots=48,
            figures=(
                Figure(1, 128, 128, first_token_ms=22, tokens_per_s=102.2),
                Figure(1, 2048, 128, first_token_ms=139, tokens_per_s=86.1),
                Figure(16, 128, 128, tokens_per_s=1272),
                Figure(32, 128, 128, tokens_per_s=2125),
                Figure(64, 128, 128, tokens_per_s=3024),
            ),
        ),
        GpuProfile(
            name="13b-a100",
            hardware="one A100-80G, Llama-2-13B in FP16",
            source=_LMDEPLOY,
            step_ms=17.0,
            step_ms_each=0.04,
            step_us_per_token=0.42,
            prefill_tokens_per_s=9_500,
            prefill_ms=9.0,
            kv_tokens=62_000,  # (77 - 26) GB at 819,200 bytes a token
            slots=32,
            figures=(
                Figure(1, 128, 128, first_token_ms=40, tokens_per_s=56.6),
                Figure(1, 2048, 128, first_token_ms=242, tokens_per_s=49.0),
                Figure(16, 128, 128, tokens_per_s=757, step_ms=19),
                Figure(32, 128, 128, tokens_per_s=1301, step_ms=21),
                Figure(64, 128, 128, tokens_per_s=2033, step_ms=24),
            ),
        ),
        GpuProfile(
            name="70b-4xa100",
            hardware="four A100-80G, Llama-2-70B in FP16",
            source=_LMDEPLOY,
            step_ms=28.9,
            step_ms_each=0.11,
            step_us_per_token=0.105,
            prefill_tokens_per_s=5_850,
            prefill_ms=23.0,
            kv_tokens=512_000,  # (4 * 77 - 140) GB at 327,680 bytes a token
            slots=48,
            gpus=4,
            figures=(
                Figure(1, 128, 128, first_token_ms=74, tokens_per_s=33.6),
                Figure(1, 2048, 128, first_token_ms=402, tokens_per_s=28.3),
                Figure(16, 128, 128, step_ms=30),
                Figure(32, 128, 128, step_ms=32),
                Figure(64, 128, 128, step_ms=37),
            ),
        ),
        GpuProfile(
            name="7b-h100-fp8",
            hardware="one H100, LLaMA 7B in FP8",
            source=_TRTLLM,
            step_ms=4.0,
            step_ms_each=0.0126,
            step_us_per_token=0.0956,
            prefill_tokens_per_s=66_200,
            prefill_ms=1.1,
            kv_tokens=248_000,  # 65 GB at 262,144 bytes a token (FP8)
            slots=64,
            figures=(
                Figure(1, 128, 1, first_token_ms=7),
                Figure(1, 2048, 1, first_token_ms=36),
                Figure(64, 128, 128, tokens_per_s=9193),
                Figure(64, 128, 2048, tokens_per_s=5367),
            ),
        ),
        GpuProfile(
            name="7b-l40s-fp8",
            hardware="one L40S, LLaMA 7B in FP8",
            source=_TRTLLM,
            step_ms=10.0,
            step_ms_each=0.055,
            step_us_per_token=0.352,
            prefill_tokens_per_s=32_500,
            prefill_ms=0.1,
            kv_tokens=137_000,  # 36 GB at 262,144 bytes a token (FP8)
            slots=32,
            figures=(
                Figure(1, 128, 1, first_token_ms=14),
                Figure(1, 2048, 1, first_token_ms=73),
                Figure(64, 128, 128, tokens_per_s=3240),
            ),
        ),
        GpuProfile(
            name="70b-4xh100-fp8",
            hardware="four H100, LLaMA 70B in FP8",
            source=_TRTLLM + "; how the 26 ms of a first token are shared between step and prefill is assumed",
            step_ms=12.0,
            step_ms_each=0.045,
            step_us_per_token=0.127,
            prefill_tokens_per_s=23_100,
            prefill_ms=8.5,
            kv_tokens=1_330_000,  # (4 * 72 - 70) GB at 163,840 bytes a token (FP8)
            slots=64,
            gpus=4,
            figures=(
                Figure(1, 128, 1, first_token_ms=26),
                Figure(1, 2048, 1, first_token_ms=109),
                Figure(64, 128, 128, tokens_per_s=3317),
                Figure(64, 128, 2048, tokens_per_s=2616),
            ),
        ),
        GpuProfile(
            name="70b-2xh100-fp8",
            hardware="two H100, Llama-3.3-70B in FP8",
            source="docs.nvidia.com, NIM LLMs benchmarking 1.0.0, performance (NIM 1.8.0); KV memory from its plateau",
            step_ms=18.1,
            step_ms_each=0.1,
            step_us_per_token=0.08,
            prefill_tokens_per_s=12_880,
            prefill_ms=0.0,
            kv_tokens=450_000,
            slots=32,
            gpus=2,
            figures=(Figure(1, 5000, 500, first_token_ms=407, tokens_per_s=51.7, step_ms=18.58),),
        ),
        GpuProfile(
            name="8b-h100",
            hardware="one H100-80G, Llama-3.1-8B in FP16",
            source="yobitelcomm.github.io/bench, concurrency sweep of 2026-05-16 (vLLM 0.21, one request at a time);"
            " prompts of 128 tokens, prefill rate and batch effects (half of those of 7b-h100-fp8) are assumed",
            step_ms=6.4,
            step_ms_each=0.05,
            step_us_per_token=0.05,
            prefill_tokens_per_s=33_000,
            prefill_ms=3.7,
            kv_tokens=427_000,  # (72 - 16) GB at 131,072 bytes a token: 2 * 32 layers * 8 heads * 128 * 2 bytes
            slots=64,
            figures=(Figure(1, 128, 64, first_token_ms=13.98, step_ms=6.48),),
        ),
        GpuProfile(
            name="smollm2-2cores",
            hardware="two virtual cores with AVX-512, llama.cpp, SmolLM2-135M in Q8_0, 8 places",
            source="our own bench: one run, other work beside it; the pairs are fitted to 1,000 tokens in 2.5 to 4 s",
            step_ms=7.4,
            step_ms_each=7.0 / 8,
            step_us_per_token=0.5,
            prefill_tokens_per_s=940,
            prefill_ms=0.0,
            prefill_ns_per_pair=3_900.0,
            kv_tokens=16_384,
            slots=8,
            batch_max=8,
            step_tokens_max=2_048,
            block_tokens=1,
            figures=(
                Figure(1, 47, 64, first_token_ms=57),
                Figure(1, 1000, 64, first_token_ms=3_000),
            ),
        ),
    )
}
