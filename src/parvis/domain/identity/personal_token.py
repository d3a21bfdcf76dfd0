"""Personal tokens: what a person's own program shows. Never more than the person may do at that moment."""

from collections.abc import Iterable
from dataclasses import dataclass

from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.principal import Right

LIFE_MS_MAX = 366 * 86_400_000
"""Twelve months."""
NOT_BY_TOKEN = frozenset({Permission.OWN_SESSION, Permission.OWN_FACTORS_WRITE, Permission.OWN_PROFILE_WRITE})
"""What only the person does: whoever finds a token cannot make another one of it."""


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A token without its secret."""

    token_id: str
    user_id: str
    name: str
    created_unix_ms: int
    ends_unix_ms: int
    limits: tuple[Right, ...] = ()
    """What it is narrowed to; empty: all that its person may do."""
    used_unix_ms: int | None = None
    standing: Standing = Standing.ACTIVE
    """Active until it is revoked."""

    def alive(self, now_unix_ms: int) -> bool:
        """Whether it opens anything."""
        return self.standing is Standing.ACTIVE and now_unix_ms < self.ends_unix_ms


def narrowed(rights: Iterable[Right], limits: Iterable[Right]) -> tuple[Right, ...]:
    """What both allow: permissions of both, over the smaller of two places of which one covers the other."""
    wanted = tuple(limits)
    found = []
    for right in rights:
        for limit in wanted:
            permissions = right.permissions & limit.permissions
            if permissions and right.target.covers(limit.target):
                found.append(Right(permissions, limit.target))
            elif permissions and limit.target.covers(right.target):
                found.append(Right(permissions, right.target))
    return tuple(found)


def rights_by_token(rights: Iterable[Right], token: PersonalToken) -> tuple[Right, ...]:
    """What a person may do through this token now."""
    own = [Right(right.permissions - NOT_BY_TOKEN, right.target) for right in rights]
    return narrowed(own, token.limits) if token.limits else tuple(own)
