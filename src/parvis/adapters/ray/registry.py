"""Who lives: each replica says so every second, and who is silent is forgotten. An actor of its own on the cluster.

It outlives the driver, and is never renewed by a newer release while it runs: so it stores what replicas say of
themselves unread, and a change of its methods needs another `ROOM`.
"""

import time
from collections.abc import Callable
from typing import Any

ROOM = "registry-1"
"""Part of the actor's name."""
BEAT_S = 1.0
SILENT_S = 3.0
"""Whom nobody heard for so long is gone."""

Facts = dict[str, Any]
"""What a replica says of itself; see `facts`."""


class Registry:
    """In memory only: whoever lives says so again, to a new one too."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since_s = now()
        self._heard: dict[str, tuple[float, Facts]] = {}
        self._certificates: dict[str, str] = {}

    def hear(self, replica_id: str, said: Facts) -> str:
        """One lives, and is as it says. Its certificate (PEM), once somebody has signed its request."""
        self._heard[replica_id] = (self._now(), said)
        return self._certificates.get(replica_id, "")

    def certify(self, replica_id: str, certificate: str) -> None:
        """The answer to the request that it came with."""
        self._certificates[replica_id] = certificate

    def leave(self, replica_id: str) -> None:
        """It has ended, or its engine has."""
        self._heard.pop(replica_id, None)
        self._certificates.pop(replica_id, None)

    def living(self) -> dict[str, Facts] | None:
        """All that live; None while this is too young to have heard of everybody."""
        oldest_s = self._now() - SILENT_S
        for replica_id in [one for one, (heard_s, _) in self._heard.items() if heard_s < oldest_s]:
            self.leave(replica_id)
        if self._since_s > oldest_s:
            return None
        return {replica_id: said for replica_id, (_, said) in self._heard.items()}
