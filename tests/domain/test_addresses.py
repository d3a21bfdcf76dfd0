"""Where the service may call: the open Internet; the networks behind it when told so; some places never."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.addresses import acceptable

OPEN = ["1.1.1.1", "9.9.9.9", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
OURS = ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"]
WRAPPED = ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::"]
NEVER = [
    *("0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.1", "169.254.169.254", "192.0.2.1"),  # noqa: S104 - to be refused
    *("::", "ff02::1", "ff0e::1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2001:db8::1", "::127.0.0.1", "4000::1", "64:ff9b:1::a00:1", "fec0::1", "2002:a9fe:a9fe::"),
    *("localhost", "", "1.1.1", "1.1.1.1:443", "[::1]", "0x7f.1", "127.1"),
]


@pytest.mark.parametrize("ip", OPEN)
def test_the_open_internet_may_be_called(ip: str) -> None:
    assert acceptable(ip, private=False)
    assert acceptable(ip, private=True)


@pytest.mark.parametrize("ip", OURS + WRAPPED)
def test_our_own_networks_only_when_told_so(ip: str) -> None:
    assert not acceptable(ip, private=False)
    assert acceptable(ip, private=True)


@pytest.mark.parametrize("ip", NEVER)
def test_some_places_never(ip: str) -> None:
    assert not acceptable(ip, private=False)
    assert not acceptable(ip, private=True)


@given(st.ip_addresses(v=4))
def test_wrapping_changes_nothing(address: IPv4Address) -> None:
    wrapped = IPv6Address(0xFFFF << 32 | int(address))
    for private in (True, False):
        assert acceptable(str(wrapped), private=private) == acceptable(str(address), private=private)


@given(st.ip_addresses())
def test_who_may_call_little_may_call_no_more(address: IPv4Address | IPv6Address) -> None:
    assert acceptable(str(address), private=True) or not acceptable(str(address), private=False)
