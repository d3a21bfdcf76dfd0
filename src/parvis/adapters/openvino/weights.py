"""A GGUF file as OpenVINO wants it, made once and kept: the graph that is loaded at each start.

One thing is changed in the graph: a token's number is taken modulo the size of the vocabulary before its embedding is
looked up. So a salt, added to the number of a prompt's first token as a multiple of that size, changes nothing of what
is computed, but everything of what OpenVINO's prefix cache takes for the same prompt: it compares numbers of tokens,
from the first one on.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino
import openvino_genai
from openvino import opset13

from parvis.core.engine_process import NotReady

GRAPH = "openvino_model.xml"
VERSION = 2
"""Of what is done to the weights here: raise it when that changes."""
_SAMPLE_BYTES = 1 << 20


def prepare(weights: Path, cache: Path) -> Path:
    """The folder with the graph and the tokenizer; the first call takes some seconds. Raises NotReady.

    Of several that call at once one converts, and the others wait for it. It appears whole or not at all.
    """
    name = f"openvino-{_fingerprint(weights)}"
    folder, aside = cache / name, cache / f".{name}.converting"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f".{name}.lock"):
        if not (folder / GRAPH).exists():
            shutil.rmtree(aside, ignore_errors=True)  # of one that was killed over it
            aside.mkdir()
            try:
                _convert(weights, aside)
                aside.rename(folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """No other process of this machine is in here; the kernel frees it when one dies."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fingerprint(weights: Path) -> str:
    """Of a file that may have gigabytes: its size, its beginning and its end, and who converts it."""
    digest = hashlib.blake2b(f"{VERSION}:{openvino_genai.__version__}".encode(), digest_size=12)
    try:
        with weights.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8))
            for start in (0, max(0, size - _SAMPLE_BYTES)):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise NotReady(f"The weights {weights} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def _convert(weights: Path, aside: Path) -> None:
    """OpenVINO writes what it makes beside the file that it reads, so that is linked into a folder of ours."""
    source = aside / "model.gguf"
    source.symlink_to(weights.resolve())
    try:
        scheduler = openvino_genai.SchedulerConfig()
        openvino_genai.ContinuousBatchingPipeline(source, scheduler, "CPU", {"enable_save_ov_model": True})
        tokenizer = openvino_genai.Tokenizer(source, enable_save_ov_model=True)
        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": False})  # its own file is written over
        graph = core.read_model(aside / GRAPH)
        with_salted_tokens(graph, len(tokenizer.get_vocab()))
        openvino.save_model(graph, aside / GRAPH, compress_to_fp16=False)
        source.unlink()
    except RuntimeError as error:
        raise NotReady(
            f"OpenVINO cannot convert the weights {weights}. It reads GGUF files of Llama, Qwen and SmolLM models in "
            "F16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K; serve others with llama.cpp."
        ) from error


def with_salted_tokens(graph: Any, vocabulary: int) -> None:
    """Let the graph take the numbers of tokens modulo the vocabulary."""
    tokens = next(place for place in graph.inputs if "input_ids" in place.names)
    readers = list(tokens.get_target_inputs())
    plain = opset13.floor_mod(tokens, opset13.constant(vocabulary, dtype="int64"))
    for reader in readers:
        reader.replace_source_output(plain.output(0))
    graph.validate_nodes_and_infer_types()
