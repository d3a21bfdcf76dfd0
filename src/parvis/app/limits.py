"""The bounds of one gateway's listener, made of what the operator has set for all of them."""

from parvis.api.inference.limits import ListenerLimits
from parvis.settings import Inference


def listener_limits(inference: Inference) -> ListenerLimits:
    """Caps are shared among the workers, rounded up: the kernel spreads clients about evenly. Times are everybody's."""
    largest = max(inference.body_bytes_max, inference.audio_bytes_max)
    return ListenerLimits(
        body_bytes_max=inference.body_bytes_max,
        audio_bytes_max=inference.audio_bytes_max,
        bodies_bytes_max=max(_share(inference.bodies_bytes_max, inference.workers), largest),
        handshake_s_max=inference.handshake_s_max,
        head_s_max=inference.head_s_max,
        body_s_max=inference.body_s_max,
        idle_s_max=inference.idle_s_max,
        stall_s_max=inference.stall_s_max,
        connections_max=_share(inference.connections_max, inference.workers),
        connections_per_address_max=_share(inference.connections_per_address_max, inference.workers),
    )


def _share(cap: int, workers: int) -> int:
    return -(-cap // workers)
