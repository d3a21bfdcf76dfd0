"""How many replicas a deployment should have. Requests go to engines directly, so Ray cannot count them: engines do."""

from typing import Any

BUSY = "busy"
"""What replicas report: requests that run or wait in their engine."""
BUSY_SHARE = 0.75
"""Of its slots, at which a replica is as busy as it should be. Below one: a full replica takes nothing more from the
gateways' queues, so its engine never tells of more than its slots."""
LOOK_S = 5.0
UP_S = 10.0
DOWN_S = 300.0
"""A model that was loaded stays for a while."""


def replicas_wanted(context: Any) -> tuple[float, dict[str, Any]]:
    """A policy of Ray Serve, which bounds, rounds and delays what it says.

    `context` is Ray's `AutoscalingContext`; its `config` has the target of one replica.
    """
    reported: dict[Any, float] = (context.aggregated_metrics or {}).get(BUSY, {})
    if not reported or not context.current_num_replicas:
        return context.target_num_replicas, {}
    busy = sum(reported.values()) / len(reported)
    return context.current_num_replicas * busy / context.config.get_target_ongoing_requests(), {}
