"""The replicas that the settings name by address."""

from pathlib import Path

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.replica import Replica, ReplicaState
from parvis.settings import Settings


def given_replicas(settings: Settings) -> tuple[Replica, ...]:
    """One for each address. Taken as ready: who does not answer is passed over. Raises Misconfigured."""
    return tuple(
        Replica(
            f"{name}-{place}",
            name,
            engine.server,
            address,
            ReplicaState.READY,
            engine_key(engine.api_key_file),
            tls=engine.tls,
            slots=engine.slots,
            cache=engine.cache,
        )
        for name, engine in settings.engines.items()
        for place, address in enumerate(engine.addresses)
    )


def engine_key(path: str) -> str:
    """What a server demands of us; nothing where no file is named. Raises Misconfigured."""
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as problem:
        raise Misconfigured(f"The engine's key file {path} cannot be read: {problem.strerror}.") from None
