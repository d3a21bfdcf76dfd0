"""The supervisor's eye on the engine processes of this machine: one that has frozen is killed, and another follows.

Gateways leave such a one alone within seconds; they cannot replace it. What is still loading has no replica to look at.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from parvis.adapters.engines.probing import Prober
from parvis.adapters.engines.upstream import Upstreams
from parvis.app.crew import Child, Post
from parvis.domain.fleet.pulse import Pulse
from parvis.domain.fleet.replica import Replica

PAUSE_S = 1.0
LOOK_S_MAX = 4.0
"""Longer than gateways wait: this one kills."""
Serving = Sequence[tuple[Post, Replica]]
_log = logging.getLogger("parvis.supervisor")


class EngineWatch:
    """Looks at all of them again and again."""

    def __init__(self, serving: Callable[[], Serving], s_max: Callable[[], float]) -> None:
        """`serving`: who has a process that serves now; `s_max`: after so many seconds one is frozen."""
        self._serving = serving
        self._s_max = s_max
        self._pulses: WeakKeyDictionary[Child, Pulse] = WeakKeyDictionary()

    async def run(self) -> None:
        """Until cancelled."""
        upstreams = Upstreams(asyncio.get_running_loop())
        prober = Prober(upstreams)
        try:
            while True:
                serving = self._serving()
                upstreams.keep({replica.replica_id for _, replica in serving})
                await asyncio.gather(*(self._look(prober, post, replica) for post, replica in serving))
                await asyncio.sleep(PAUSE_S)
        finally:
            upstreams.close()

    async def _look(self, prober: Prober, post: Post, replica: Replica) -> None:
        child = post.child
        if child is None:
            return
        now_s = asyncio.get_running_loop().time
        pulse = self._pulses.get(child)
        if pulse is None:
            pulse = self._pulses[child] = Pulse(now_s())
        look = await prober.look(replica, LOOK_S_MAX)
        pulse.looked(None if look is None else look.life, now_s())
        if pulse.frozen(self._s_max()) and post.child is child:
            reason = f"It did not answer for {pulse.silent_s():.0f} s when asked how it is, and was killed."
            extra = {"replica": replica.replica_id, "pid": child.pid, "reason": reason}
            _log.error("an engine process has frozen, killing it", extra=extra)
            post.kill(reason)
