"""What a key is for: models, endpoints, addresses. A narrower place never widens a wider one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

ANY_MODEL = "*"


class Endpoint(StrEnum):
    """What a key may be used at."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODELS = "models"


ENDPOINTS = tuple(Endpoint)


@dataclass(frozen=True, slots=True)
class KeyScope:
    """Allowed unless denied. Patterns have `*` for any characters and stand for ids and aliases alike."""

    models_allowed: tuple[str, ...] = (ANY_MODEL,)
    models_denied: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ENDPOINTS
    addresses: tuple[str, ...] = ()
    """Networks like `192.0.2.0/24` or `2001:db8::/48`; empty: from anywhere."""


ANYTHING = KeyScope()


def names_match(names: Sequence[str], allowed: Sequence[str], denied: Sequence[str]) -> bool:
    """Whether a model of these names (id and aliases) is allowed by one pattern and denied by none."""
    if any(fnmatchcase(name, pattern) for pattern in denied for name in names):
        return False
    return any(fnmatchcase(name, pattern) for pattern in allowed for name in names)


def address_in(address: str, networks: Sequence[str]) -> bool:
    """Whether a caller's address lies in one of these networks; with none given, every address does.

    An IPv4 address that arrives inside an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address.
    """
    if not networks:
        return True
    try:
        known = ip_address(address)
    except ValueError:
        return False
    inner = getattr(known, "ipv4_mapped", None)
    return any((inner or known) in ip_network(network) for network in networks)
