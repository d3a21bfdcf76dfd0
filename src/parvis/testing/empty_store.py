"""An empty store on SQLite for a test: the steps that lead to its tables are taken once in a process, then copied.

To take them costs a sixth of a second of processor time, and hundreds of tests begin with an empty store. That they
lead to these tables has its own tests.
"""

import tempfile
from functools import cache
from pathlib import Path

from parvis.adapters.store.migrate import migrate


def empty_store(path: Path) -> str:
    """Write a file with all tables and nothing in them; give its URL."""
    path.write_bytes(_all_tables())
    return f"sqlite:///{path}"


@cache
def _all_tables() -> bytes:
    with tempfile.TemporaryDirectory(prefix="parvis-tables-") as folder:
        path = Path(folder) / "store.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()
