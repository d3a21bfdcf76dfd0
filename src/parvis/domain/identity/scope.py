"""What a key is for: models, endpoints, addresses. A narrower place never widens a wider one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

ANY_MODEL = "*"
_WILDCARDS = frozenset("*?[")


class Endpoint(StrEnum):
    """What a key may be used at."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    MODELS = "models"
    AUDIO = "audio"


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


class NamePatterns:
    """A list of patterns, read once: names that are spelled out cost a look into a set, the others one search."""

    def __init__(self, patterns: Sequence[str]) -> None:
        wild = [pattern for pattern in patterns if _WILDCARDS.intersection(pattern)]
        self._spelled = frozenset(patterns).difference(wild)
        self._wild = re.compile("|".join(map(translate, wild))) if wild else None

    def match(self, names: Sequence[str]) -> bool:
        """Whether one of the names is meant by one of the patterns."""
        if not self._spelled.isdisjoint(names):
            return True
        return self._wild is not None and any(map(self._wild.match, names))


def names_match(names: Sequence[str], allowed: Sequence[str], denied: Sequence[str]) -> bool:
    """Whether a model of these names (id and aliases) is allowed by one pattern and denied by none."""
    return NamePatterns(allowed).match(names) and not NamePatterns(denied).match(names)


def address_in(address: str, networks: Sequence[str]) -> bool:
    """Whether a caller's address lies in one of these networks; with none given, every address does.

    An IPv4 address that arrives inside an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address. In a text that is no
    network there is nobody.
    """
    if not networks:
        return True
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(known, "ipv4_mapped", None) or known
    return any(network is not None and inner in network for network in map(_network, networks))


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
