"""People's credentials as rules: lock-out, sessions, passwords, second factors, tokens, owners."""

import base64
import hashlib
from dataclasses import replace

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.core.ids import ALPHABET
from parvis.core.secret import Secret
from parvis.domain.identity import lockout
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.key_text import (
    INVITATION_PREFIX,
    OPERATOR_PREFIX,
    PERSONAL_PREFIX,
    PREFIX,
    new_key,
    read_key,
    read_other,
    write_key,
)
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.owners import OWNERS, orphaned
from parvis.domain.identity.password import CHARS_MAX, CHARS_MIN, checked_password
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.person import Person, Realm, checked_email, same_email
from parvis.domain.identity.personal_token import NOT_BY_TOKEN, PersonalToken, narrowed, rights_by_token
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Kind, Right
from parvis.domain.identity.role import ANYONES, RULES, Grant, Role
from parvis.domain.identity.second_factor import (
    RECOVERY_CODES,
    STEP_S,
    enrolment_uri,
    new_recovery_codes,
    new_seed,
    plain_recovery_code,
    step_of,
)
from parvis.domain.identity.session import (
    IDLE_MS_MAX,
    LIFE_MS_MAX,
    MUST_ENROL,
    SECOND_FACTOR,
    Means,
    Session,
    new_cookie,
    restriction,
)
from parvis.domain.identity.signed_in import by_session, by_token

instants = st.integers(0, 2**42)
PREFIXES = (PREFIX, PERSONAL_PREFIX, OPERATOR_PREFIX, INVITATION_PREFIX)


# ------------------------------------------------------------------------------------------------- lock-out


def test_the_waits_double_from_half_a_minute_to_an_hour() -> None:
    waits = [lockout.wait_ms(lockout.ACCOUNT, count) // 1000 for count in range(14)]
    assert waits == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


@given(st.sampled_from([lockout.ACCOUNT, lockout.ADDRESS]), st.integers(0, 10**6))
def test_a_wait_never_shrinks_and_has_an_end(rule: lockout.Rule, count: int) -> None:
    assert lockout.wait_ms(rule, count) <= lockout.wait_ms(rule, count + 1) <= rule.longest_ms
    assert (lockout.wait_ms(rule, count) == 0) == (count < rule.free)


@given(st.integers(0, 40), instants, st.integers(0, 2 * lockout.FORGOTTEN_MS))
def test_it_is_locked_exactly_until_the_wait_is_over(count: int, last: int, later: int) -> None:
    wait = lockout.wait_ms(lockout.ACCOUNT, count)
    until = lockout.locked_until(lockout.ACCOUNT, lockout.Failures(count, last), last + later)
    assert until == (0 if later >= wait else last + wait)


@given(st.lists(st.integers(0, 2 * lockout.HOUR_MS), min_size=1, max_size=60))
def test_whatever_the_pace_few_attempts_are_judged(pauses: list[int]) -> None:
    """Of somebody who guesses as often as it is allowed: five at once, then ever fewer, at last one an hour."""
    failures, now, judged = lockout.Failures(), 0, []
    for pause in pauses:
        now += pause
        if not lockout.locked_until(lockout.ACCOUNT, failures, now):
            failures = lockout.counted(failures, now)
            judged.append(now)
    for first, fifth_later in zip(judged, judged[5:], strict=False):
        assert fifth_later - first >= lockout.ACCOUNT.first_ms


@given(instants, st.integers(1, 100))
def test_after_a_quiet_day_it_begins_anew(last: int, count: int) -> None:
    later = last + lockout.FORGOTTEN_MS
    assert lockout.counted(lockout.Failures(count, last), later) == lockout.Failures(1, later)
    assert lockout.counted(lockout.Failures(count, last), later - 1).count == count + 1


def test_whose_failures_are_counted_together() -> None:
    assert lockout.account(" Ada@Example.org ") == lockout.account("ada@example.org")
    assert "ada" not in lockout.account("ada@example.org").name
    assert lockout.address("::ffff:192.0.2.1") == lockout.address("192.0.2.1") != lockout.address("192.0.2.2")
    assert lockout.address("2001:db8::1") == lockout.address("2001:db8::ffff") != lockout.address("2001:db8:0:1::1")
    assert lockout.address("what").name == "address what"


# ------------------------------------------------------------------------------------------------- sessions

sessions = st.builds(
    lambda created, seen, complete, means: Session(
        "s", "u", means, complete, "", created, created + min(seen, LIFE_MS_MAX), created
    ),
    instants,
    st.integers(0, LIFE_MS_MAX),
    st.booleans(),
    st.sampled_from(Means),
)


@given(sessions, instants)
def test_a_session_lives_between_its_bounds_and_nowhere_else(session: Session, now: int) -> None:
    alive = session.alive(now)
    assert not (alive and now < session.created_unix_ms)
    assert not (alive and now >= session.seen_unix_ms + IDLE_MS_MAX)
    assert not (alive and now >= session.created_unix_ms + LIFE_MS_MAX)
    assert session.alive(session.created_unix_ms)


@given(sessions, st.booleans(), st.booleans())
def test_who_has_a_factor_shows_it_and_who_must_have_one_enrols(
    session: Session,
    has: bool,  # noqa: FBT001 - drawn
    demanded: bool,  # noqa: FBT001 - drawn
) -> None:
    must = restriction(session, has_factor=has, demanded=demanded)
    assert must in ("", MUST_ENROL, SECOND_FACTOR)
    assert (must == SECOND_FACTOR) == (has and not session.complete)
    if must == "" and demanded:
        assert session.complete
    if must == MUST_ENROL:
        assert demanded
        assert not has


def test_a_cookie_has_256_bits() -> None:
    assert new_cookie(lambda count: bytes(range(count))).reveal() == bytes(range(32)).hex()


# ------------------------------------------------------------------------------------------------- passwords


@given(st.text(max_size=300))
def test_a_password_has_the_length_and_is_never_told(text: str) -> None:
    said = ""
    try:
        kept = checked_password(Secret(text), "ada@example.org").reveal()
    except BadRequest as refused:
        said = str(refused)
    else:
        assert CHARS_MIN <= len(kept) <= CHARS_MAX
    assert len(text) < CHARS_MIN or text not in said


@pytest.mark.parametrize(
    "text",
    ["short", "x" * 201, "my ADA@example.org!", "adalovelace 1815", "Password1234", "motdepasse123", "1234567890123",
     "abcabcabcabcabc", "aaaaaaaaaaaaaaaa", "qwertyuiopas", "lkjhgfdsapoi"],
)  # fmt: skip
def test_what_is_guessed_first_is_no_password(text: str) -> None:
    email = "adalovelace@example.org" if "lovelace" in text else "ada@example.org"
    with pytest.raises(BadRequest):
        checked_password(Secret(text), email)


@pytest.mark.parametrize(
    "text", ["a sufficiently long phrase", "ünïcödé is wëlcôme", "ada goes to market", "🦊" * 4 + "walk home"]
)
def test_long_phrases_are_passwords(text: str) -> None:
    checked_password(Secret(text), "ada@example.org")


def test_the_same_characters_are_the_same_password() -> None:
    composed, apart = "café au lait noir", "cafe\N{COMBINING ACUTE ACCENT} au lait noir"
    assert checked_password(Secret(apart), "a@b").reveal() == checked_password(Secret(composed), "a@b").reveal()


@pytest.mark.parametrize("email", ["", "ada", "@", "a@", "@b", "a b@c", "a@b@c", "a\n@b", f"{'x' * 250}@example.org"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(BadRequest):
        checked_email(email)


@given(st.emails())
def test_addresses_are_compared_without_regard_to_case(email: str) -> None:
    assert same_email(email.upper()) == same_email(f" {email.lower()} ")


# -------------------------------------------------------------------------------------------- second factors


@given(st.binary(min_size=20, max_size=20), st.integers(10**9, 4 * 10**9), st.integers(-3, 3))
def test_a_code_is_taken_within_one_step_and_once(drawn: bytes, now_s: int, off: int) -> None:
    seed = new_seed(lambda _: drawn)
    step = now_s // STEP_S + off
    code = pyotp.TOTP(seed.reveal()).generate_otp(step)
    found = step_of(seed, code, now_s * 1000, -1)
    if abs(off) <= 1:
        assert found is not None
        assert step_of(seed, code, now_s * 1000, found + 2) is None
        assert step_of(seed, code, now_s * 1000, now_s // STEP_S + 1) is None
    elif found is not None:  # another step has the same six digits: one in a million
        assert pyotp.TOTP(seed.reveal()).generate_otp(found) == code


@given(st.text(max_size=12))
def test_no_other_text_is_a_code_or_raises(text: str) -> None:
    seed = new_seed(bytes)
    codes = {pyotp.TOTP(seed.reveal()).generate_otp(step) for step in (99, 100, 101)}
    assert (step_of(seed, text, 100 * STEP_S * 1000, -1) is None) == (text.replace(" ", "") not in codes)


def test_codes_are_those_of_rfc_6238() -> None:
    seed = Secret(base64.b32encode(b"12345678901234567890").decode())
    assert step_of(seed, "287082", 59_000, -1) == 1
    assert step_of(seed, "081 804", 1_111_111_109_000, -1) == 37_037_036


def test_an_app_is_told_who_and_where() -> None:
    uri = enrolment_uri(Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), "ada@example.org", "console.example.eu").reveal()
    assert uri.startswith("otpauth://totp/console.example.eu:ada%40example.org?")
    assert "secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in uri
    assert "issuer=console.example.eu" in uri


def test_recovery_codes_are_ten_and_as_random_as_what_they_are_made_of() -> None:
    drawn = iter(range(RECOVERY_CODES))
    codes = new_recovery_codes(lambda count: hashlib.sha256(bytes([next(drawn)])).digest()[:count])
    texts = [code.reveal() for code in codes]
    assert len(set(texts)) == RECOVERY_CODES
    assert {len(plain_recovery_code(text)) for text in texts} == {16}
    assert all(plain_recovery_code(text.upper().replace("-", " ")) == text.replace("-", "") for text in texts)
    assert set("".join(texts)) <= {*ALPHABET, "-"}


# --------------------------------------------------------------------------------------- tokens and their form


@given(st.binary(min_size=56, max_size=56), st.sampled_from(PREFIXES), st.sampled_from(PREFIXES))
def test_a_credential_is_read_by_its_own_prefix_alone(drawn: bytes, written: str, read: str) -> None:
    key_id, secret = new_key(lambda _: drawn)
    text = write_key(key_id, secret, written).reveal()
    found = read_key(text) if read == PREFIX else read_other(read, text)
    assert (found is not None) == (written == read)
    if found is not None:
        assert (found.key_id, found.secret.reveal()) == (key_id, secret.reveal())


@given(st.text(), st.sampled_from(PREFIXES[1:]))
def test_no_other_text_is_a_credential_or_raises(text: str, prefix: str) -> None:
    assert read_other(prefix, text) is None
    assert read_other(prefix, f"{prefix}_{text}") is None


targets = st.sampled_from(
    [INSTALLATION, Target("a"), Target("b"), Target("a", "1"), Target("a", "2"), Target("b", "1")]
)
rights = st.builds(Right, st.frozensets(st.sampled_from(Permission), max_size=6), targets)


def may(held: tuple[Right, ...], permission: Permission, target: Target) -> bool:
    return any(permission in right.permissions and right.target.covers(target) for right in held)


@given(st.lists(rights, max_size=4), st.lists(rights, min_size=1, max_size=4), st.sampled_from(Permission), targets)
def test_a_narrowed_right_is_what_both_allow(
    own: list[Right], limits: list[Right], permission: Permission, target: Target
) -> None:
    both = narrowed(own, limits)
    allowed = may(tuple(own), permission, target) and may(tuple(limits), permission, target)
    assert may(both, permission, target) == allowed


@given(st.lists(rights, max_size=4), st.lists(rights, max_size=3), st.sampled_from(Permission), targets)
def test_a_token_never_does_more_than_its_person(
    own: list[Right], limits: list[Right], permission: Permission, target: Target
) -> None:
    token = PersonalToken("t", "u", "n", 0, 1, tuple(limits))
    if may(rights_by_token(own, token), permission, target):
        assert may(tuple(own), permission, target)
        assert permission not in NOT_BY_TOKEN


def test_a_token_lives_until_it_ends_or_is_revoked() -> None:
    token = PersonalToken("t", "u", "n", 0, 10)
    assert token.alive(9)
    assert not token.alive(10)
    assert not replace(token, standing=Standing.REMOVED).alive(0)


# -------------------------------------------------------------------------------------- owners and principals

grants = st.lists(
    st.builds(
        Grant, st.uuids().map(str), st.sampled_from("uvw"), st.sampled_from(Role), targets, st.just(""), st.just(0)
    ),
    max_size=12,
    unique_by=lambda grant: (grant.user_id, grant.role, grant.target),
)


@given(grants, st.sampled_from("uvw"))
def test_a_place_that_had_an_owner_keeps_one(standing: list[Grant], leaver: str) -> None:
    leaving = [grant for grant in standing if grant.user_id == leaver]
    staying = {(grant.role, grant.target) for grant in standing if grant.user_id != leaver}
    lost = {grant.target for grant in leaving if grant.role in OWNERS and (grant.role, grant.target) not in staying}
    found = orphaned(standing, leaving)
    assert (found is None) == (not lost)
    assert found is None or found in lost


ADA = Person("usr_1", "org", "ada@example.org", "Ada")
OPEN = Session("s", "usr_1", Means.PASSWORD, complete=True, address="", created_unix_ms=0, seen_unix_ms=0)


def test_who_was_granted_nothing_has_a_profile_and_no_more() -> None:
    known = by_session(Realm.CUSTOMER, Dossier(ADA, has_factor=True), OPEN)
    assert (known.name, known.kind, known.organisation_id) == ("user usr_1", Kind.USER, "org")
    assert {may for right in known.rights for may in right.permissions} == ANYONES
    assert known.by_cookie
    assert not known.tags
    assert not known.sees(Target("other"))


def test_a_session_that_is_not_complete_carries_what_must_come_first() -> None:
    assert by_session(Realm.CUSTOMER, Dossier(ADA, has_factor=False), OPEN).tags == {MUST_ENROL}
    half = replace(OPEN, complete=False)
    assert by_session(Realm.CUSTOMER, Dossier(ADA, has_factor=True), half).tags == {SECOND_FACTOR}


def test_a_token_is_no_session() -> None:
    grant = Grant("g", "usr_1", Role.DEVELOPER, Target("org", "t"), "", 0)
    known = by_token(Realm.CUSTOMER, Dossier(ADA, (grant,)), PersonalToken("tok", "usr_1", "n", 0, 1))
    assert (known.by_cookie, known.proven_unix_ms, known.session_id) == (False, 0, "tok")
    assert known.may(Permission.KEYS_WRITE, Target("org", "t"))
    assert not known.may_somewhere(Permission.OWN_PROFILE_WRITE)
    assert not known.may(Permission.KEYS_WRITE, Target("org"))


def test_a_dossier_welcomes_who_is_active_in_a_place_that_is() -> None:
    assert Dossier(ADA).welcome
    assert not Dossier(replace(ADA, standing=Standing.SUSPENDED)).welcome
    assert not Dossier(ADA, place=Standing.SUSPENDED).welcome


def test_every_role_has_a_profile() -> None:
    assert all(rules.permissions >= ANYONES for rules in RULES.values())
