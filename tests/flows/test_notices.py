"""Notices: made once when their moment comes, and sent by real mail and real webhooks until they arrive."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import openai
import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.mail.smtp import SmtpMailer
from parvis.adapters.outbound.client import OutboundClient
from parvis.adapters.store.store import SqlStore
from parvis.app.ticker import Ticker
from parvis.core.errors import BadRequest, Conflict, Unavailable
from parvis.domain.identity.notice import ATTEMPTS_MAX, PAUSES_MS, NoticeKind, TargetKind
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.rotation import DAY_MS, Schedule
from parvis.flows.keys import KeyTerms, Mint, NewKey, change_key, create_key, revoke_key, tenant_named
from parvis.flows.notice_texts import LETTERS, event, letter
from parvis.flows.notices import TARGETS_MAX, PostOffice, add_target, notices_page, send_what_waits, tell_what_has_come
from parvis.flows.rotation import next_secret
from parvis.flows.vault import TenantVault
from parvis.testing.empty_store import empty_store

NOW = 1_784_000_000_000
DUE = NOW + 90 * DAY_MS
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HOOK_OK, HOOK_BROKEN = b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n"


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def unix_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


@dataclass
class Receiver:
    """A server of somebody else, and what it was sent."""

    port: int = 0
    answer: bytes = HOOK_OK
    heard: list[bytes] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    encrypted: bool = False

    async def hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.heard.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        writer.close()

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As much of RFC 5321 as one mail needs."""
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"EHLO":
                    writer.write(
                        b"250-here\r\n250 STARTTLS\r\n" if self.tls and not self.encrypted else b"250 here\r\n"
                    )
                case b"STARTTLS" if self.tls:
                    writer.write(b"220 go\r\n")
                    await writer.start_tls(self.tls)
                    self.encrypted = True
                case b"DATA":
                    writer.write(b"354 go\r\n")
                    self.heard.append(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 yes\r\n")
        writer.close()


@asynccontextmanager
async def listening(receiver: Receiver, serve: Serve) -> AsyncIterator[Receiver]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqlStore]:
    store = SqlStore(empty_store(tmp_path / "parvis.sqlite"), clock)
    await store.open()
    await store.create_organisation("acme", "Acme")
    await store.create_tenant("lab", "acme", "Lab", credit_unlimited=False)
    yield store
    await store.close()


@pytest.fixture
async def tenant(store: SqlStore) -> Tenant:
    return await tenant_named(store, "lab")


@pytest.fixture
def mint(clock: HandClock) -> Mint:
    return Mint(lambda: b"pepper", clock, os.urandom)


@pytest.fixture
async def made(store: SqlStore, mint: Mint, tenant: Tenant) -> NewKey:
    return await create_key(store, mint, tenant, "Né à l'app", terms=KeyTerms(schedule=Schedule()))


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with listening(receiver, receiver.hook):
        yield receiver


@pytest.fixture
async def mail() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with listening(receiver, receiver.mail):
        yield receiver


@pytest.fixture
def office(store: SqlStore, clock: HandClock, hook: Receiver, mail: Receiver) -> PostOffice:
    outbound = OutboundClient((), (f"127.0.0.1:{hook.port}", f"127.0.0.1:{mail.port}"))
    mailer = SmtpMailer(
        f"127.0.0.1:{mail.port}", "keys@parvis.example", outbound.addresses, ssl.create_default_context()
    )
    return PostOffice(store, TenantVault(store, b"r" * 32, os.urandom), outbound, mailer, clock, os.urandom)


async def kinds(store: SqlStore) -> list[str]:
    return [str(notice.kind) for notice in await store.notices_page(None, None, 100)][::-1]


# -------------------------------------------------------------------------------------------------------- made


async def test_each_moment_of_a_key_is_told_once(store: SqlStore, clock: HandClock, made: NewKey) -> None:
    expected = []
    for at, kind in (
        (DUE - 14 * DAY_MS, "rotation_due"),
        (DUE + DAY_MS, "rotation_late"),
        (DUE + 13 * DAY_MS, "rotation_late"),
        (DUE + 14 * DAY_MS, "key_expired"),
    ):
        clock.now_ms = at - 1
        assert await tell_what_has_come(store, clock, os.urandom) == 0
        clock.now_ms = at
        expected.append(kind)
        assert [await tell_what_has_come(store, clock, os.urandom) for _ in range(2)] == [1, 0]
        assert await kinds(store) == expected
    [notice, *_] = await store.notices_page(None, None, 1)
    assert (notice.subject, notice.name, notice.due_unix_ms) == (made.key.key_id, "Né à l'app", DUE)
    assert notice.ends_unix_ms == DUE + 14 * DAY_MS


async def test_what_was_missed_while_nobody_acted_is_told_then(store: SqlStore, clock: HandClock, made: NewKey) -> None:
    clock.now_ms = DUE + 100 * DAY_MS
    assert await tell_what_has_come(store, clock, os.urandom) == 4
    assert sorted(await kinds(store)) == ["key_expired", "rotation_due", "rotation_late", "rotation_late"]


async def test_who_follows_in_time_hears_of_the_next_turn_only(
    store: SqlStore, clock: HandClock, mint: Mint, made: NewKey
) -> None:
    clock.now_ms = DUE
    await tell_what_has_come(store, clock, os.urandom)
    await next_secret(store, mint, made.key.key_id, made.key.secrets[0].made_unix_ms)
    clock.now_ms = DUE + 75 * DAY_MS
    assert await tell_what_has_come(store, clock, os.urandom) == 0
    clock.now_ms += DAY_MS
    assert await tell_what_has_come(store, clock, os.urandom) == 1
    assert await kinds(store) == ["rotation_due", "rotation_due"]


async def test_a_change_of_a_key_tells_nothing_twice_and_a_revoked_one_is_quiet(
    store: SqlStore, clock: HandClock, mint: Mint, made: NewKey
) -> None:
    clock.now_ms = DUE
    await tell_what_has_come(store, clock, os.urandom)
    await change_key(store, clock, made.key.key_id, lambda key: replace(key, name="renamed"))
    assert await tell_what_has_come(store, clock, os.urandom) == 0
    await revoke_key(store, made.key.key_id)
    clock.now_ms = DUE + 100 * DAY_MS
    assert await tell_what_has_come(store, clock, os.urandom) == 0


async def test_a_key_that_expires_is_announced(store: SqlStore, clock: HandClock, mint: Mint, tenant: Tenant) -> None:
    await create_key(store, mint, tenant, "short", terms=KeyTerms(ends_unix_ms=NOW + 20 * DAY_MS))
    clock.now_ms = NOW + 6 * DAY_MS
    await tell_what_has_come(store, clock, os.urandom)
    assert await kinds(store) == ["key_expires"]
    clock.now_ms = NOW + 20 * DAY_MS
    await tell_what_has_come(store, clock, os.urandom)
    assert await kinds(store) == ["key_expires", "key_expired"]


# -------------------------------------------------------------------------------------------------------- sent


async def test_a_webhook_is_signed_so_that_the_official_sdk_believes_it(
    office: PostOffice, tenant: Tenant, clock: HandClock, made: NewKey, hook: Receiver
) -> None:
    target = await add_target(office, tenant, TargetKind.WEBHOOK, f"http://127.0.0.1:{hook.port}/parvis")
    assert target.secret is not None
    clock.now_ms = DUE
    await Ticker(office).round()
    head, _, body = hook.heard[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    signature = next(line for line in head.decode().split("\r\n") if line.startswith("webhook-signature"))
    headers["webhook-signature"] = signature.partition(": ")[2]  # base64 is not to be written small
    client = openai.OpenAI(api_key="-", webhook_secret=target.secret.reveal())
    client.webhooks.verify_signature(body, headers, tolerance=2**40)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body + b" ", headers, tolerance=2**40)
    said = json.loads(body)
    assert (said["type"], said["data"]["key_id"]) == ("key.rotation_due", made.key.key_id)
    assert headers["idempotency-key"] == said["id"]
    [(notice, [dispatch])], _ = await notices_page(office.store, ["lab"], None, 10)
    assert (notice.notice_id, dispatch.sent_unix_ms) == (said["id"], DUE)
    await Ticker(office).round()
    assert len(hook.heard) == 1


async def test_what_fails_is_tried_three_times_and_then_given_up(
    office: PostOffice, tenant: Tenant, clock: HandClock, made: NewKey, hook: Receiver
) -> None:
    await add_target(office, tenant, TargetKind.WEBHOOK, f"http://127.0.0.1:{hook.port}/parvis")
    hook.answer = HOOK_BROKEN
    clock.now_ms = DUE
    for pause_ms in (*PAUSES_MS, DAY_MS // 2):
        await Ticker(office).round()
        await Ticker(office).round()
        clock.now_ms += pause_ms
    await Ticker(office).round()
    assert len(hook.heard) == ATTEMPTS_MAX
    assert len({next(line for line in sent.split(b"\r\n") if b"webhook-id" in line) for sent in hook.heard}) == 1
    [(_, [dispatch])], _ = await notices_page(office.store, None, None, 10)
    assert (dispatch.attempts, dispatch.next_unix_ms, dispatch.sent_unix_ms) == (ATTEMPTS_MAX, None, None)
    assert dispatch.problem == "It answered with status 500."


async def test_a_mail_is_in_the_language_of_its_target(
    office: PostOffice, tenant: Tenant, clock: HandClock, made: NewKey, mail: Receiver
) -> None:
    await add_target(office, tenant, TargetKind.MAIL, "a@example.eu", "fr")
    await add_target(office, tenant, TargetKind.MAIL, "b@example.eu")
    clock.now_ms = DUE
    await Ticker(office).round()
    mails = {sent["To"]: sent for sent in (message_from_bytes(text, policy=default) for text in mail.heard)}
    french, english = mails["a@example.eu"], mails["b@example.eu"]
    assert french["Subject"] == "Clé d'API « Né à l'app » : son prochain secret est attendu le 2026-10-12 03:33 UTC"
    assert "its next secret is due on" in english["Subject"]
    assert french["Message-ID"] == english["Message-ID"]
    assert french["From"] == "keys@parvis.example"
    assert "parvis key sync" in french.get_content()


async def test_mail_leaves_by_tls_or_not_at_all(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = new_authority("parvis test", now)
    signed = sign_server(authority, server_names(["localhost"]), now, 1)
    for name, data in (
        ("ca", authority.certificate_pem()),
        ("cert", signed.certificate_pem()),
        ("key", signed.key_pem()),
    ):
        (tmp_path / name).write_bytes(data)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    trusting, doubting = ssl.create_default_context(cafile=str(tmp_path / "ca")), ssl.create_default_context()

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    def mailer(port: int, tls: ssl.SSLContext, host: str = "localhost") -> SmtpMailer:
        return SmtpMailer(f"{host}:{port}", "keys@parvis.example", here, tls, plain_here=False)

    receiver = Receiver(tls=server)
    async with listening(receiver, receiver.mail):
        await mailer(receiver.port, trusting).send("a@example.eu", "Hello", "Text", "ntc_1")
        assert receiver.encrypted
        for wrong in (mailer(receiver.port, doubting), mailer(receiver.port, trusting, "mail.example.eu")):
            receiver.encrypted = False
            with pytest.raises(Unavailable):
                await wrong.send("a@example.eu", "Hello", "Text", "ntc_1")
        receiver.tls = None
        with pytest.raises(Unavailable):
            await mailer(receiver.port, trusting).send("a@example.eu", "Hello", "Text", "ntc_1")
    assert len(receiver.heard) == 1


async def test_a_host_that_the_operator_lists_no_more_gets_nothing(
    office: PostOffice, tenant: Tenant, clock: HandClock, made: NewKey, hook: Receiver
) -> None:
    await add_target(office, tenant, TargetKind.WEBHOOK, f"http://127.0.0.1:{hook.port}/parvis")
    clock.now_ms = DUE
    closed = replace(office, outbound=OutboundClient(()))
    await Ticker(closed).round()
    assert hook.heard == []
    [(_, [dispatch])], _ = await notices_page(office.store, None, None, 10)
    assert "has not listed" in dispatch.problem


async def test_a_tenant_whose_keys_were_destroyed_gets_nothing(
    office: PostOffice, store: SqlStore, tenant: Tenant, clock: HandClock, made: NewKey, hook: Receiver
) -> None:
    await add_target(office, tenant, TargetKind.WEBHOOK, f"http://127.0.0.1:{hook.port}/parvis")
    await store.destroy_data_keys("lab")
    clock.now_ms = DUE
    await Ticker(office).round()
    assert hook.heard == []


async def test_the_ticker_goes_on_by_itself(
    office: PostOffice, tenant: Tenant, clock: HandClock, made: NewKey, hook: Receiver
) -> None:
    await add_target(office, tenant, TargetKind.WEBHOOK, f"http://127.0.0.1:{hook.port}/parvis")
    ticker = Ticker(office, interval_s=0.01)
    ticker.begin()
    clock.now_ms = DUE
    async with asyncio.timeout(20):
        while not hook.heard:  # noqa: ASYNC110 - it comes from outside
            await asyncio.sleep(0.01)
    await ticker.end()
    await ticker.end()


# ----------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("kind", "address", "code"),
    [
        (TargetKind.WEBHOOK, "https://hooks.example.eu/", "host_not_listed"),
        (TargetKind.WEBHOOK, "https://hooks.example.eu:99999/", "invalid_value"),
        (TargetKind.WEBHOOK, "ftp://127.0.0.1/", "invalid_value"),
        (TargetKind.WEBHOOK, "https://", "invalid_value"),
        (TargetKind.WEBHOOK, "https://user@127.0.0.1/", "invalid_value"),
        (TargetKind.MAIL, "nobody", "invalid_value"),
        (TargetKind.MAIL, "a@example.eu\r\nBcc: b@example.eu", "invalid_value"),
        (TargetKind.MAIL, "a@example.eu, b@example.eu", "invalid_value"),
    ],
)
async def test_where_nothing_can_be_sent_is_refused(
    office: PostOffice, tenant: Tenant, kind: TargetKind, address: str, code: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        await add_target(office, tenant, kind, address)
    assert refused.value.code == code
    assert await office.store.targets(None) == []


async def test_without_a_mail_server_no_mail_is_promised(office: PostOffice, tenant: Tenant) -> None:
    with pytest.raises(BadRequest, match="no mail server"):
        await add_target(replace(office, mailer=None), tenant, TargetKind.MAIL, "a@example.eu")


async def test_a_tenant_has_few_targets(office: PostOffice, tenant: Tenant) -> None:
    for number in range(TARGETS_MAX):
        await add_target(office, tenant, TargetKind.MAIL, f"a{number}@example.eu")
    with pytest.raises(Conflict):
        await add_target(office, tenant, TargetKind.MAIL, "one-more@example.eu")


async def test_every_kind_is_said_in_both_languages_and_no_secret_is_in_it(
    store: SqlStore, clock: HandClock, made: NewKey
) -> None:
    clock.now_ms = DUE
    await tell_what_has_come(store, clock, os.urandom)
    [notice] = await store.notices_page(None, None, 1)
    secret = made.text.reveal().split("_")[2]
    for kind in NoticeKind:
        one = replace(notice, kind=kind)
        said = [letter(one, language) for language in LETTERS]
        assert len(set(said)) == len(LETTERS)
        assert not any("{" in text or secret in text for pair in said for text in pair)
        assert secret.encode() not in event(one)
        assert (made.key.key_id if kind is not NoticeKind.CREDIT_LOW else one.tenant_id) in said[0].text


async def test_nothing_waits_when_nothing_was_said(office: PostOffice) -> None:
    assert await send_what_waits(office) == 0
