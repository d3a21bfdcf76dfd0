"""Real proxies in front of a service: HAProxy and nginx, each set to let as much pass as it can.

They are Debian's. Root installs what is missing; anybody else is told the line to type.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parvis.core.errors import Misconfigured, Unavailable
from parvis.testing.service import free_port

PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light"}
START_S_MAX = 20.0
STOP_S_MAX = 10.0
_POLICY = Path("/usr/sbin/policy-rc.d")

_HAPROXY = """
global
  maxconn 1000
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 1s
  timeout server 30s
  timeout http-request 1s
  timeout http-keep-alive 1s
  retries 0
  option accept-invalid-http-request
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  log global
  log-format "%r"
  default_backend parvis
backend parvis
  server parvis 127.0.0.1:{upstream}
"""
_NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format line escape=none '$request';
  access_log {folder}/lines line;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_header_timeout 1s;
  client_body_timeout 1s;
  keepalive_timeout 1s;
  client_max_body_size 0;
  large_client_header_buffers 8 64k;
  ignore_invalid_headers off;
  underscores_in_headers on;
  merge_slashes off;
  proxy_request_buffering off;
  proxy_next_upstream off;
  upstream parvis {{ server 127.0.0.1:{upstream} max_fails=0; keepalive 8; keepalive_requests 100000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://parvis;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Front:
    """A running proxy."""

    name: str
    port: int
    handled: Callable[[], str]
    """The request lines that it took for requests, as far as it has logged them."""


@contextmanager
def haproxy(upstream: int) -> Iterator[Front]:
    """HAProxy before a port of this machine; connections to it are kept and shared by all clients."""
    with tempfile.TemporaryDirectory(prefix="parvis-haproxy-") as name:
        folder, port = Path(name), free_port()
        (folder / "conf").write_text(_HAPROXY.format(port=port, upstream=upstream))
        with _running(
            "haproxy",
            [_program("haproxy"), "-db", "-f", str(folder / "conf")],
            folder,
            port,
        ):
            yield Front("haproxy", port, lambda: (folder / "out").read_text("latin-1"))


@contextmanager
def nginx(upstream: int) -> Iterator[Front]:
    """The same with nginx."""
    with tempfile.TemporaryDirectory(prefix="parvis-nginx-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)  # its workers are another user's when root starts it
        (folder / "conf").write_text(_NGINX.format(folder=folder, port=port, upstream=upstream))
        command = [
            _program("nginx"),
            "-p",
            name,
            "-e",
            str(folder / "error.log"),
            "-c",
            str(folder / "conf"),
        ]
        with _running("nginx", command, folder, port):
            yield Front("nginx", port, lambda: (folder / "lines").read_text("latin-1"))


FRONTS = (haproxy, nginx)


@contextmanager
def _running(name: str, command: list[str], folder: Path, port: int) -> Iterator[None]:
    """The process, from its first accepted connection on. It dies with us."""
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        child = subprocess.Popen(  # noqa: S603 - a fixed command on our own files
            ["/usr/bin/setpriv", "--pdeathsig", "TERM", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        ends = time.monotonic() + START_S_MAX
        while not _listens(port):
            if child.poll() is not None or time.monotonic() > ends:
                raise Unavailable(f"{name} did not start: {(folder / 'err').read_text()}")
            time.sleep(0.02)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _program(name: str) -> str:
    """Where it is, also where an ordinary user's PATH does not lead. Raises Misconfigured."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if shutil.which(name, path=path) is None:
        _install(name)
    found = shutil.which(name, path=path)
    if found is None:
        raise Misconfigured(f"{name} is missing after its package was installed.")
    return found


def _install(name: str) -> None:
    line = f"apt-get install --no-install-recommends {PACKAGES[name]}"
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise Misconfigured(f"{name} is missing; type as root: {line}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    own_policy = not _POLICY.exists()
    if own_policy:  # keeps packages from starting their services
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        for command in (
            [apt, "update", "-qq"],
            [apt, *line.split()[1:], "--yes", "-qq"],
        ):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words
    finally:
        if own_policy:
            _POLICY.unlink()
