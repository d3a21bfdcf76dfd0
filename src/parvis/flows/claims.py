"""Inference requests that must be served once: control says which of those under one key runs, and keeps its answer.

    verdict, answer = await book.claim(claim, waits)     # RUN: serve it, then
    await book.end(claim.ask, answer)                    # and everybody who waits gets this answer

The truth is in the store; only who waits is remembered here. The store never sees a key's text or a request's digest:
both are hashed under a key of ours first, because either may be guessed. Answers are sealed under a key of their
tenant.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from weakref import WeakValueDictionary

from parvis.core.clock import Clock
from parvis.domain.metering.claim import KEPT_MS, Claim, Verdict
from parvis.domain.vault.sealing import Place, SealBroken
from parvis.flows.claim_store import ClaimStore
from parvis.flows.vault import TenantVault

PURPOSE = "idempotent-answers"
STILL_S = 2.0
"""How often who waits is told that it still does."""
FORGET_AT_ONCE = 500


class ClaimBook:
    """The claims of all gateways. One at a time acts, whatever the number of machines."""

    def __init__(self, store: ClaimStore, vault: TenantVault, secret: bytes, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._secret = secret
        self._clock = clock
        self._ends: WeakValueDictionary[tuple[str, str], asyncio.Event] = WeakValueDictionary()

    async def claim(self, claim: Claim, waits: Callable[[], None]) -> tuple[Verdict, bytes]:
        """What its request shall do, and the answer when that is `REPLAY`; never `WAIT`, which is done here.

        Waits as long as the first one runs, and calls `waits` every two seconds meanwhile. Raises Unavailable.
        """
        claim = self._hashed(claim)
        while True:
            # Before looking, so that an end between the look and the waiting is not missed.
            ended = self._ends.setdefault((claim.tenant_id, claim.idempotency_key), asyncio.Event())
            verdict = await self._store.take_claim(replace(claim, at_unix_ms=self._clock.unix_ms()))
            if verdict is Verdict.REPLAY:
                return await self._kept(claim)
            if verdict is not Verdict.WAIT:
                return verdict, b""
            while not ended.is_set():
                waits()
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), STILL_S)

    async def end(self, ask: str, answer: bytes | None, *, kept: bool) -> None:
        """The request of this attempt has ended. Durable on return; again is no harm. Raises Unavailable.

        `kept`: with this answer, or without any, and then nothing more is done under this key. Else it failed, and
        the key is free.
        """
        claim = await self._store.claim_of(ask)
        if claim is None:
            return
        if kept:
            sealed = None if answer is None else await self._vault.seal(_place(claim), PURPOSE, answer)
            await self._store.keep_claimed(claim, sealed)
        else:
            await self._store.free_claim(claim)
        self._wake((claim.tenant_id, claim.idempotency_key))

    def run_ended(self) -> None:
        """A gateway is gone and its journal was read to the end: who waits for one of its requests looks again."""
        for named in list(self._ends):
            self._wake(named)

    async def forget(self) -> None:
        """Remove what is older than a day."""
        before = self._clock.unix_ms() - KEPT_MS
        gone = FORGET_AT_ONCE
        while gone == FORGET_AT_ONCE:
            gone = await self._store.forget_claims(before, FORGET_AT_ONCE)

    def _wake(self, named: tuple[str, str]) -> None:
        ended = self._ends.pop(named, None)
        if ended is not None:
            ended.set()

    async def _kept(self, claim: Claim) -> tuple[Verdict, bytes]:
        sealed = await self._store.answer_claimed(claim)
        if sealed is not None:
            with suppress(SealBroken):  # the tenant's keys were destroyed: what it kept is gone
                return Verdict.REPLAY, await self._vault.open(_place(claim), PURPOSE, sealed)
        return Verdict.NOT_KEPT, b""

    def _hashed(self, claim: Claim) -> Claim:
        def hashed(what: str, text: str) -> str:
            return hmac.new(self._secret, f"claim {what}\n{text}".encode(), hashlib.sha256).hexdigest()

        return replace(
            claim,
            idempotency_key=hashed("key", claim.idempotency_key),
            fingerprint=hashed("fingerprint", claim.fingerprint),
        )


def _place(claim: Claim) -> Place:
    return Place(claim.tenant_id, "claims", claim.idempotency_key, "answer", 1)
