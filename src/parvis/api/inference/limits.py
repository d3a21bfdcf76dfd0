"""The bounds of the listener. Everything that a client can make large or slow has one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Sizes in bytes, times in seconds."""

    body_bytes_max: int = 4 << 20
    head_bytes_max: int = 32 << 10
    headers_max: int = 100
    pipelined_max: int = 8
    head_s_max: float = 10.0
    body_s_max: float = 60.0
    idle_s_max: float = 120.0
    stall_s_max: float = 60.0
    """How long a client may take nothing of what was written for it."""
    linger_s_max: float = 2.0
    """How long a refused client may go on sending before it is cut off, so that it can read why."""
    connections_max: int = 8_192
    write_buffer_bytes_max: int = 256 << 10
