"""Who counts as one client, and that every place that was taken is there again when it is given back."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from parvis.api.inference.limits import ListenerLimits
from parvis.api.inference.places import Place, Places, network

HOSTS = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1"])


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_one_however_it_comes(address: IPv4Address) -> None:
    assert network(str(address)) == address.packed
    assert network(f"::ffff:{address}") == address.packed


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_an_ipv6_network_of_64_bits_is_one(address: IPv6Address, rest: int) -> None:
    if address.ipv4_mapped is None:
        neighbour = IPv6Address(int(address) >> 64 << 64 | rest)
        if neighbour.ipv4_mapped is None:
            assert network(str(address)) == network(str(neighbour)) == address.packed[:8]


def test_a_zone_is_no_part_of_it() -> None:
    assert network("fe80::1%eth0") == network("fe80::2") == IPv6Address("fe80::").packed[:8]


@given(st.lists(st.tuples(HOSTS, st.booleans())), st.integers(1, 4), st.integers(1, 4))
def test_neither_bound_is_passed_and_every_place_comes_back(
    steps: list[tuple[str, bool]], all_max: int, each_max: int
) -> None:
    places = Places(ListenerLimits(connections_max=all_max, connections_per_address_max=each_max))
    held: list[Place] = []
    for host, comes in steps:
        if comes:
            here = Counter(held)[network(host)]
            free = len(held) < all_max and here < each_max
            place = places.take(host)
            assert (place is not None) == free
            held += [place] if place is not None else []
        elif network(host) in held:
            held.remove(network(host))
            places.give_back(network(host))
        assert places.taken == len(held)
    for place in held:
        places.give_back(place)
    assert places.taken == 0
    assert places._of == {}


def test_new_bounds_turn_nobody_out() -> None:
    places = Places(ListenerLimits(connections_max=4))
    taken = [places.take("192.0.2.1") for _ in range(4)]
    places.renew(ListenerLimits(connections_max=2))
    assert places.taken == 4
    assert places.take("192.0.2.2") is None
    for place in taken[:3]:
        assert place is not None
        places.give_back(place)
    assert places.take("192.0.2.2") is not None


def test_bounds_that_are_equal_leave_only_one() -> None:
    """Behind a load balancer all clients have one address."""
    places = Places(ListenerLimits(connections_max=100, connections_per_address_max=100))
    assert all(places.take("192.0.2.1") is not None for _ in range(100))
    assert places.take("192.0.2.1") is None
    assert places.take("192.0.2.2") is None
