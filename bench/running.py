"""A target that has been started: its processes, its key, whether it answers."""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable
from http import HTTPStatus

from phases import WHOLE, body
from places import CHAT_PATH, GATEWAY_CORE, LOAD_CORE, Stage
from processes import Memory, memory, on_core, pin, stop, tree
from service import Pids
from targets import PEER_KEY, Target

WRONG_KEY = "sk-bench-2"


class Running:
    """A started target, bound to its core unless it may use both. `stop` must be called, also when it never answers."""

    def __init__(self, wanted: Target, stage: Stage, *, bound: bool = True) -> None:
        self.target = wanted
        self.key = PEER_KEY
        self.at_rest = Memory(0, 0)
        self._bound = bound and stage.cores == 1
        self._stage = stage
        self._folder = stage.own_folder(wanted.name)
        self._log = self._folder / "log"
        self._root = 0
        if wanted.command:
            core = LOAD_CORE if wanted.beside else GATEWAY_CORE
            with self._log.open("wb") as log, on_core(core) if self._bound else contextlib.nullcontext():
                self._process = subprocess.Popen(
                    wanted.command,
                    cwd=self._folder,
                    env=os.environ | wanted.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            self._root = self._process.pid

    @property
    def name(self) -> str:
        """The target's."""
        return self.target.name

    @property
    def everything(self) -> list[int]:
        """All processes of the target."""
        return tree(self._root) if self._root else []

    def pids(self) -> Pids:
        """The processes to be measured, bound to their cores. Ends the run when there is none any more."""
        if not self._root:
            return Pids([], [])
        pids = self.target.pids(self._root)
        if self._process.poll() is not None or not pids.gateway:
            raise SystemExit(f"bench: {self.name} ended by itself\n{self.output(1500)}")
        if self._bound and self.target.beside:
            pin(pids.gateway, GATEWAY_CORE)
        return pids

    def rest(self) -> None:
        """Remember the memory that its gateway takes now, when it has only just begun to answer."""
        self.at_rest = memory(self.pids().gateway)

    def wait_ready(self, right: Callable[[str], bool], patience_s: float = 120.0) -> bool:
        """Wait for the key, and until an answer to it is `right`; False when that never came."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self._root and self._process.poll() is not None:
                return False
            key = self.target.api_key(self.output())
            if key and right(key):
                self.key = key
                return True
            time.sleep(0.3)
        return False

    def answers(self, key: str) -> bool:
        """Whether a chat request with this key gets the mock's whole answer."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection = self._connection()
        try:
            connection.request("POST", CHAT_PATH, body(WHOLE), headers)
            response = connection.getresponse()
            answer = json.load(response)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return response.status == HTTPStatus.OK and answer["usage"]["completion_tokens"] == 300

    def checks_keys(self) -> bool:
        """Whether a key that nobody has is refused."""
        return not self.answers(WRONG_KEY)

    def output(self, last: int = 20_000) -> str:
        """The last characters that the target printed."""
        return self._log.read_text(errors="replace")[-last:] if self._root else ""

    def stop(self) -> None:
        """End all its processes."""
        if self._root:
            stop(self._root)
            self._process.wait()

    def _connection(self) -> http.client.HTTPConnection:
        if not self.target.tls:
            return http.client.HTTPConnection("127.0.0.1", self.target.port, timeout=10)
        trusted = ssl.create_default_context(cafile=str(self._stage.folder / "cert.pem"))
        return http.client.HTTPSConnection("127.0.0.1", self.target.port, timeout=10, context=trusted)
