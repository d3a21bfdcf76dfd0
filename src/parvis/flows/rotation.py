"""Rotation: a key's next secret, fetched by who holds the current one, and what its owners may do about it.

The service never sends a secret and never stores one. The next secret exists when it is fetched, in one answer; what
is kept of it is its digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict
from parvis.domain.identity import succession
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest, secret_matched
from parvis.domain.identity.key_text import new_key, read_key, write_key
from parvis.domain.identity.rotation import EVERY_MS_MAX, Phase
from parvis.domain.identity.succession import Refusal, live_secrets, standing
from parvis.flows.keys import SWAPS_MAX, Mint, NewKey, key_named, swap
from parvis.flows.ports import KeyUse
from parvis.flows.store import IdentityStore

USE_NOTED_MS = 60_000
"""A use of a secret at this door is written down again after so long."""


@dataclass(frozen=True, slots=True)
class SecretStory:
    """One secret of a key, as its owner may know it."""

    made_unix_ms: int
    ends_unix_ms: int | None
    last_used_unix_ms: int | None


@dataclass(frozen=True, slots=True)
class RotationState:
    """Where a key stands in its rotation. `phase` is None for one that was revoked, or has ended as a whole."""

    phase: Phase | None
    due_unix_ms: int | None
    ends_unix_ms: int | None
    """When the key stops working if nobody does anything."""
    secrets: tuple[SecretStory, ...]
    """Those that work, the newest first."""


async def next_secret(
    store: IdentityStore, mint: Mint, key_id: str, presented_made_unix_ms: int, *, early: bool = False
) -> NewKey:
    """Make the next secret of a key for who presented the secret of that instant; durable on return.

    Both work for the overlap. Again before the new one was ever used: the unused one is replaced, and the old one
    ends when it was going to. `early`: though it is not due. Raises Conflict for each `Refusal`, NotFound.
    """
    _, secret = new_key(mint.randomness)
    digest = secret_digest(mint.pepper(), key_id, secret)
    for _ in range(SWAPS_MAX):
        key = await key_named(store, key_id)
        if not key.active:
            raise Conflict(f"The key '{key_id}' was revoked.")
        used = any(use.made_unix_ms == key.secrets[0].made_unix_ms for use in await store.uses([key_id]))
        after = succession.next_secret(
            key, presented_made_unix_ms, digest, mint.clock.unix_ms(), used=used, early=early
        )
        if isinstance(after, Refusal):
            raise _refused(after, key_id)
        try:
            await store.swap_key(key, after)
        except Conflict:
            continue  # somebody changed it meanwhile
        return NewKey(after, write_key(key_id, secret))
    raise Conflict(f"The key '{key_id}' is being changed by somebody else. Try again.")


async def start_rotation(store: IdentityStore, clock: Clock, key_id: str) -> ApiKey:
    """The next secret is due now, and the current one ends with the grace. Raises NotFound, Conflict."""

    def change(key: ApiKey) -> ApiKey:
        _demand(key, clock, Phase.CURRENT, Phase.NOTICE, Phase.DUE)
        return succession.due_now(key, clock.unix_ms())

    return await swap(store, key_id, change)


async def extend_grace(store: IdentityStore, clock: Clock, key_id: str, ends_unix_ms: int) -> ApiKey:
    """The current secret works until then, later than it would have. Raises NotFound, BadRequest, Conflict."""

    def change(key: ApiKey) -> ApiKey:
        _demand(key, clock, Phase.CURRENT, Phase.NOTICE, Phase.DUE, Phase.OVERLAP)
        ends = key.secrets[0].ends_unix_ms
        if ends is None:
            raise Conflict(f"The secret of the key '{key_id}' has no end: nothing is to be extended.")
        if not ends < ends_unix_ms <= clock.unix_ms() + EVERY_MS_MAX:
            raise BadRequest("The grace can only become longer, and ends within three years.", param="ends_at")
        return succession.with_grace(key, ends_unix_ms)

    return await swap(store, key_id, change)


async def end_old_secret(store: IdentityStore, clock: Clock, key_id: str) -> ApiKey:
    """End the older of two secrets at once, everywhere within a second. Raises NotFound, Conflict when there is one."""

    def change(key: ApiKey) -> ApiKey:
        _demand(key, clock, Phase.OVERLAP)
        return succession.without_old(key)

    return await swap(store, key_id, change)


async def state_of(store: IdentityStore, clock: Clock, key: ApiKey) -> RotationState:
    """Where one key stands."""
    return (await states_of(store, clock, [key]))[0]


async def states_of(store: IdentityStore, clock: Clock, keys: Sequence[ApiKey]) -> list[RotationState]:
    """Where each of these keys stands, in their order."""
    uses = {(use.key_id, use.made_unix_ms): use.last_unix_ms for use in await store.uses([k.key_id for k in keys])}
    now = clock.unix_ms()
    return [_state(key, uses, now) for key in keys]


def presented_secret(pepper: bytes, key: ApiKey, credential: str | None, now_unix_ms: int) -> KeySecret | None:
    """The live secret of this key that a credential carries."""
    text = read_key(credential or "")
    if text is None or text.key_id != key.key_id:
        return None
    return secret_matched(key, secret_digest(pepper, text.key_id, text.secret), now_unix_ms)


async def note_use(store: IdentityStore, clock: Clock, key_id: str, made_unix_ms: int) -> None:
    """Write down that a secret was used here, if that was not done within the last minute."""
    now = clock.unix_ms()
    known = {use.made_unix_ms: use.last_unix_ms for use in await store.uses([key_id])}
    if known.get(made_unix_ms, 0) <= now - USE_NOTED_MS:
        await store.note_uses([KeyUse(key_id, made_unix_ms, now)])


async def revoke_presented(store: IdentityStore, mint: Mint, text: str) -> ApiKey | None:
    """Revoke the key whose whole and right text this is; None when it is none's, or of a secret that has ended."""
    parts = read_key(text)
    key = None if parts is None else await store.key(parts.key_id)
    if key is None or not _works(key, mint.clock.unix_ms()):
        return None
    if presented_secret(mint.pepper(), key, text, mint.clock.unix_ms()) is None:
        return None
    await store.revoke_key(key.key_id)
    return replace(key, active=False)


def _state(key: ApiKey, uses: dict[tuple[str, int], int], now_unix_ms: int) -> RotationState:
    works = _works(key, now_unix_ms)
    live = live_secrets(key, now_unix_ms) if works else ()
    ends = [end for end in (key.secrets[0].ends_unix_ms, key.ends_unix_ms) if end is not None]
    told = tuple(SecretStory(s.made_unix_ms, s.ends_unix_ms, uses.get((key.key_id, s.made_unix_ms))) for s in live)
    phase = standing(key, now_unix_ms).phase if works else None
    return RotationState(phase, key.due_unix_ms if works else None, min(ends, default=None), told)


def _works(key: ApiKey, now_unix_ms: int) -> bool:
    """Whether the key as a whole does."""
    return key.active and (key.ends_unix_ms is None or now_unix_ms < key.ends_unix_ms)


def _refused(refusal: Refusal, key_id: str) -> Conflict:
    match refusal:
        case Refusal.NOT_DUE:
            return Conflict(f"The next secret of the key '{key_id}' is not due yet.", code="rotation_not_due")
        case Refusal.ENDED:
            return Conflict(f"The secret that asks for the key '{key_id}' has ended.", code="secret_ended")
        case Refusal.FOLLOWED:
            return Conflict(
                f"The next secret of the key '{key_id}' was fetched and is in use. Ask with that one.",
                code="secret_followed",
            )
        case Refusal.OVERLAPPING:
            return Conflict(
                f"An older secret of the key '{key_id}' still works. End it first, or wait until it has ended.",
                code="rotation_under_way",
            )


def _demand(key: ApiKey, clock: Clock, *phases: Phase) -> None:
    """Raises Conflict unless the key works and is in one of these phases."""
    if not _works(key, clock.unix_ms()):
        raise Conflict(f"The key '{key.key_id}' works no more. Make another.")
    phase = standing(key, clock.unix_ms()).phase
    if phase not in phases:
        wanted = " or ".join(phases)
        raise Conflict(f"The key '{key.key_id}' is in the phase '{phase}' of its rotation, and this needs '{wanted}'.")
