"""What an answer cost, where its caller asked: beside the counts in `usage`. Ours; the protocol of OpenAI has no price.

`"usage": {…, "cost": "0.0000123 EUR"}`
"""

import msgspec

_END = len(b"}}\n\n")
"""Of `usage`, of the event, and of the line."""


def with_cost(event: bytes, cost: str, clipped: str) -> bytes:
    """A usage event that also says its cost, and, if it was shortened for want of money, how and why."""
    told = {"cost": cost, "clipped": clipped} if clipped else {"cost": cost}
    return b"%b,%b%b" % (event[:-_END], msgspec.json.encode(told)[1:-1], event[-_END:])
