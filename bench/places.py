"""Where things lie: the bench's own files, the scratch folder beside the checkout's files, and one run's stage."""

import random
import socket
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
SCRATCH = BENCH.parent / ".bench"
RESULTS = BENCH / "results"
PEERS = BENCH / "peers"
NATIVE = BENCH / "native"
MOCK = SCRATCH / "bin" / "mock"
LOAD = SCRATCH / "bin" / "load"
GATEWAY_CORE = 0
LOAD_CORE = 1
CHAT_PATH = "/v1/chat/completions"
PORTS = range(12_000, 32_000)
"""Below those that the kernel gives to outgoing connections."""


def free_port() -> int:
    """A loopback port on which nothing listens now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@dataclass(frozen=True)
class Stage:
    """One run: its scratch folder, the mock's two ports, and how many cores each gateway may use (1 or 2).

    The folder holds `cert.pem`, `key.pem` and `both.pem` for those that speak TLS (certificate.py).
    """

    folder: Path
    mock_ports: tuple[int, int]
    cores: int = 1

    @property
    def mock_addresses(self) -> tuple[str, ...]:
        """Base URLs of the mock's two replicas."""
        return tuple(f"http://127.0.0.1:{port}" for port in self.mock_ports)

    def own_folder(self, target: str) -> Path:
        """The folder of one target; made if there is none."""
        folder = self.folder / target
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def configured(self, template: str, target: str, *, tls: bool = False, **words: int | str) -> str:
        """The text of `peers/TEMPLATE` with its words filled in.

        `@WORD@` is replaced. Lines that start with `#TLS ` count only with `tls`, lines that end in `#PLAIN` only
        without.
        """
        known = {
            "RUN": self.own_folder(target),
            "TLS": self.folder,
            "WORKERS": self.cores,
            "MOCK_1": self.mock_ports[0],
            "MOCK_2": self.mock_ports[1],
            **words,
        }
        lines = (PEERS / template).read_text().splitlines()
        lines = [line.removeprefix("#TLS ") for line in lines if tls or not line.startswith("#TLS ")]
        text = "\n".join(line.removesuffix("#PLAIN") for line in lines if not (tls and line.endswith("#PLAIN"))) + "\n"
        for word, value in known.items():
            text = text.replace(f"@{word}@", str(value))
        return text
