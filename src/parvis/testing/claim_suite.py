"""What every store promises of inference requests that are served once, as functions that take an open, empty store."""

# ruff: noqa: D103 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from parvis.domain.metering.claim import KEPT_MS, Claim, Verdict
from parvis.flows.store import Store

CLAIM = Claim("limited", "k1", "f1", "claim_1", "gw_1", KEPT_MS)
AGAIN = replace(CLAIM, ask="claim_2", incarnation="gw_2")


async def furnish(store: Store) -> None:
    await store.create_organisation("org", "Org")
    for tenant_id in ("limited", "other"):
        await store.create_tenant(tenant_id, "org", tenant_id, credit_unlimited=True)


async def of_many_at_once_one_runs(store: Store) -> None:
    await furnish(store)
    many = [replace(CLAIM, ask=f"claim_{number}") for number in range(20)]
    verdicts = await asyncio.gather(*(store.take_claim(one) for one in many))
    assert Counter(verdicts) == {Verdict.RUN: 1, Verdict.WAIT: 19}
    assert await store.take_claim(replace(CLAIM, tenant_id="other", ask="claim_30")) is Verdict.RUN
    assert await store.take_claim(replace(CLAIM, idempotency_key="k2", ask="claim_31")) is Verdict.RUN
    assert await store.take_claim(replace(AGAIN, fingerprint="f2")) is Verdict.REUSED


async def who_asks_again_means_the_same_claim(store: Store) -> None:
    await furnish(store)
    assert await store.take_claim(CLAIM) is Verdict.RUN
    assert await store.take_claim(CLAIM) is Verdict.RUN
    assert await store.claim_of("claim_1") == CLAIM
    assert await store.claim_of("claim_2") is None


async def an_answer_is_kept(store: Store) -> None:
    await furnish(store)
    await store.take_claim(CLAIM)
    assert await store.answer_claimed(CLAIM) is None
    await store.keep_claimed(CLAIM, b"sealed")
    await store.keep_claimed(CLAIM, None)
    await store.free_claim(CLAIM)
    assert await store.claim_of("claim_1") is None
    assert await store.take_claim(AGAIN) is Verdict.REPLAY
    assert await store.answer_claimed(AGAIN) == b"sealed"


async def what_is_not_kept_is_not_done_again(store: Store) -> None:
    await furnish(store)
    await store.take_claim(CLAIM)
    await store.keep_claimed(CLAIM, None)
    assert await store.take_claim(AGAIN) is Verdict.NOT_KEPT


async def a_freed_key_is_free(store: Store) -> None:
    await furnish(store)
    await store.take_claim(CLAIM)
    await store.free_claim(AGAIN)
    assert await store.take_claim(AGAIN) is Verdict.WAIT
    await store.free_claim(CLAIM)
    assert await store.take_claim(replace(AGAIN, fingerprint="f2")) is Verdict.RUN


async def a_gateway_that_is_gone_holds_no_key(store: Store) -> None:
    await furnish(store)
    await store.take_claim(CLAIM)
    await store.return_lease("gw_1")
    assert await store.take_claim(AGAIN) is Verdict.RUN
    await store.keep_claimed(CLAIM, b"of the one that was taken for dead")
    assert await store.take_claim(replace(CLAIM, ask="claim_3")) is Verdict.WAIT


async def what_is_old_is_forgotten(store: Store) -> None:
    await furnish(store)
    for number in range(3):
        await store.take_claim(replace(CLAIM, idempotency_key=f"k{number}", ask=f"claim_{number}", at_unix_ms=number))
    assert await store.forget_claims(2, 1) == 1
    assert await store.forget_claims(2, 10) == 1
    assert await store.forget_claims(2, 10) == 0
    late = replace(CLAIM, idempotency_key="k2", ask="claim_9", at_unix_ms=2 + KEPT_MS)
    assert await store.take_claim(late) is Verdict.RUN


PROMISES: list[Callable[[Store], Awaitable[None]]] = [
    of_many_at_once_one_runs,
    who_asks_again_means_the_same_claim,
    an_answer_is_kept,
    what_is_not_kept_is_not_done_again,
    a_freed_key_is_free,
    a_gateway_that_is_gone_holds_no_key,
    what_is_old_is_forgotten,
]
