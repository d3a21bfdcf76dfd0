"""What the word of an identity provider is worth, and which grants follow it."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import NotAuthenticated
from parvis.core.secret import Secret
from parvis.domain.identity.openid import (
    SKEW_S,
    VISIT_MS,
    Provider,
    RoleMapping,
    challenge_of,
    changes,
    check_id_token,
    draw,
    follows_claims,
    grantor,
    groups_of,
    identity_of,
    lacks,
    lets_in,
    second_factor_shown,
    secret_trace,
    unmapped,
)
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant, Role

NOW_S = 1_784_000_000
NONCE = Secret("the nonce")
ACME = Provider("acme", "https://login.acme.example", "parvis", domains=("Acme.Example",))
TOKEN: dict[str, Any] = {
    "iss": ACME.issuer,
    "aud": "parvis",
    "sub": "subject",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": "the nonce",
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


# -------------------------------------------------------------------------------------------------- what is drawn


def test_the_challenge_is_the_one_of_the_specification() -> None:
    """RFC 7636, appendix B."""
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=4, max_size=4))
def test_what_is_drawn_is_what_randomness_gave(drawn: list[bytes]) -> None:
    source = iter(drawn)
    asked = draw(lambda _: next(source))
    assert [base64.urlsafe_b64decode(part.reveal() + "=") for part in asked] == drawn
    assert 43 <= len(asked.verifier.reveal()) <= 128
    assert secret_trace(asked.state) == hashlib.sha256(asked.state.reveal().encode()).digest()


# ------------------------------------------------------------------------------------------------------ the token


def check(claims: dict[str, Any], provider: Provider = ACME) -> str:
    return check_id_token(claims, provider, NONCE, NOW_S * 1000)


def test_a_good_token_is_taken() -> None:
    assert check(TOKEN) == "subject"
    assert check({**TOKEN, "aud": ["other", "parvis"], "azp": "parvis"}) == "subject"
    assert check({**TOKEN, "exp": NOW_S - SKEW_S + 1}) == "subject"
    assert check({**TOKEN, "iat": NOW_S + SKEW_S, "nbf": NOW_S + SKEW_S}) == "subject"
    assert check({**TOKEN, "exp": NOW_S + 0.5}) == "subject"


WRONG: list[tuple[str, object]] = [
    ("iss", "https://login.acme.example/"),
    ("iss", "https://evil.example"),
    ("iss", None),
    ("aud", "other"),
    ("aud", []),
    ("aud", ["parvis", "other"]),
    ("aud", {"parvis": 1}),
    ("azp", "other"),
    ("azp", None),
    ("exp", NOW_S - SKEW_S),
    ("exp", "later"),
    ("exp", True),
    ("exp", None),
    ("iat", NOW_S + SKEW_S + 1),
    ("iat", NOW_S - VISIT_MS // 1000 - SKEW_S - 1),
    ("iat", float("nan")),
    ("nbf", NOW_S + SKEW_S + 1),
    ("auth_time", NOW_S - 3600),
    ("auth_time", "now"),
    ("nonce", "another"),
    ("nonce", ""),
    ("nonce", None),
    ("nonce", ["the nonce"]),
    ("sub", ""),
    ("sub", 7),
    ("sub", "x" * 256),
]


@pytest.mark.parametrize(("claim", "value"), WRONG)
def test_a_wrong_claim_is_refused(claim: str, value: object) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        check({**TOKEN, claim: value})
    assert refused.value.code == "openid_token_invalid"


@pytest.mark.parametrize("claim", list(TOKEN))
def test_a_missing_claim_is_refused(claim: str) -> None:
    with pytest.raises(NotAuthenticated):
        check({name: value for name, value in TOKEN.items() if name != claim})


@given(st.sampled_from(list(TOKEN)), ANY_JSON)
def test_nothing_strange_is_taken_or_breaks(claim: str, value: object) -> None:
    try:
        check({**TOKEN, claim: value})
    except NotAuthenticated:
        return
    if claim in ("iss", "nonce"):
        assert value == TOKEN[claim]
    if claim == "aud":
        assert value in ("parvis", ["parvis"])


@given(ANY_JSON, ANY_JSON)
def test_no_claims_break_what_reads_them(one: object, two: object) -> None:
    claims: dict[str, Any] = {**TOKEN, "email": one, "email_verified": True, "name": two, "groups": two, "amr": one}
    found = identity_of(claims, {}, replace(ACME, vouches_for_factor=True, groups_claim="groups.a"))
    assert found.name
    assert found.name.isprintable()


# ------------------------------------------------------------------------------------------------------- identity


def test_an_address_counts_only_when_it_is_verified() -> None:
    for verified, email in ((True, "ann@acme.example"), ("true", "ann@acme.example"), (False, ""), (1, ""), (None, "")):
        claims = {**TOKEN, "email": "Ann@Acme.example", "email_verified": verified}
        assert identity_of(claims, {}, ACME).email == email, verified
    assert identity_of({**TOKEN, "email": "ann@acme.example"}, {}, ACME).email == ""


def test_the_token_goes_before_the_user_info_and_both_are_one_persons() -> None:
    more = {"sub": "subject", "email": "b@x.example", "email_verified": True, "groups": ["g"], "name": "Ann"}
    found = identity_of({**TOKEN, "email": "a@x.example"}, more, ACME)
    assert (found.email, found.name, found.groups) == ("a@x.example", "Ann", frozenset("g"))
    with pytest.raises(NotAuthenticated):
        identity_of(TOKEN, {**more, "sub": "another"}, ACME)


def test_user_info_is_asked_for_when_something_is_open() -> None:
    whole = {**TOKEN, "email": "a@x.example", "email_verified": True, "groups": []}
    assert not lacks(whole, ACME)
    for claim in ("email", "email_verified", "groups"):
        assert lacks({name: value for name, value in whole.items() if name != claim}, ACME)


def test_groups_are_found_by_name_or_by_path() -> None:
    assert groups_of({"groups": ["a", "b", 3, None]}, "groups") == {"a", "b"}
    assert groups_of({"groups": "a"}, "groups") == {"a"}
    assert groups_of({"realm": {"roles": ["a"]}}, "realm.roles") == {"a"}
    assert groups_of({"https://x.example/roles": ["a"]}, "https://x.example/roles") == {"a"}
    assert groups_of({"realm": ["roles"]}, "realm.roles") == frozenset()
    assert groups_of({"groups": {"a": 1}}, "groups") == frozenset()
    assert len(groups_of({"groups": [str(n) for n in range(5000)]}, "groups")) == 1000


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"amr": ["pwd"]}, False),
        ({"amr": ["otp"]}, False),
        ({"amr": ["pwd", "otp"]}, True),
        ({"amr": ["pwd", "pin"]}, False),
        ({"amr": ["pwd", "sms"]}, False),
        ({"amr": ["mfa"]}, True),
        ({"amr": ["hwk", "fpt"]}, True),
        ({"amr": "mfa"}, False),
        ({"acr": "gold"}, True),
        ({"acr": "silver"}, False),
        ({"acr": ["gold"]}, False),
        ({}, False),
    ],
)
def test_a_second_factor_is_believed_when_it_is_said(claims: dict[str, Any], *, shown: bool) -> None:
    assert second_factor_shown(claims, ("gold",)) == shown
    trusting = replace(ACME, vouches_for_factor=True, acr_values=("gold",))
    assert identity_of({**TOKEN, **claims}, {}, trusting).second_factor == shown
    assert not identity_of({**TOKEN, **claims}, {}, replace(trusting, vouches_for_factor=False)).second_factor
    assert not identity_of(TOKEN, {"sub": "subject", **claims}, trusting).second_factor


def test_a_domain_lets_in_whole_names_only() -> None:
    assert lets_in(ACME, "ann@acme.example")
    for email in ("", "ann", "ann@evil-acme.example", "ann@sub.acme.example", "ann@acme.example.evil.example"):
        assert not lets_in(ACME, email)


# --------------------------------------------------------------------------------------------------------- grants

PLACES = [Target("acme"), Target("acme", "t1"), Target("acme", "t2")]
ROLES = st.sampled_from([Role.DEVELOPER, Role.MEMBER, Role.TENANT_OWNER])
MAPPINGS = st.lists(st.builds(RoleMapping, st.sampled_from("abcd"), ROLES, st.sampled_from(PLACES)), max_size=6)
GRANTORS = st.sampled_from(["user usr_1", "operator token", grantor(ACME.issuer), grantor("https://old.example")])


@st.composite
def held(draw_one: st.DrawFn) -> list[Grant]:
    """Somebody's grants: each role over a place once."""
    pairs = draw_one(st.sets(st.tuples(ROLES, st.sampled_from(PLACES)), max_size=6))
    return [Grant(f"g{n}", "u", *pair, draw_one(GRANTORS), 0) for n, pair in enumerate(sorted(pairs))]


@given(MAPPINGS, st.frozensets(st.sampled_from("abcde")), held())
def test_mapped_grants_become_what_the_claims_say(
    mappings: list[RoleMapping], groups: frozenset[str], grants: list[Grant]
) -> None:
    provider = replace(ACME, mappings=tuple(mappings))
    found = changes(provider, groups, grants)
    meant = {(m.role, m.target) for m in mappings if m.value in groups}
    by_hand = [grant for grant in grants if not follows_claims(grant)]
    assert all(follows_claims(grant) for grant in found.unwanted)
    after = [grant for grant in grants if grant not in found.unwanted]
    after += [Grant(f"n{n}", "u", *pair, grantor(ACME.issuer), 1) for n, pair in enumerate(found.wanted)]
    assert {(grant.role, grant.target) for grant in after} == meant | {(grant.role, grant.target) for grant in by_hand}
    assert len(after) == len({(grant.role, grant.target) for grant in after})
    assert changes(provider, groups, after) == ((), ())


@given(MAPPINGS, held())
def test_what_no_mapping_gives_is_found(mappings: list[RoleMapping], grants: list[Grant]) -> None:
    everything = frozenset("abcd")
    provider = replace(ACME, mappings=tuple(mappings))
    assert unmapped(provider, grants) == list(changes(provider, everything, grants).unwanted)
    assert unmapped(None, grants) == [grant for grant in grants if follows_claims(grant)]
