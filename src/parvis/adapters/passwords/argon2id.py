"""Argon2id with the parameters that RFC 9106 recommends where memory is not plentiful: 64 MiB, three passes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from parvis.core.errors import Unavailable
from parvis.core.secret import Secret

T = TypeVar("T")
AT_ONCE = 2
"""Each takes 64 MiB and the time of a core: more at once would be slower for all, and others want the cores too."""


WAITING_MAX = 100
"""Some ten seconds of work. Who would come later than that hears so at once."""


class Argon2Passwords:
    """`Passwords`. Callers beyond `AT_ONCE` wait in line; beyond `WAITING_MAX` they are refused with Unavailable."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._nobodys = self._hasher.hash("the password of nobody at all")

    async def hash(self, password: Secret) -> str:
        """See the port."""
        return await self._run(lambda: self._hasher.hash(password.reveal()))

    async def verify(self, hashed: str, password: Secret) -> bool:
        """See the port."""
        same = await self._run(lambda: self._same(hashed or self._nobodys, password))
        return same and bool(hashed)

    def stale(self, hashed: str) -> bool:
        """See the port."""
        return self._hasher.check_needs_rehash(hashed)

    def _same(self, hashed: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(hashed, password.reveal())
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many others are signing in at this moment.", retry_after_s=10)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
