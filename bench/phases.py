"""The loads that a target is put under, and the request bodies that they send."""

import dataclasses
import json
from dataclasses import dataclass

FILLER = 'Lorem ipsum: "dolor sit amet",\nconsectetur adipiscing élit. '
"""With what JSON must escape, and a letter that is none of ASCII's, as in real prompts."""
SYSTEM = "You are a helpful assistant. Answer briefly and in plain words."
SMALL_BYTES, BIG_BYTES = 1_000, 200_000


@dataclass(frozen=True)
class Phase:
    """One load: `marker` tells the mock what to do (native/mock.c), `rate_per_s` 0 is a closed loop."""

    name: str
    title: str
    marker: str
    connections: int
    seconds: float
    rate_per_s: int = 0
    body_bytes: int = SMALL_BYTES

    @property
    def streamed(self) -> bool:
        """Whether the answers are event streams."""
        return self.marker != WHOLE

    def lasting(self, seconds: float) -> "Phase":
        """The same load for so long."""
        return dataclasses.replace(self, seconds=seconds)


WHOLE = "@json"
HUNDRED = "@100x10"  # a hundred events, 10 ms apart: a stream of one second
PHASES = {
    phase.name: phase
    for phase in (
        Phase("sat", "Whole answers, 64 connections, as fast as they go", WHOLE, 64, 3),
        Phase("r100", "100 answers a second", WHOLE, 64, 3, rate_per_s=100),
        Phase("r500", "500 answers a second", WHOLE, 64, 1.5, rate_per_s=500),
        Phase("r1000", "1,000 answers a second", WHOLE, 64, 1.5, rate_per_s=1000),
        Phase("sse100", "100 streams of 100 events a second each", HUNDRED, 100, 3),
        Phase("sse500", "500 streams of 100 events a second each", HUNDRED, 500, 3),
        Phase("starts", "1,000 streams started a second, of 5 events each", "@5x10", 256, 3, rate_per_s=1000),
        Phase("calm1000", "1,000 streams of 20 events a second each", "@60x50", 1000, 3),
        Phase("burst", "16 streams without pauses", "@100x0", 16, 1.5),
        Phase("big", "Whole answers to prompts of 200 kB, 16 connections", WHOLE, 16, 2, body_bytes=BIG_BYTES),
    )
}
WARM_UP = Phase("warm", "", WHOLE, connections=32, seconds=1.5)
WAKE_UP = Phase("wake", "", WHOLE, connections=16, seconds=0.3)
TWO_CORES = "@2"
"""What follows a phase's name in the rows of a run in which gateways have two cores."""


def phase_of(label: str) -> Phase:
    """The phase of a row."""
    return PHASES[label.removesuffix(TWO_CORES)]


def body(marker: str, size: int = SMALL_BYTES) -> bytes:
    """A chat request of exactly `size` bytes, which the mock answers in the way of `marker`."""
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    user = {"role": "user", "content": f"{marker} Summarise this text for a reader in a hurry: "}
    request = {
        "model": "mock",
        "messages": [{"role": "system", "content": SYSTEM}, user],
        "temperature": 0.7,
        "max_tokens": 300,
        **(streamed if marker != WHOLE else {}),
    }
    missing = size - len(as_json(request))
    count, rest = divmod(missing, len(as_json(FILLER)) - len('""'))
    user["content"] += FILLER * count + "." * rest
    return as_json(request)


def as_json(value: object) -> bytes:
    """As the official clients write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
