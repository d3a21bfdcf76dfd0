"""The gateway faces the Internet, so it stays small: what it must not contain, it does not even load.

`subprocess` is loaded in any process that loads asyncio. What counts is that no module of ours in the gateway
imports it, or anything else that starts a program.
"""

import subprocess
import sys

import pytest

WEB = {"fastapi", "httpx", "pydantic", "starlette", "uvicorn"}
DATABASE = {"alembic", "psycopg", "sqlalchemy"}
TERMINAL = {"click", "rich"}
STARTERS = {"multiprocessing", "pty", "subprocess"}
PROBE = "import sys, parvis.app.gateway; print(*sys.modules, sep='\\n')"


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """What a fresh process holds after it imported the gateway."""
    done = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


def test_no_web_framework_no_database_and_no_terminal_is_loaded(loaded: set[str]) -> None:
    assert {name for name in loaded if name.partition(".")[0] in WEB | DATABASE | TERMINAL} == set()


def test_no_module_of_ours_can_start_a_program(loaded: set[str], imports: dict[str, set[str]]) -> None:
    ours = {path for path in imports if path.removesuffix(".py").replace("/", ".") in strip(loaded)}
    assert "app/gateway.py" in ours
    assert {path for path in ours if imports[path] & STARTERS} == set()


def strip(loaded: set[str]) -> set[str]:
    """Our loaded modules, named as below the package."""
    return {name.removeprefix("parvis.") for name in loaded if name.startswith("parvis.")}
