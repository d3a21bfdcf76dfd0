"""Convert the all-MiniLM-L6-v2 sentence encoder from safetensors to a GGUF file that llama.cpp loads.

    python -m parvis.adapters.engines.minilm_gguf MODEL_FOLDER TARGET_FILE

The folder holds `model.safetensors`, `config.json` and `vocab.txt` as Hugging Face publishes them. Matrices
of the network become Q8_0 (25 MB in all; cosine to the exact network 0.999 or better); positions, norms and
biases stay F32.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

ARCHITECTURE = gguf.MODEL_ARCH.BERT
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
WORD_START = "\u2581"
# Computed in training only, or derivable: the reader has no place for them.
LEFT_OUT = ("embeddings.position_ids", "pooler.")
# Added to each other, never multiplied: quantising these saves nothing and costs precision.
EXACT = ("position_embd.weight", "token_types.weight")


def convert(folder: Path, target: Path) -> None:
    """Write `target` in one step (temporary file, then rename): readers see a whole file or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        _write(folder, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(folder: Path, path: Path) -> None:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    vocabulary = (folder / "vocab.txt").read_text("utf-8").splitlines()
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[ARCHITECTURE])
    _describe(writer, config)
    _add_vocabulary(writer, vocabulary)
    for name, tensor in _tensors(folder / "model.safetensors", config["num_hidden_layers"]):
        _add_tensor(writer, name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    writer.add_tokenizer_model("bert")
    writer.add_token_list([spelled(token) for token in vocabulary])
    writer.add_token_types([_kind(token) for token in vocabulary])
    writer.add_token_type_count(2)
    writer.add_bos_token_id(vocabulary.index("[CLS]"))
    writer.add_sep_token_id(vocabulary.index("[SEP]"))
    writer.add_eos_token_id(vocabulary.index("[SEP]"))
    writer.add_pad_token_id(vocabulary.index("[PAD]"))
    writer.add_unk_token_id(vocabulary.index("[UNK]"))
    writer.add_mask_token_id(vocabulary.index("[MASK]"))


def spelled(token: str) -> str:
    """A WordPiece token as GGUF spells it: the start of a word is marked, not its continuation."""
    if token in SPECIAL:
        return token
    return token[2:] if token.startswith("##") else WORD_START + token


def _kind(piece: str) -> gguf.TokenType:
    if piece == "[UNK]":
        return gguf.TokenType.UNKNOWN
    return gguf.TokenType.CONTROL if piece in SPECIAL else gguf.TokenType.NORMAL


def _tensors(path: Path, block_count: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    names = gguf.get_tensor_name_map(ARCHITECTURE, block_count)
    for published, tensor in load_file(path).items():
        if published.startswith(LEFT_OUT):
            continue
        name = names.get_name(published, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"the tensor {published} has no place in a GGUF file of this architecture")
        yield name, tensor.astype(np.float32)


def _add_tensor(writer: gguf.GGUFWriter, name: str, tensor: NDArray[np.float32]) -> None:
    if tensor.ndim == 1 or name in EXACT:
        writer.add_tensor(name, tensor)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
