"""A customer at the console: known by an API key, and shown what that key may see."""

from parvis.core.clock import Clock
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.key_text import read_key
from parvis.flows.directory import SnapshotDirectory
from parvis.flows.ports import Directory, Snapshot
from parvis.flows.store import Store


async def welcome(store: Store, pepper: bytes, clock: Clock, credential: str | None) -> tuple[ApiKey, Directory]:
    """The key of a credential, and the directory as of now: judged by the same rules as at the gateways.

    Nothing is read for what cannot be a key. Raises NotAuthenticated.
    """
    directory = SnapshotDirectory(clock)
    if credential is not None and read_key(credential) is not None:
        keys = {key.key_id: key for key in await store.keys()}
        models, prices = tuple(await store.models()), tuple(await store.prices())
        directory.load(Snapshot(0, pepper, keys, models, prices, ()))
    return directory.key(credential), directory
