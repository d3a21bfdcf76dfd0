"""What every test lives under: no network but loopback, a level for the promises, the seconds of each.

Level C runs with each `make test`; level N, the whole number of a promise, with `make prove ROW=n`.
"""

import gc
import ipaddress
import re
import sys
from collections import defaultdict
from typing import Literal

import hypothesis
import pytest

# The same examples each time, no deadline (a shared machine is slow at times), nothing left in the checkout.
hypothesis.settings.register_profile("parvis", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("parvis")

Level = Literal["C", "N"]

LONG = ("tests/system/test_compiled.py", "tests/docs/test_examples.py", "tests/system/", "tests/contracts/test_engine")
"""What begins first, in this order. The end belongs to short files: a long one there keeps the others waiting."""

PROMISE = re.compile(r"tests/\w+/test_row_\d\d_\w+\.py")
ROW_SECONDS_MAX = 45


def is_here(address: object) -> bool:
    """Whether a socket address stays on this machine: loopback, or a socket that is a file."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0]).partition("%")[0]
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_the_network(event: str, args: tuple[object, ...]) -> None:
    """Raise when Python code of this process reaches beyond loopback.

    An audit hook sees every Python socket, whoever made it. It does not see a connection that a C library
    opens by itself (libuv, libpq); those take their addresses from tests, which name loopback.
    """
    if event in {"socket.connect", "socket.sendto"} and not is_here(args[1]):
        message = f"a test reached for {args[1]}; only loopback is allowed"
        raise PermissionError(message)


sys.addaudithook(refuse_the_network)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run promises with their whole number (level N)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files before short ones; a file stays whole."""
    items.sort(key=lambda item: [not item.nodeid.startswith(long) for long in LONG])


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was collected: it stays to the end, and looking through it takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def level(pytestconfig: pytest.Config) -> Level:
    """How much of a promise to run: `C` with every `make test`, `N` the whole number."""
    return "N" if pytestconfig.getoption("--prove") else "C"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seconds of each promise, and mark those that take too long for every day."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and PROMISE.match(report.nodeid):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    if seconds:
        terminalreporter.section("seconds of each promise")
    for path, spent in sorted(seconds.items()):
        too_long = "  over the limit of level C" if spent > ROW_SECONDS_MAX else ""
        terminalreporter.write_line(f"{spent:8.1f}  {path}{too_long}")
