"""The compiled wheel behaves as the sources do: it is built, and a part of the tests runs on it.

Which modules are compiled stands in `pyproject.toml`; everything else of the wheel is the same Python.
"""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_S_MAX = 300
pytestmark = pytest.mark.timeout(BUILD_S_MAX + 60)
TESTS_S_MAX = 600
KINDS = "not sglang and not tgi and not ollama"
"""The same code serves all kinds of engines: three of them are enough here."""
PARTS = (
    "tests/wire",
    "tests/domain/test_core.py",
    "tests/domain/test_fleet.py",
    "tests/domain/test_gcra.py",
    "tests/domain/test_identity.py",
    "tests/domain/test_prefix.py",
    "tests/domain/test_quota.py",
    "tests/flows/test_directory.py",
    "tests/flows/test_fleet.py",
    "tests/flows/test_ingest.py",
    "tests/flows/test_permit.py",
    "tests/flows/test_purse.py",
    "tests/flows/test_quota.py",
    "tests/flows/test_serve.py",
    "tests/flows/test_trail.py",
    "tests/contracts/test_engine.py",
    "tests/contracts/test_journal.py",
    "tests/contracts/test_journal_frames.py",
    "tests/contracts/test_link.py",
    "tests/contracts/test_link_directory.py",
    "tests/contracts/test_upstream.py",
    "tests/api/inference",
)
SHOW = "import parvis.flows.serve as serve; print(serve.__file__)"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of a fresh wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        ["make", "wheel", f"DIST={folder}"], cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def on(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site)}


def test_every_module_of_the_list_is_compiled(compiled: Path) -> None:
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    wanted = {path.removeprefix("/src/").removesuffix(".py") for path in hook["mypyc"]["include"]}
    libraries = {str(path.relative_to(compiled)).partition(".cpython")[0] for path in compiled.rglob("*.so")}
    assert wanted == {name for name in libraries if name.startswith("parvis/")}
    found = subprocess.run([sys.executable, "-c", SHOW], env=on(compiled), capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith(".so")


@pytest.mark.timeout(TESTS_S_MAX + 60)
def test_the_tests_pass_on_it(compiled: Path) -> None:
    options = ["-q", "--no-cov", "-x", "-p", "no:cacheprovider", "-k", KINDS]
    command = [sys.executable, "-m", "pytest", *options, *PARTS]
    done = subprocess.run(
        command, cwd=ROOT, env=on(compiled), capture_output=True, text=True, timeout=TESTS_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
