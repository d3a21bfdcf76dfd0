"""How the secrets of one key follow one another: at most two live ones, the newest first, and never without an end.

Pure: each act gives the key as it is afterwards. A secret is named by the instant at which it was made. Times are
milliseconds since the epoch.
"""

from dataclasses import replace
from enum import StrEnum

from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.notice import NoticeKind
from parvis.domain.identity.rotation import DAY_MS, UNSCHEDULED, Phase, Schedule, Standing

LATE_MS = DAY_MS
"""How long after it was due, and once more before the grace ends, its owners are told; of a short grace, half of it."""
EXPIRY_NOTICE_MS = 14 * DAY_MS
"""How long before a key as a whole expires its owners are told."""


class Refusal(StrEnum):
    """Why there is no next secret now."""

    NOT_DUE = "not_due"
    ENDED = "ended"
    """The secret that asks is not one of the key's, or works no more."""
    FOLLOWED = "followed"
    """The next one was fetched, and is in use."""
    OVERLAPPING = "overlapping"
    """An older one still works beside the one that asks; a third would cut it off."""


def first_secret(key: ApiKey, digest: bytes, now_unix_ms: int) -> ApiKey:
    """A key with this secret alone. Of a key with a schedule it ends when nobody fetched the next one in time."""
    return _newest(key, (), digest, now_unix_ms)


def next_secret(
    key: ApiKey, presented_made_unix_ms: int, digest: bytes, now_unix_ms: int, *, used: bool, early: bool
) -> ApiKey | Refusal:
    """The key with its next secret, which `digest` is of; `used`: somebody has used the newest one.

    Who asks by the older of two, before the newer was ever used, did not get the answer: the newer is replaced, and
    the older ends when it was going to.
    """
    live = live_secrets(key, now_unix_ms)
    asking = next((secret for secret in live if secret.made_unix_ms == presented_made_unix_ms), None)
    if asking is None:
        return Refusal.ENDED
    if asking is not live[0]:
        return Refusal.FOLLOWED if used else _newest(key, (asking,), digest, now_unix_ms)
    if len(live) > 1:
        return Refusal.OVERLAPPING
    if not early and standing(key, now_unix_ms).phase not in (Phase.NOTICE, Phase.DUE):
        return Refusal.NOT_DUE
    ends = now_unix_ms + rules_of(key).overlap_ms
    return _newest(key, (replace(asking, ends_unix_ms=ends),), digest, now_unix_ms)


def without_old(key: ApiKey) -> ApiKey:
    """The key with its newest secret alone."""
    return replace(key, secrets=key.secrets[:1])


def due_now(key: ApiKey, now_unix_ms: int) -> ApiKey:
    """The key whose next secret is due at once, unless it was before; without it the newest ends with the grace."""
    due = now_unix_ms if key.due_unix_ms is None else min(key.due_unix_ms, now_unix_ms)
    return _due(key, due)


def with_grace(key: ApiKey, ends_unix_ms: int | None) -> ApiKey:
    """The key whose newest secret works until then, though nobody fetches the next one."""
    return replace(key, secrets=(replace(key.secrets[0], ends_unix_ms=ends_unix_ms), *key.secrets[1:]))


def rescheduled(key: ApiKey, schedule: Schedule | None, now_unix_ms: int) -> ApiKey:
    """The key under another schedule, counted from its newest secret.

    Nothing becomes due in the past or while two secrets work, and one that has ended stays so.
    """
    changed = replace(key, schedule=schedule)
    if schedule == key.schedule or standing(key, now_unix_ms).phase is Phase.EXPIRED:
        return changed
    if schedule is None:
        return replace(with_grace(changed, None), due_unix_ms=None)
    overlap_ends = (secret.ends_unix_ms or 0 for secret in key.secrets[1:])
    return _due(changed, max(now_unix_ms, key.secrets[0].made_unix_ms + schedule.every_ms, *overlap_ends))


def live_secrets(key: ApiKey, now_unix_ms: int) -> tuple[KeySecret, ...]:
    """Those that work, the newest first."""
    return tuple(s for s in key.secrets if s.ends_unix_ms is None or now_unix_ms < s.ends_unix_ms)


def standing(key: ApiKey, now_unix_ms: int) -> Standing:
    """Where a key stands in its rotation."""
    live = live_secrets(key, now_unix_ms)
    newest = key.secrets[0]
    if newest not in live:
        return Standing(Phase.EXPIRED, None)
    if len(live) > 1:
        return Standing(Phase.OVERLAP, live[1].ends_unix_ms)
    due = key.due_unix_ms
    if due is None:
        return Standing(Phase.CURRENT, newest.ends_unix_ms)
    notice = due - rules_of(key).notice_ms
    for phase, ends in ((Phase.CURRENT, notice), (Phase.NOTICE, due)):
        if now_unix_ms < ends:
            return Standing(phase, ends)
    return Standing(Phase.DUE, newest.ends_unix_ms)


def moments(key: ApiKey) -> tuple[tuple[int, NoticeKind], ...]:
    """All that is to be told of a key as it is, and when, by time. Of a revoked one nothing is."""
    if not key.active:
        return ()
    due, ends = key.due_unix_ms, key.secrets[0].ends_unix_ms
    told: set[tuple[int, NoticeKind]] = set()
    if due is not None and ends is not None:
        late_ms = min(LATE_MS, (ends - due) // 2)
        told.add((due - rules_of(key).notice_ms, NoticeKind.ROTATION_DUE))
        told |= {(due + late_ms, NoticeKind.ROTATION_LATE), (ends - late_ms, NoticeKind.ROTATION_LATE)}
    if key.ends_unix_ms is not None:
        told.add((max(key.created_unix_ms, key.ends_unix_ms - EXPIRY_NOTICE_MS), NoticeKind.KEY_EXPIRES))
    last = min((end for end in (ends, key.ends_unix_ms) if end is not None), default=None)
    if last is not None:
        told.add((last, NoticeKind.KEY_EXPIRED))
    return tuple(sorted(one for one in told if last is None or one[0] <= last))


def rules_of(key: ApiKey) -> Schedule:
    """Its overlap, notice and grace."""
    return key.schedule or UNSCHEDULED


def _newest(key: ApiKey, older: tuple[KeySecret, ...], digest: bytes, now_unix_ms: int) -> ApiKey:
    made = max([now_unix_ms, *(secret.made_unix_ms + 1 for secret in key.secrets)])
    fresh = replace(key, secrets=(KeySecret(digest, made), *older), due_unix_ms=None)
    return fresh if key.schedule is None else _due(fresh, made + key.schedule.every_ms)


def _due(key: ApiKey, due_unix_ms: int) -> ApiKey:
    return replace(with_grace(key, due_unix_ms + rules_of(key).grace_ms), due_unix_ms=due_unix_ms)
