"""Whose prompts can be told from which engine's cache: for the status, and for the log where requests are refused."""

import logging
from collections.abc import Callable

from parvis.domain.fleet.caching import Caching, caching_in_force
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import Replica

_log = logging.getLogger("parvis.control")


class CacheBook:
    """What is in force of each replica. `alone` says whether the service has one tenant at most."""

    def __init__(self, replicas: Callable[[], tuple[Replica, ...]], alone: Callable[[], bool]) -> None:
        self._replicas = replicas
        self._alone = alone
        self._complained: set[str] = set()

    def in_force(self, replica: Replica) -> Caching:
        """As gateways decide it for each request."""
        return caching_in_force(PROFILES[replica.kind], replica.cache, alone=self._alone())

    def look(self) -> None:
        """Say in the log, once, which pools generate for nobody until the operator has declared something."""
        refused = {one.engine for one in self._replicas() if self.in_force(one) is Caching.REFUSED}
        for pool in sorted(refused - self._complained):
            advice = 'declare its cache "shared" or "off", or use an engine that knows a cache salt'
            _log.warning("tenants would share a prompt cache: requests are refused", extra={"pool": pool, "do": advice})
        self._complained = refused
