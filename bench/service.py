"""How the bench starts and finds the product itself: `parvis up` on a scratch home.

This is the one file of the bench that knows the service's settings, its printed lines, its processes and the API
of its operator.
"""

import json
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from places import Stage, free_port
from processes import command_line, tree

ENGINE_MODEL = "smollm2-135m-instruct"
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

    `api_key` takes the output of `command` so far and returns None until the key is in it; `pids` takes the process
    id of `command`; `booked` tells how many requests are in the ledger.
    """

    port: int
    command: tuple[str, ...]
    environment: dict[str, str]
    api_key: Callable[[str], str | None]
    pids: Callable[[int], Pids]
    booked: Callable[[], int]


def parvis_home(stage: Stage, name: str = "parvis", settings: str = "parvis-mock.toml") -> ParvisHome:
    """Write a home from the settings file of that name, for a service that is then started."""
    home = stage.own_folder(name)
    port, operator_port = free_port(), free_port()
    ports = {"PORT": port, "CONSOLE_PORT": free_port(), "OPERATOR_PORT": operator_port}
    (home / "parvis.toml").write_text(stage.configured(settings, name, tls=name.endswith("-tls"), **ports))
    environment = {"PARVIS_HOME": str(home), "PYTHONUNBUFFERED": "1"}

    def booked() -> int:
        return requests_booked(home, operator_port)

    return ParvisHome(port, (program(), "up"), environment, printed_api_key, find_pids, booked)


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


def requests_booked(home: Path, operator_port: int) -> int:
    """How many requests the ledger of this home knows."""
    token = (home / "operator.token").read_text().strip()
    url = f"http://127.0.0.1:{operator_port}/v1/usage"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with straight.open(request, timeout=60) as response:
        return int(json.load(response)["total"]["requests"])
