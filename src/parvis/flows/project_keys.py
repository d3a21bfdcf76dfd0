"""The keys of one project. A revoked key is not among them."""

from collections.abc import Callable, Sequence

from parvis.core.errors import NotFound
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Project
from parvis.flows.keys import PAGE
from parvis.flows.store import IdentityStore


async def project_keys(
    store: IdentityStore, project: Project, after: str | None, limit: int, asked: Callable[[ApiKey], bool]
) -> list[ApiKey]:
    """The next so many keys after an id, sorted by id."""
    found: list[ApiKey] = []
    while len(found) < limit:
        page = await store.keys_page([project.tenant_id], after, PAGE)
        found += [key for key in page if key.active and key.project_id == project.project_id and asked(key)]
        if len(page) < PAGE:
            break
        after = page[-1].key_id
    return found[:limit]


async def project_key(store: IdentityStore, project: Project, key_id: str) -> ApiKey:
    """One of them. Raises NotFound."""
    key = await store.key(key_id)
    if key is None or not key.active or (key.tenant_id, key.project_id) != (project.tenant_id, project.project_id):
        raise NotFound(f"There is no key '{key_id[:100]}' in this project.", param="key_id")
    return key


async def last_uses(store: IdentityStore, keys: Sequence[ApiKey]) -> dict[str, int]:
    """When each was last used, by whichever of its secrets, in milliseconds since the epoch; never used: not there."""
    latest: dict[str, int] = {}
    for use in await store.uses([key.key_id for key in keys]):
        latest[use.key_id] = max(use.last_unix_ms, latest.get(use.key_id, 0))
    return latest
