"""The root key in a file of the data folder, for installations without an HSM or a KMS."""

import os
from pathlib import Path

from parvis.core.errors import Misconfigured
from parvis.core.ids import Randomness

KEY_BYTES = 32
FILE = "root.key"


def load_root_key(home: Path, randomness: Randomness = os.urandom) -> bytes:
    """Read the key; make it at the first start. 32 bytes.

    Raises Misconfigured when the file is not ours alone or has not its length: never replaces one.
    """
    path = home / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(randomness(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return _read(path)


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode & 0o077
    if mode:
        raise Misconfigured(f"{path} can be read by others. Type: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path} is not a root key of {KEY_BYTES} bytes. Restore it from your backup.")
    return key
