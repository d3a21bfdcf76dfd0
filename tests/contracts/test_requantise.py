"""Q8_0 weights made of the bundled Q4_1 ones: the same network, and llama.cpp serves it."""

import asyncio
from pathlib import Path

import gguf
import numpy as np
import pytest

from parvis.adapters.engines.gguf_head import Head, read_head
from parvis.adapters.engines.requantise import requantise
from parvis.adapters.engines.weights import WeightsMissing, locate, make_q8_0, q8_0_file
from parvis.app.engine_trial import load, running, warm_up
from parvis.domain.fleet.layout import Layout
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import EngineSettings

SMOLLM2 = "builtin:smollm2-135m-instruct"
ERROR_MAX = 0.01
"""Root mean square, by that of the matrix. Q4_1 itself is some 7 % off the network as it was trained."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def made(home: Path) -> Path:
    return make_q8_0(locate(SMOLLM2, home), home / "cache")


def small(path: Path) -> Path:
    """A file with everything that counts in one: lists, texts, numbers, and tensors of each form."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Small")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_token_list(["a", "b", "\u00e9"])
    writer.add_token_scores([0.5, 1.5, 2.5])
    writer.add_rope_freq_base(10_000.0)
    random = np.random.default_rng(7)
    for name, form, shape in (
        ("line.weight", gguf.GGMLQuantizationType.Q4_1, (48, 64)),
        ("half.weight", gguf.GGMLQuantizationType.F16, (16, 96)),
        ("ready.weight", gguf.GGMLQuantizationType.Q8_0, (16, 32)),
        ("narrow.weight", gguf.GGMLQuantizationType.F16, (4, 20)),
        ("norm.weight", gguf.GGMLQuantizationType.F32, (64,)),
    ):
        tensor = random.normal(size=shape).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(tensor, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_matrices_are_the_same_and_all_else_is_taken_over(tmp_path: Path) -> None:
    source = small(tmp_path / "small.gguf")
    requantise(source, tmp_path / "made.gguf")
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(tmp_path / "made.gguf")
    assert [(tensor.name, tensor.tensor_type.name) for tensor in after.tensors] == [
        ("line.weight", "Q8_0"),
        ("half.weight", "Q8_0"),
        ("ready.weight", "Q8_0"),
        ("narrow.weight", "F16"),
        ("norm.weight", "F32"),
    ]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        exact, close = (gguf.quants.dequantize(one.data, one.tensor_type) for one in (old, new))
        assert np.sqrt(np.mean((exact - close) ** 2)) <= ERROR_MAX * np.sqrt(np.mean(exact**2)), old.name
    assert before.fields.keys() == after.fields.keys()
    differing = {name for name, field in before.fields.items() if field.contents() != after.fields[name].contents()}
    assert differing == {"general.file_type"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.gguf", "small.gguf"]


def test_they_are_made_once_and_of_these_weights(made: Path, tmp_path: Path) -> None:
    written = made.stat().st_mtime_ns
    assert make_q8_0(locate(SMOLLM2, tmp_path), made.parent) == made
    assert made.stat().st_mtime_ns == written
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF one")
    first = q8_0_file(mine, made.parent)
    mine.write_bytes(b"GGUF other")
    assert first != q8_0_file(mine, made.parent)
    with pytest.raises(WeightsMissing, match="cannot be opened"):
        q8_0_file(tmp_path / "away.gguf", made.parent)


def test_the_head_says_what_it_is(made: Path, tmp_path: Path) -> None:
    assert read_head(locate(SMOLLM2, tmp_path)) == Head("llama", "Q4_1", 8192, 23_040)
    assert read_head(made).quantisation == "Q8_0"
    for number, broken in enumerate((b"", b"GGUF", b"GIF89a", b"GGUF" + b"\xff" * 64)):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(broken)
        assert read_head(path) == Head()
    assert read_head(tmp_path / "away.gguf") == Head()


@pytest.mark.usefixtures("made")
async def test_an_engine_that_is_tried_serves_them(home: Path) -> None:
    layout = Layout(EngineKind.LLAMA_CPP, 1, 1, 2, requantise=True, why="")
    engine = EngineSettings(weights=SMOLLM2, model="mini", context_tokens=512)
    async with running(home, engine, layout) as engines:
        await asyncio.wait_for(warm_up(engines), 60)
        seen = await load(engines, 2, 2.0)
    assert seen.failed == 0
    assert seen.tokens_per_s > 0
    assert 0 < seen.first_p50_ms <= seen.first_p95_ms
