"""The loads that a target is put under, and the request bodies that they send."""

import json
from dataclasses import dataclass

FILLER = "lorem ipsum dolor sit amet " * 22
SYSTEM = "You are a helpful assistant. Answer briefly and in plain words."


@dataclass(frozen=True)
class Phase:
    """One load: `marker` tells the mock what to do (native/mock.c), `rate_per_s` 0 is a closed loop."""

    name: str
    marker: str
    connections: int
    seconds: float
    rate_per_s: int = 0

    @property
    def streamed(self) -> bool:
        """Whether the answers are event streams."""
        return self.marker.startswith("@s")


PHASES = {
    phase.name: phase
    for phase in (
        Phase("sat", "@m0", connections=64, seconds=4),
        Phase("r100", "@m0", connections=64, seconds=3, rate_per_s=100),
        Phase("r500", "@m0", connections=64, seconds=3, rate_per_s=500),
        Phase("sse100", "@s10", connections=100, seconds=4),
        Phase("sse500", "@s10", connections=500, seconds=4),
        Phase("burst", "@sb", connections=16, seconds=2),
    )
}
WARM_UP = Phase("warm", "@m0", connections=32, seconds=1.5)
WAKE_UP = Phase("wake", "@m0", connections=16, seconds=0.3)


def body(marker: str) -> bytes:
    """A chat request of about 0.8 kB, which the mock answers in the way of `marker`."""
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    request = {
        "model": "mock",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{marker} Summarise this text for a reader in a hurry: {FILLER}"},
        ],
        "temperature": 0.7,
        "max_tokens": 300,
    }
    return json.dumps(request | (streamed if marker.startswith("@s") else {})).encode()
