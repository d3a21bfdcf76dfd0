"""How busy an engine is, by its own word. The names that it uses for that are in `domain.fleet.profile`."""

import re

from parvis.adapters.engines.asking import ask
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.load import Load
from parvis.domain.fleet.profile import PROFILES, LoadNames
from parvis.domain.fleet.replica import Replica

_NEWLINE = ord("\n")
_VALUE = re.compile(rb"(?:\{[^}]*\})? ([0-9.]+(?:e[+-]?[0-9]+)?)")
"""What follows a name on its line: perhaps labels, and a number."""


class EngineLoads:
    """Reads the page of the replica that is named."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def read(self, replica: Replica) -> Load | None:
        """What it runs and has waiting now; None where it does not say. Asks nobody of a kind that never does."""
        profile = PROFILES[replica.kind]
        if profile.load is None:
            return None
        pool = self._upstreams.pool(replica)
        page = await ask(pool, pool.question(profile.metrics.encode(), replica.api_key), kept=True)
        return None if page is None else load_of(page, profile.load)


def load_of(page: bytes, names: LoadNames) -> Load | None:
    """The sums over all models and ranks; of the memory the part that the fullest has in use, as far as it is told.

    Pages of vLLM have a thousand lines of histograms: only the lines that are wanted are looked for.
    """
    running, waiting = _values(page, names.running), _values(page, names.waiting)
    if not running or not waiting:
        return None
    used = [value for name in names.used for value in _values(page, name)]
    return Load(int(sum(running)), int(sum(waiting)), max(used, default=None))


def _values(page: bytes, name: str) -> list[float]:
    """Names are told with a colon, or by exporters of OpenTelemetry with an underscore in its place."""
    values: list[float] = []
    for written in {name.encode(), name.replace(":", "_").encode()}:
        place = page.find(written)
        while place >= 0:
            end = page.find(b"\n", place)
            line = page[place : end if end >= 0 else len(page)]
            if (place == 0 or page[place - 1] == _NEWLINE) and (told := _VALUE.fullmatch(line, len(written))):
                values.append(float(told[1]))
            place = page.find(written, place + len(written))
    return values
