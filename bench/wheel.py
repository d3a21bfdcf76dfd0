"""The product as it is installed for service: the wheel of `make wheel`, unpacked beside the peers."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

from peers import say
from places import BENCH, SCRATCH

ROOT = BENCH.parent


def site() -> Path:
    """The folder of the unpacked wheel, made anew when the sources differ from those it was made of."""
    home = SCRATCH / "wheel"
    mark, digest = home / "made", _digest()
    if not (mark.exists() and mark.read_text() == digest):
        say("compiling the product (a minute)")
        subprocess.run(["rm", "-rf", home], check=True)
        subprocess.run(["make", "--silent", "wheel", f"DIST={home}"], cwd=ROOT, check=True)
        (wheel,) = home.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(home / "site")
        mark.write_text(digest)
    return home / "site"


def _digest() -> str:
    """Of everything that a wheel is made of."""
    sources = sorted((ROOT / "src").rglob("*.py"))
    whole = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    for path in sources:
        whole.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return whole.hexdigest()
