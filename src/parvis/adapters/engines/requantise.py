"""Make a GGUF file whose matrices are Q8_0 of one in which they are Q4_1 or F16: llama.cpp computes faster with it.

    python -m parvis.adapters.engines.requantise SOURCE TARGET_FILE

Everything else (the vocabulary, the template, norms) is taken over as it is. A number of Q4_1 is one of 16 on a line,
and Q8_0 has 255 steps between the ends, so next to nothing is lost. The whole file is held in memory: about thrice the
source. That is one reason why it is a process of its own; numpy, which shall not stay in one for months, is the other.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
from gguf import GGMLQuantizationType as Form
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from numpy.typing import NDArray

FROM = frozenset({Form.Q4_1, Form.F16})
BLOCK = 32
"""Numbers that share a scale in Q8_0: rows are cut into such."""
_OURS = ("general.architecture", "general.file_type")
"""The writer says these itself."""
_READERS = "GGUF."
"""Facts of the reader's own, about the file."""


def requantise(source: Path, target: Path) -> None:
    """Write `target` in one step (temporary file, then rename): readers see a whole file or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        _write(GGUFReader(source), part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(reader: GGUFReader, path: Path) -> None:
    writer = GGUFWriter(path, reader.fields["general.architecture"].contents())
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, field in reader.fields.items():
        if name not in _OURS and not name.startswith(_READERS):
            inner = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        data, form = _faster(tensor)
        writer.add_tensor(tensor.name, data, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _faster(tensor: Any) -> tuple[NDArray[Any], Form]:
    """Matrices alone: what is added, not multiplied, is no faster in another form."""
    if tensor.tensor_type not in FROM or len(tensor.shape) == 1 or tensor.shape[0] % BLOCK:
        return tensor.data, tensor.tensor_type
    exact = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return gguf.quants.quantize(exact, Form.Q8_0), Form.Q8_0


if __name__ == "__main__":
    requantise(Path(sys.argv[1]), Path(sys.argv[2]))
