"""What a gateway asks of the C library: to keep the memory that large bodies leave, not to give it back each time.

A prompt of 200 kB passes through half a dozen buffers of its size. Left to itself glibc returns them to the kernel
again and again, and every page that comes back is a fault and is cleared: a third of what such a request cost. What is
kept beyond need is `KEPT_BYTES_MAX` at most.
"""

import ctypes

KEPT_BYTES_MAX = 6 << 20
"""Unused at the end of the heap before it is cut."""
APART_BYTES = 1 << 20
"""From this size on a buffer has a mapping of its own, which is returned at once. Bodies are 4 MiB at most."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> None:
    """For the whole process. Nothing happens where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        mallopt(_MMAP_THRESHOLD, APART_BYTES)
