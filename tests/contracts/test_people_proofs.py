"""Passwords by Argon2id and passkeys by WebAuthn: what is right is taken, and nothing else, whatever is sent."""

import asyncio
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parvis.adapters.passkeys.webauthn_site import WebAuthnSite
from parvis.adapters.passwords.argon2id import AT_ONCE, WAITING_MAX, Argon2Passwords
from parvis.core.errors import BadRequest, NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.domain.identity.person import Person
from parvis.flows.sign_in_ports import Passkeys, Passwords
from parvis.testing.authenticator import Authenticator, b64, cbor, unb64

ADA = Person("usr_1", "org", "ada@example.org", "Ada")
CHALLENGE = b"c" * 32
CHEAP = PasswordHasher.from_parameters(CHEAPEST)
SITE = WebAuthnSite("http://localhost:8001")
ORIGIN = "http://localhost:8001"


def test_they_are_what_the_stories_need() -> None:
    ports: tuple[Passwords, Passkeys] = (Argon2Passwords(CHEAP), SITE)
    assert ports


# -------------------------------------------------------------------------------------------------- passwords


async def test_a_password_is_verified_and_a_hash_says_how_it_was_made() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hash(Secret("a phrase"))
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify(hashed, Secret("a phrase"))
    assert not await passwords.verify(hashed, Secret("another"))
    assert not passwords.stale(hashed)
    assert passwords.stale(CHEAP.hash("a phrase"))


@pytest.mark.parametrize("hashed", ["", "hash", "$argon2id$v=19$m=65536,t=3,p=4$broken"])
async def test_what_is_no_hash_is_nobodys_password(hashed: str) -> None:
    passwords = Argon2Passwords(CHEAP)
    for shown in ("", "the password of nobody at all", "x"):
        assert not await passwords.verify(hashed, Secret(shown))


class Slow(PasswordHasher):
    """Counts how many verify at a time, and waits for a word."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.go, self.now, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()
        self.seen: list[str | bytes] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 - as the library calls it
        self.seen.append(hash)
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(30)
        with self.lock:
            self.now -= 1
        return super().verify(hash, password)


async def test_few_at_a_time_the_loop_is_free_and_the_line_has_an_end() -> None:
    slow = Slow()
    passwords = Argon2Passwords(slow)
    asked = [asyncio.create_task(passwords.verify("", Secret("x"))) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await passwords.verify("", Secret("x"))
    slow.go.set()
    assert await asyncio.gather(*asked) == [False] * WAITING_MAX
    assert slow.most == AT_ONCE
    assert await passwords.verify(slow.hash("x"), Secret("x"))


async def test_nobody_takes_as_much_work_as_somebody() -> None:
    """One slow verification of a hash made alike, whoever is asked for. No clock judges it."""
    slow = Slow()
    slow.go.set()
    passwords = Argon2Passwords(slow)
    await passwords.verify("", Secret("x"))
    await passwords.verify(slow.hash("y"), Secret("x"))
    first, second = (str(one).rsplit("$", 2)[0] for one in slow.seen)
    assert first == second


# --------------------------------------------------------------------------------------------------- passkeys


def registered(device: Authenticator, challenge: bytes = CHALLENGE) -> Any:
    made = device.create(SITE.registration(ADA, (), challenge))
    return SITE.registered(made, CHALLENGE, "laptop", 1)


def test_a_passkey_is_made_and_asserted() -> None:
    device = Authenticator(origin=ORIGIN)
    passkey = registered(device)
    assert (passkey.credential_id, passkey.name, passkey.sign_count) == (b64(device.credential_id), "laptop", 1)
    response = device.get(SITE.request([passkey], CHALLENGE))
    assert SITE.credential_id(response) == passkey.credential_id
    assert SITE.asserted(response, CHALLENGE, passkey) == SITE.asserted(response, CHALLENGE, passkey)
    assert (SITE.asserted(response, CHALLENGE, passkey).sign_count, device.sign_count) == (2, 2)


def test_what_a_browser_is_asked_names_the_site_and_what_it_has() -> None:
    passkey = registered(Authenticator(origin=ORIGIN))
    asked = SITE.registration(ADA, [passkey], CHALLENGE)
    assert (asked["rp"]["id"], asked["attestation"]) == ("localhost", "none")
    assert [one["id"] for one in asked["excludeCredentials"]] == [passkey.credential_id]
    assert unb64(asked["challenge"]) == CHALLENGE
    assert [one["id"] for one in SITE.request([passkey], CHALLENGE)["allowCredentials"]] == [passkey.credential_id]


@pytest.mark.parametrize(
    "device",
    [Authenticator(origin="http://localhost:8002"), Authenticator(origin=ORIGIN, site="evil.example")],
)
def test_a_passkey_of_elsewhere_is_none(device: Authenticator) -> None:
    with pytest.raises(BadRequest):
        registered(device)
    right = Authenticator(origin=ORIGIN)
    passkey = registered(right)
    device.key, device.credential_id = right.key, right.credential_id
    with pytest.raises(NotAuthenticated):
        SITE.asserted(device.get(SITE.request([], CHALLENGE)), CHALLENGE, passkey)


def test_another_challenge_or_another_key_is_refused() -> None:
    with pytest.raises(BadRequest):
        registered(Authenticator(origin=ORIGIN), b"d" * 32)
    right, wrong = Authenticator(origin=ORIGIN), Authenticator(origin=ORIGIN)
    passkey = registered(right)
    for response in (right.get(SITE.request([], b"d" * 32)), wrong.get(SITE.request([], CHALLENGE))):
        with pytest.raises(NotAuthenticated):
            SITE.asserted(response, CHALLENGE, passkey)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
DEVICE = Authenticator(origin=ORIGIN)
PASSKEY = registered(DEVICE)
GIVEN, MADE = DEVICE.get(SITE.request([], CHALLENGE)), DEVICE.create(SITE.registration(ADA, (), CHALLENGE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["id", "rawId", "type", "response"]), json_values, st.data())
def test_no_answer_of_a_browser_breaks_us(name: str, value: object, data: st.DataObject) -> None:
    """A field that is anything, and bytes that are any others."""
    for whole, refused, judge in (
        (GIVEN, NotAuthenticated, lambda said: SITE.asserted(said, CHALLENGE, PASSKEY)),
        (MADE, BadRequest, lambda said: SITE.registered(said, CHALLENGE, "n", 1)),
    ):
        with pytest.raises(refused):
            judge({**whole, name: value if value != whole[name] else None})
        inner = data.draw(st.sampled_from(sorted(set(whole["response"]) - {"userHandle"})))
        noise = b64(data.draw(st.binary(max_size=80)))
        with pytest.raises(refused):
            judge({**whole, "response": {**whole["response"], inner: noise}})


def test_the_little_of_cbor_is_right() -> None:
    """RFC 8949, appendix A."""
    assert cbor({"a": 1, "b": -100}).hex() == "a261610161623863"
    assert cbor(1000).hex() == "1903e8"
    assert cbor(b"\x01\x02\x03\x04").hex() == "4401020304"
    assert cbor("IETF").hex() == "6449455446"
