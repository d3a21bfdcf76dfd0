"""Which addresses the service may call of its own accord: those of the open Internet, unless the operator says more."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

OWN_NETWORKS = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # carrier-grade (RFC 6598)
        "::1/128",
        "fc00::/7",
    )
)
"""Of this machine, and of the networks behind it."""
UNICAST = ip_network("2000::/3")
"""All that has ever been given out of IPv6 (RFC 4291)."""
NAT64 = ip_network("64:ff9b::/96")
"""IPv4 addresses as a translator of the network shows them (RFC 6052)."""


def acceptable(ip: str, *, private: bool) -> bool:
    """Whether a call may go to this numeric address; a text that is none is not acceptable.

    Addresses of the open Internet may be called, and with `private` those of `OWN_NETWORKS` too. Never the others:
    multicast, broadcast, unspecified, reserved, and link-local, where clouds keep the credentials of their machines.
    An IPv4 address inside an IPv6 one is judged as what it leads to.
    """
    try:
        address = _innermost(ip_address(ip))
    except ValueError:
        return False
    if any(address in network for network in OWN_NETWORKS):
        return private
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not address.is_multicast


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that is wrapped in one of IPv6 (mapped, 6to4, Teredo, NAT64), or the same. Raises ValueError."""
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id:
        raise ValueError("an address with a zone is one of a link")
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
