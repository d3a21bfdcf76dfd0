"""The bounds of the listener. Everything that a client can make large or slow has one."""

from dataclasses import dataclass

BYTES_PER_S_MIN = 8 << 10
"""What a client sends of a body or takes of an answer buys it time at this rate, beyond the time that all have."""

LONG_BODIES = (b"/v1/audio/transcriptions", b"/v1/audio/translations")
"""Paths whose bodies are bounded by `audio_bytes_max`."""


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Sizes in bytes, times in seconds. No time begins again because something moved: see `BYTES_PER_S_MIN`."""

    body_bytes_max: int = 4 << 20
    audio_bytes_max: int = 25 << 20
    """Of a form with a file of sound."""
    bodies_bytes_max: int = 256 << 20
    """All requests together that are not whole yet, or whose turn has not come: what nobody has paid for."""
    head_bytes_max: int = 32 << 10
    headers_max: int = 100
    pipelined_max: int = 8
    handshake_s_max: float = 5.0
    head_s_max: float = 10.0
    body_s_max: float = 60.0
    idle_s_max: float = 120.0
    stall_s_max: float = 60.0
    """How long a client may let its answer wait once its buffer is full, all such times of one answer together."""
    linger_s_max: float = 2.0
    """How long a refused client may go on sending before it is cut off, so that it can read why."""
    connections_max: int = 8_192
    connections_per_address_max: int = 2_048
    """Of one IPv4 address, or of one IPv6 /64. As high as `connections_max`, it bounds nothing."""
    handshakes_max: int = 256
    """TLS handshakes half done; one more pushes out the oldest."""
    write_buffer_bytes_max: int = 16 << 10
    """Beyond it, and beyond what the kernel takes, an engine is held up until the client has taken all of it. It is
    small because events that wait one by one take four times their size."""


def earned_s(moved_bytes: int) -> float:
    """The time that so many bytes buy. What moves at once but slowly cannot buy more than `BYTES_PER_S_MIN` says."""
    return max(moved_bytes, 0) / BYTES_PER_S_MIN
