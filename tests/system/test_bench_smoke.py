"""The bench itself: it measures, writes its report, and sees what goes wrong. It judges no figure here.

Each part runs as a user runs it, in processes of its own.
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.alone
ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
LOAD = ROOT / ".bench" / "bin" / "load"
SOAK_S = 4
BENCH_S_MAX = 110
Row = dict[str, Any]


def bench(program: str, *options: str) -> str:
    """What a program of the bench prints; it must succeed."""
    command = [sys.executable, str(BENCH / program), *options]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False, timeout=BENCH_S_MAX)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def rows_of(results: Path, kind: str) -> list[Row]:
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def test_a_short_run_measures_and_reports(tmp_path: Path) -> None:
    what = ("--targets", "direct,parvis", "--phases", "sat", "--rounds", "1", "--scale", "0.2")
    bench(
        "run.py",
        "--interpreted",
        *what,
        "--only",
        "gateways,soak",
        "--soak-s",
        str(SOAK_S),
        "--out",
        str(tmp_path),
        "--name",
        "smoke",
    )

    direct, parvis = rows_of(tmp_path / "smoke.jsonl", "gateway")
    assert (direct["target"], parvis["target"]) == ("direct", "parvis")
    for row in (direct, parvis):
        assert row["requests"] > 0
        assert row["bad_status"] + row["broken"] + row["cut"] == 0
    assert parvis["cpu_us_per_request"] > 0
    assert parvis["rss_idle_mib"] > 0
    assert parvis["drained_s"] is not None, "every answer came into the ledger"
    assert {row["target"]: row["checks_keys"] for row in rows_of(tmp_path / "smoke.jsonl", "target")} == {
        "direct": False,
        "parvis": True,
    }

    (soak,) = rows_of(tmp_path / "smoke.jsonl", "soak")
    assert soak["bad_status"] + soak["broken"] + soak["cut"] == 0
    assert soak["requests"] > SOAK_S * 300, "half of the rate, at the least"
    assert soak["drained_s"] is not None
    assert max(soak["rss_mib"]) < 2 * min(soak["rss_mib"]), "nothing runs away"

    page = (tmp_path / "smoke.md").read_text()
    assert "| Whole answers on one core |" in page
    for image in re.findall(r"\]\(([^)]+\.svg)\)", page):
        assert ET.parse(tmp_path / image).getroot().tag.endswith("svg")  # noqa: S314 - our own file


def test_what_routing_costs_and_knows_is_measured() -> None:
    printed = bench("routing.py", "--blocks", "5000", "--conversations", "50")
    assert len(re.findall(r"^ *\d+ replicas: +[\d.]+ µs, +[\d.]+ µs$", printed, re.MULTILINE)) == 3
    assert "50 conversations: 100.0% known of what was read before" in printed


def test_the_readmes_say_what_the_results_say() -> None:
    shown = re.search(r"\(bench/(results/[\w.-]+)\.md\)", (ROOT / "README.md").read_text())
    assert shown is not None
    bench("readme.py", f"{shown[1]}.jsonl", "--check")


# -------------------------------------------------------------------------- what the generator must not overlook


class Bad(BaseHTTPRequestHandler):
    """A server with one fault: `refuses` with 500, `cuts` its stream before the end, or `stalls` in it."""

    protocol_version = "HTTP/1.1"
    fault: ClassVar[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500 if self.fault == "refuses" else 200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            if number == 2 and self.fault == "stalls":
                token = self._token()  # made now, handed over late
                time.sleep(0.3)
                self._chunk(token)
            else:
                self._chunk(self._token())
        self._chunk("" if self.fault == "cuts" else "data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def _token(self) -> str:
        now_us = time.monotonic_ns() // 1000
        return f'data: {{"choices":[{{"delta":{{"content":"{now_us:013}"}}}}]}}\n\n'

    def _chunk(self, text: str) -> None:
        if text:
            self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())


@contextmanager
def served(fault: str) -> Iterator[int]:
    """A bad server; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Bad,), {"fault": fault}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def load(port: int, folder: Path) -> Row:
    """What the generator says of one stream after the other for a short while."""
    (folder / "body.json").write_text("{}")
    command = [str(LOAD), str(port), "/", str(folder / "body.json"), "1", "0.3", "0", "0"]
    row: Row = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert row["requests"] > 0
    return row


@pytest.fixture(scope="module", autouse=True)
def generator() -> None:
    """Compiled, with what it takes."""
    bench("peers.py")


def test_the_generator_counts_refusals(tmp_path: Path) -> None:
    with served("refuses") as port:
        row = load(port, tmp_path)
    assert row["bad_status"] == row["requests"]


def test_the_generator_counts_cut_streams(tmp_path: Path) -> None:
    with served("cuts") as port:
        row = load(port, tmp_path)
    assert row["cut"] == row["requests"]


def test_the_generator_sees_a_stall(tmp_path: Path) -> None:
    with served("stalls") as port:
        row = load(port, tmp_path)
    assert row["cut"] == row["bad_status"] == 0
    assert row["stall_us"] > 250_000
