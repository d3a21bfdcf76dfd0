"""What a key is for: patterns of model names that mean what they seem to mean, and networks that have their insides."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.identity.scope import NamePatterns, address_in, names_match

names = st.text("abc.-/:_", min_size=1, max_size=8)
patterns = st.text("abc.-/:_*", min_size=1, max_size=8)
some_names = st.lists(names, min_size=1, max_size=4)
some_patterns = st.lists(patterns, max_size=4)


def meant(pattern: str, name: str) -> bool:
    """The rule in other words: `*` stands for any characters, everything else for itself."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


# ---------------------------------------------------------------------------------------------------- names


@given(some_names, some_patterns, some_patterns)
def test_a_model_is_allowed_by_one_pattern_and_denied_by_none(
    known: list[str], allowed: list[str], denied: list[str]
) -> None:
    by_one = any(meant(pattern, name) for pattern in allowed for name in known)
    by_none = not any(meant(pattern, name) for pattern in denied for name in known)
    assert names_match(known, allowed, denied) == (by_one and by_none)


@given(some_names, some_patterns, some_patterns, some_patterns)
def test_denying_more_allows_less_and_allowing_more_denies_nothing(
    known: list[str], allowed: list[str], denied: list[str], more: list[str]
) -> None:
    before = names_match(known, allowed, denied)
    assert names_match(known, allowed + more, denied) >= before
    assert names_match(known, allowed, denied + more) <= before


@given(some_names, some_patterns)
def test_the_order_of_patterns_does_not_matter(known: list[str], listed: list[str]) -> None:
    assert NamePatterns(listed).match(known) == NamePatterns(listed[::-1]).match(known[::-1])


@given(some_names)
def test_everything_is_everything_and_nothing_is_nothing(known: list[str]) -> None:
    assert names_match(known, ("*",), ())
    assert not names_match(known, (), ())
    assert not names_match(known, ("*",), ("*",))
    assert names_match(known, known, ())


def test_a_pattern_is_told_from_its_spelling() -> None:
    assert not names_match(["Small"], ["small"], [])
    assert not names_match(["a\nb"], ["a"], [])
    assert names_match(["a\nb"], ["a*"], [])


@pytest.mark.timeout(10)
def test_a_hostile_pattern_takes_no_time() -> None:
    assert not NamePatterns(["*a" * 64 + "b"]).match(["a" * 128])


# ------------------------------------------------------------------------------------------------ addresses

v4 = st.integers(0, (1 << 32) - 1)
v6 = st.integers(0, (1 << 128) - 1)


@given(v4, v4, st.integers(0, 32))
def test_an_address_is_in_a_network_when_they_begin_alike(address: int, other: int, bits: int) -> None:
    network = str(ip_network((other, bits), strict=False))
    alike = address >> (32 - bits) == other >> (32 - bits)
    assert address_in(str(IPv4Address(address)), [network]) == alike
    assert address_in(f"::ffff:{IPv4Address(address)}", [network]) == alike


@given(v6, v6, st.integers(0, 128))
def test_the_same_in_ipv6(address: int, other: int, bits: int) -> None:
    network = str(IPv6Network((other, bits), strict=False))
    inner = IPv6Address(address).ipv4_mapped
    alike = inner is None and address >> (128 - bits) == other >> (128 - bits)
    assert address_in(str(IPv6Address(address)), [network]) == alike


@given(v4, st.lists(st.tuples(v4, st.integers(0, 32)), max_size=3), st.tuples(v4, st.integers(0, 32)))
def test_more_networks_let_more_in(address: int, few: list[tuple[int, int]], one: tuple[int, int]) -> None:
    listed = [str(ip_network(network, strict=False)) for network in few]
    added = str(ip_network(one, strict=False))
    caller = str(IPv4Address(address))
    assert address_in(caller, [*listed, added]) == (
        address_in(caller, [added]) or (bool(listed) and address_in(caller, listed))
    )


@given(st.text(max_size=20))
def test_who_has_no_address_is_nowhere(address: str) -> None:
    assert address_in(address, [])
    try:
        IPv4Address(address)
    except ValueError:
        assert not address_in(address, ["0.0.0.0/0"])


def test_what_is_no_network_has_nobody_in_it() -> None:
    assert not address_in("192.0.2.1", ["192.0.2.1/24"])  # bits beyond the mask: a slip
    assert not address_in("192.0.2.1", ["everywhere"])
    assert address_in("192.0.2.1", ["everywhere", "192.0.2.0/24"])
    assert address_in("fe80::1%eth0", ["fe80::/10"])
