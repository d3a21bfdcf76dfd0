"""How the bench starts and finds the product itself: `parvis up` on a scratch home.

This is the one file of the bench that knows the service's settings, its printed lines and its processes.
"""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from places import PEERS
from processes import command_line, tree

GATEWAY_PORT = 8110
ENGINE_MODEL = "smollm2-135m-instruct"
PORTS = {"GATEWAY_PORT": GATEWAY_PORT, "CONSOLE_PORT": 8111, "OPERATOR_PORT": 8112}
GATEWAY_MODULE = "parvis.app.gateway"
CONTROL_MODULE = "parvis.app.control"
# What `parvis up` prints for its first customer, once the service answers.
API_KEY_LINE = re.compile(r"^\s*API key:\s*(\S+)", re.MULTILINE)


class Pids(NamedTuple):
    """The processes of one target: those that carry requests, and those that work beside them."""

    gateway: list[int]
    control: list[int]


class ParvisHome(NamedTuple):
    """A scratch home and how to use it.

    `api_key` takes the output of `command` so far and returns None until the key is in it; `find_pids` takes
    the process id of `command`.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    api_key: Callable[[str], str | None]
    find_pids: Callable[[int], Pids]


def parvis_home(folder: Path, settings: str = "parvis-mock.toml") -> ParvisHome:
    """Write a home into `folder` from the settings file of that name, for a service that is then started."""
    home = folder / "parvis"
    home.mkdir(mode=0o700, parents=True)
    text = (PEERS / settings).read_text()
    for name, port in PORTS.items():
        text = text.replace(name, str(port))
    (home / "parvis.toml").write_text(text)
    environment = {"PARVIS_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return ParvisHome((program(), "up"), environment, printed_api_key, find_pids)


def program() -> str:
    """The `parvis` command of the environment that runs the bench."""
    beside = Path(sys.executable).with_name("parvis")
    return str(beside) if beside.exists() else shutil.which("parvis") or "parvis"


def printed_api_key(output: str) -> str | None:
    """The key in what `parvis up` printed, or None."""
    found = API_KEY_LINE.search(output)
    return found[1] if found else None


def find_pids(supervisor: int) -> Pids:
    """The gateway workers and the control process among the supervisor's descendants."""
    commands = {pid: command_line(pid) for pid in tree(supervisor)}
    return Pids(
        gateway=[pid for pid, line in commands.items() if GATEWAY_MODULE in line],
        control=[pid for pid, line in commands.items() if CONTROL_MODULE in line],
    )
