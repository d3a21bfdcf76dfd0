"""Notices: made when their moment comes, kept for who asks, and sent to where the tenant wants them.

Sending is at least once: who receives one twice knows it by its id. What goes out leaves from control alone, and only
to hosts that the operator listed.
"""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Failure, Unavailable
from parvis.core.ids import Randomness, new_id
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.notice import Dispatch, Notice, NoticeKind, NoticeTarget, TargetKind, after_attempt
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.succession import moments
from parvis.domain.vault.sealing import KEY_BYTES, Place
from parvis.flows.notice_store import NoticeStore
from parvis.flows.notice_texts import event, letter
from parvis.flows.outbound import Outbound
from parvis.flows.vault import TenantVault

KEYS_AT_ONCE = 200
SENDINGS_AT_ONCE = 20
TARGETS_MAX = 20
"""Of one tenant."""
PROBLEM_CHARS_MAX = 200
PURPOSE = "notices"
LANGUAGES = ("en", "fr")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_MAIL_CHARS_MAX = 254
_URL_CHARS_MAX = 500


class Mailer(Protocol):
    """Sends mail by the operator's server."""

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """Hand it to the server. Raises Unavailable when it does not take it."""


@dataclass(frozen=True, slots=True)
class PostOffice:
    """What sending stands on. Without a `mailer` no mail can be sent."""

    store: NoticeStore
    vault: TenantVault
    outbound: Outbound
    mailer: Mailer | None
    clock: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A target that was just made. `secret` is what its webhooks are signed with: shown once."""

    target: NoticeTarget
    secret: Secret | None


async def tell_what_has_come(store: NoticeStore, clock: Clock, randomness: Randomness) -> int:
    """Make the notices whose moment has come, each once; return how many were new. Costs what there is to tell."""
    made = 0
    while True:
        now = clock.unix_ms()
        keys = await store.keys_to_tell(now, KEYS_AT_ONCE)
        for key in keys:
            notices = [_notice(key, kind, at, now, randomness) for at, kind in moments(key) if at <= now]
            made += await store.tell(key.key_id, notices, now)
        if len(keys) < KEYS_AT_ONCE:
            return made


async def tell_reported(store: NoticeStore, clock: Clock, randomness: Randomness, key: ApiKey) -> None:
    """The owners of a key learn that it was found and revoked; durable on return."""
    now = clock.unix_ms()
    notice = replace(_notice(key, NoticeKind.KEY_REPORTED, now, now, randomness), due_unix_ms=None, ends_unix_ms=now)
    await store.tell(key.key_id, [notice], now)


async def send_what_waits(office: PostOffice) -> int:
    """Try some dispatches whose time has come, once each; return how many were tried."""
    waiting = await office.store.dispatches_due(office.clock.unix_ms(), SENDINGS_AT_ONCE)
    await asyncio.gather(*(_deliver(office, *one) for one in waiting))
    return len(waiting)


async def add_target(
    office: PostOffice, tenant: Tenant, kind: TargetKind, address: str, language: str = "en"
) -> NewTarget:
    """Send the notices of a tenant there too, from now on. Raises BadRequest, Conflict, Unavailable."""
    await _check_address(office, kind, address)
    if language not in LANGUAGES:
        raise BadRequest(f"A language is one of {', '.join(LANGUAGES)}.", param="language")
    now = office.clock.unix_ms()
    target_id = new_id("ntt", now, office.randomness)
    sealed, secret = b"", None
    if kind is TargetKind.WEBHOOK:
        signing_key = office.randomness(KEY_BYTES)
        sealed = await office.vault.seal(_place(tenant.tenant_id, target_id), PURPOSE, signing_key)
        secret = Secret(f"whsec_{base64.b64encode(signing_key).decode()}", f"signing secret of {target_id}")
    target = NoticeTarget(target_id, tenant.organisation_id, tenant.tenant_id, kind, address, language, sealed, now)
    await office.store.add_target(target, TARGETS_MAX)
    return NewTarget(target, secret)


async def notices_page(
    store: NoticeStore, tenant_ids: Sequence[str] | None, after: str | None, limit: int
) -> tuple[list[tuple[Notice, list[Dispatch]]], str | None]:
    """The next notices before an id, newest first, each with how it fares; and what to say for the following page."""
    found = await store.notices_page(tenant_ids, after, limit + 1)
    page = found[:limit]
    fares = await store.dispatches([notice.notice_id for notice in page])
    told = [(notice, [one for one in fares if one.notice_id == notice.notice_id]) for notice in page]
    return told, page[-1].notice_id if len(found) > limit else None


def signature(signing_key: bytes, notice_id: str, sent_unix_s: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent it. Source: the specification "Standard Webhooks", version 1."""
    signed = hmac.digest(signing_key, f"{notice_id}.{sent_unix_s}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(sent_unix_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        "idempotency-key": notice_id,
        "content-type": "application/json",
    }


async def _deliver(office: PostOffice, dispatch: Dispatch, notice: Notice, target: NoticeTarget) -> None:
    problem = ""
    try:
        if target.kind is TargetKind.MAIL:
            await _mail(office, notice, target)
        else:
            await _call(office, notice, target)
    except Failure as failure:
        problem = str(failure)[:PROBLEM_CHARS_MAX] or failure.code
    await office.store.put_dispatch(after_attempt(dispatch, office.clock.unix_ms(), problem))


async def _mail(office: PostOffice, notice: Notice, target: NoticeTarget) -> None:
    if office.mailer is None:
        raise Unavailable("The operator has set no mail server.")
    subject, text = letter(notice, target.language)
    await office.mailer.send(target.address, subject, text, notice.notice_id)


async def _call(office: PostOffice, notice: Notice, target: NoticeTarget) -> None:
    signing_key = await office.vault.open(_place(target.tenant_id, target.target_id), PURPOSE, target.sealed)
    body = event(notice)
    headers = signature(signing_key, notice.notice_id, office.clock.unix_ms() // 1000, body)
    status, _ = await office.outbound.post(target.address, body, headers)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise Unavailable(f"It answered with status {status}.")


async def _check_address(office: PostOffice, kind: TargetKind, address: str) -> None:
    if kind is TargetKind.MAIL:
        if len(address) > _MAIL_CHARS_MAX or not _MAIL.fullmatch(address):
            raise BadRequest("A mail address looks like keys@example.eu.", param="address")
        if office.mailer is None:
            raise BadRequest("The operator has set no mail server, so no mail can be sent.", param="address")
        return
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        raise BadRequest("A webhook looks like https://hooks.example.eu/parvis.", param="address") from None
    if not host or "@" in parts.netloc or len(address) > _URL_CHARS_MAX:
        raise BadRequest("A webhook looks like https://hooks.example.eu/parvis.", param="address")
    await office.outbound.addresses(host, port)


def _notice(key: ApiKey, kind: NoticeKind, moment_unix_ms: int, now_unix_ms: int, randomness: Randomness) -> Notice:
    of_whole_key = kind is NoticeKind.KEY_EXPIRES
    ends = [end for end in (key.secrets[0].ends_unix_ms, key.ends_unix_ms) if end is not None]
    return Notice(
        new_id("ntc", now_unix_ms, randomness),
        kind,
        key.organisation_id,
        key.tenant_id,
        key.key_id,
        key.name,
        moment_unix_ms,
        key.due_unix_ms,
        key.ends_unix_ms if of_whole_key else min(ends, default=None),
        now_unix_ms,
    )


def _place(tenant_id: str, target_id: str) -> Place:
    return Place(tenant_id, "notice_targets", target_id, "sealed", 1)
