"""A key about itself: `/v1/keys/sync`; and a key in the wrong hands: `/v1/keys/report`."""

import asyncio
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import ConsoleDesk, TheDesk, TheKey, desk_of
from parvis.api.web.answers_keys import KeySync, Report
from parvis.api.web.credentials import bearer
from parvis.api.web.instants import write_instant
from parvis.api.web.routes import TheObjects
from parvis.api.web.shapes import Json
from parvis.core.errors import NotAuthenticated
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.rotation import Phase
from parvis.flows.reports import report_key
from parvis.flows.rotation import RotationState, next_secret, note_use, presented_secret, state_of

REPORT_S = 0.3
"""How long every report takes, so that the time tells nothing either."""


class SyncForm(BaseModel):
    """`rotate`: the next secret now, though it is not due."""

    model_config = ConfigDict(extra="forbid")
    rotate: bool = False


class ReportForm(BaseModel):
    """The whole text of a key, as it was found."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(max_length=500)


def presented_of(request: Request, desk: TheDesk, key: TheKey) -> KeySecret:
    """The secret by which a request was let in."""
    secret = presented_secret(desk.pepper(), key, bearer(request), desk.clock.unix_ms())
    if secret is None:
        raise NotAuthenticated("The secret of this key has just ended.")
    return secret


def count_report(request: Request) -> None:
    """Before anything is written of it."""
    address = request.client.host if request.client is not None else ""
    desk = desk_of(request)
    desk.reports.count(address, desk.clock.monotonic_s())


ThePresented = Annotated[KeySecret, Depends(presented_of)]


async def state(desk: TheDesk, key: TheKey, presented: ThePresented) -> Annotated[Json, KeySync]:
    """Where the key that asks stands in its rotation. Asking counts as a use of its secret."""
    await note_use(desk.store, desk.clock, key.key_id, presented.made_unix_ms)
    return _shape(key, await state_of(desk.store, desk.clock, key), presented, None)


async def sync(
    desk: TheDesk, key: TheKey, presented: ThePresented, form: SyncForm | None = None
) -> Annotated[Json, KeySync]:
    """The same; and if the next secret is due, or was not received, or is asked for: the next key in `key`, once."""
    await note_use(desk.store, desk.clock, key.key_id, presented.made_unix_ms)
    now = await state_of(desk.store, desk.clock, key)
    if not (form is not None and form.rotate) and not _is_wanted(now, presented):
        return _shape(key, now, presented, None)
    made = await next_secret(desk.store, desk.mint, key.key_id, presented.made_unix_ms, early=True)
    await desk.announce()
    return _shape(made.key, await state_of(desk.store, desk.clock, made.key), presented, made.text)


async def report(
    desk: TheDesk, objects: TheObjects, form: ReportForm, _: Annotated[None, Depends(count_report)]
) -> Annotated[Json, Report]:
    """Hand in a key that leaked. If it is right it works no more; the answer is the same in any case."""
    revoked, _ = await asyncio.gather(_revoked(desk, form.key), asyncio.sleep(REPORT_S))
    if revoked is not None:
        objects["key_id"] = revoked
    return {"object": "report", "received": True}


async def _revoked(desk: ConsoleDesk, text: str) -> str | None:
    revoked = await report_key(desk.store, desk.mint, text)
    if revoked is not None:
        await desk.announce()
    return revoked


def _is_wanted(now: RotationState, presented: KeySecret) -> bool:
    """Due; or fetched before by who asks now with the old secret, and never used: that answer was lost."""
    if now.phase is Phase.OVERLAP:
        newest = now.secrets[0]
        return newest.made_unix_ms != presented.made_unix_ms and newest.last_used_unix_ms is None
    return now.phase is Phase.DUE


def _shape(key: ApiKey, now: RotationState, presented: KeySecret, text: Secret | None) -> Json:
    return {
        "object": "key_sync",
        "id": key.key_id,
        "name": key.name,
        "phase": now.phase,
        "due_at": _instant(now.due_unix_ms),
        "ends_at": _instant(now.ends_unix_ms),
        "secrets": [
            {
                "made_at": write_instant(secret.made_unix_ms),
                "ends_at": _instant(secret.ends_unix_ms),
                "last_used_at": _instant(secret.last_used_unix_ms),
                "presented": secret.made_unix_ms == presented.made_unix_ms,
            }
            for secret in now.secrets
        ],
        "next_wanted": text is None and _is_wanted(now, presented),
        "key": None if text is None else text.reveal(),
    }


def _instant(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else write_instant(unix_ms)
