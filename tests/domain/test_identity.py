"""Keys: a form that typing errors do not survive, a comparison that only the right secret passes."""

import hashlib
import hmac
import string
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from parvis.core.ids import ALPHABET
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest, secret_matched
from parvis.domain.identity.key_text import KeyText, new_key, read_key, write_key
from parvis.domain.identity.patterns import meets, within
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import KEY_PERMISSIONS, customer, operator

keys = st.binary(min_size=56, max_size=56).map(lambda drawn: new_key(lambda _: drawn))
characters = st.sampled_from(string.printable) | st.characters()
peppers = st.binary(min_size=32, max_size=32)


def text_of(key: KeyText) -> str:
    return write_key(key.key_id, key.secret).reveal()


def same(a: KeyText | None, b: KeyText) -> bool:
    return a is not None and (a.key_id, a.secret.reveal()) == (b.key_id, b.secret.reveal())


# ------------------------------------------------------------------------------------------------ the text


@given(keys)
def test_a_key_reads_back_as_it_was_written(key: KeyText) -> None:
    assert same(read_key(text_of(key)), key)


@given(keys, st.data(), characters)
def test_any_single_changed_character_is_refused(key: KeyText, data: st.DataObject, other: str) -> None:
    text = text_of(key)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + other + text[place + 1 :]
    assert changed == text or read_key(changed) is None


@given(keys)
def test_two_swapped_neighbours_are_refused(key: KeyText) -> None:
    text = text_of(key)
    swapped = [text[:n] + text[n + 1] + text[n] + text[n + 2 :] for n in range(len(text) - 1)]
    assert [other for other in swapped if other != text and read_key(other) is not None] == []


@given(keys, st.data(), characters)
def test_a_lost_or_added_character_is_refused(key: KeyText, data: st.DataObject, extra: str) -> None:
    text = text_of(key)
    place = data.draw(st.integers(0, len(text)))
    assert read_key(text[:place] + extra + text[place:]) is None
    assert place == len(text) or read_key(text[:place] + text[place + 1 :]) is None


@given(st.text())
def test_no_other_text_is_read_or_raises(text: str) -> None:
    assert read_key(text) is None
    assert read_key(f"sk-parvis_{text}") is None


@given(keys)
def test_a_key_tells_its_secret_to_nobody(key: KeyText) -> None:
    secret = key.secret.reveal()
    shown = f"{key!r} {read_key(text_of(key))!r} {write_key(key.key_id, key.secret)}"
    assert secret not in shown
    assert key.key_id in shown


def test_a_key_has_the_randomness_that_it_was_given() -> None:
    key = new_key(lambda count: bytes(range(count)))
    assert key.key_id == ALPHABET[:16]
    assert key.secret.reveal() == (ALPHABET * 2)[16:56]


# ---------------------------------------------------------------------------------------------- the comparison


def api_key(*digests: bytes) -> ApiKey:
    return ApiKey("k1", "org", "tenant", "name", tuple(map(KeySecret, digests)))


@given(peppers, st.lists(st.text(min_size=1), min_size=1, max_size=2, unique=True), st.text(min_size=1))
def test_a_live_secret_matches_and_no_other(pepper: bytes, live: list[str], presented: str) -> None:
    key = api_key(*[secret_digest(pepper, "k1", Secret(text)) for text in live])
    found = secret_matched(key, secret_digest(pepper, "k1", Secret(presented)), 0)
    assert (found is not None) == (presented in live)


@given(peppers, st.text(min_size=1))
def test_a_secret_counts_only_for_its_own_key_and_pepper(pepper: bytes, secret: str) -> None:
    key = api_key(secret_digest(pepper, "k1", Secret(secret)))
    other_pepper = bytes([pepper[0] ^ 1]) + pepper[1:]
    assert not secret_matched(key, secret_digest(pepper, "k2", Secret(secret)), 0)
    assert not secret_matched(key, secret_digest(other_pepper, "k1", Secret(secret)), 0)


def test_a_digest_is_hmac_sha_256() -> None:
    assert secret_digest(b"p", "id", Secret("s")) == hmac.new(b"p", b"id:s", hashlib.sha256).digest()


def test_a_key_without_live_secrets_matches_nothing() -> None:
    assert not secret_matched(api_key(), b"", 0)
    assert not secret_matched(api_key(b"x" * 32), b"", 0)


@given(st.integers(0, 100), st.integers(1, 100))
def test_a_secret_that_has_ended_matches_no_more(now: int, ends: int) -> None:
    key = replace(api_key(), secrets=(KeySecret(b"d" * 32, 0, ends),))
    assert (secret_matched(key, b"d" * 32, now) is not None) == (now < ends)


# ------------------------------------------------------------------------------------------------- permissions


def test_a_key_changes_nothing_but_its_own_secret() -> None:
    assert [may for may in KEY_PERMISSIONS if may.endswith(".write")] == []


def test_a_principal_is_named_by_its_key_id() -> None:
    principal = customer(api_key(b"digest"))
    assert principal.name == "key k1"
    assert all(principal.may(may, Target("org", "tenant")) for may in KEY_PERMISSIONS)
    assert not any(principal.may(may, Target("org", "sibling")) for may in Permission)
    assert operator().key is None


# ---------------------------------------------------------------------------------------------------- patterns

patterns = st.text("ab*", min_size=1, max_size=4)
NAMES = ["".join(letters) for length in range(9) for letters in product("ab", repeat=length)]
"""All that two such patterns can have in common is among them: what is fixed in both is no longer."""


@given(patterns, patterns)
def test_patterns_meet_when_some_name_is_matched_by_both(one: str, other: str) -> None:
    assert meets(one, other) == any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in NAMES)


@given(patterns, st.lists(patterns, max_size=3))
def test_what_lies_within_others_reaches_no_further(one: str, others: list[str]) -> None:
    if within(one, others):
        assert all(any(fnmatchcase(name, other) for other in others) for name in NAMES if fnmatchcase(name, one))
