"""Where things lie: the bench's own files, and the scratch folder beside the checkout's files."""

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
MOCK_PORTS = (9001, 9002)
CHAT_PATH = "/v1/chat/completions"
