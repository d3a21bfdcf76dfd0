"""Patterns of model names, and when one of them reaches no further than others."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_network

_PATTERN = re.compile(r"[A-Za-z0-9._:/*-]{1,128}")
PATTERNS_MAX = 200


def pattern_faults(patterns: Sequence[str]) -> list[str]:
    """One sentence for each thing that is wrong with a list of patterns."""
    faults = [
        f"'{pattern[:140]}' is no pattern: use the characters of a model name (letters, digits and . _ : / -) and *."
        for pattern in patterns
        if not _PATTERN.fullmatch(pattern)
    ]
    if len(patterns) > PATTERNS_MAX:
        faults.append(f"There are {len(patterns)} patterns; at most {PATTERNS_MAX} can be.")
    return faults


def network_faults(networks: Sequence[str]) -> list[str]:
    """One sentence for each text that is no network."""
    faults = [
        f"'{network[:60]}' is no network like 192.0.2.0/24 or 2001:db8::/48."
        for network in networks
        if not _is_network(network)
    ]
    if len(networks) > PATTERNS_MAX:
        faults.append(f"There are {len(networks)} networks; at most {PATTERNS_MAX} can be.")
    return faults


def within(pattern: str, others: Iterable[str]) -> bool:
    """Whether one of the others matches everything that this pattern matches.

    A pattern whose only wildcard is `*` covers another when it matches its text: what stands for a `*` there can be
    taken by a `*` here alone. It may say no where several others cover it together, never yes where none does.
    """
    return any(fnmatchcase(pattern, other) for other in others)


def meets(one: str, other: str) -> bool:
    """Whether some name is matched by both patterns.

    Between two that have a `*` only what stands before the first and after the last can contradict: all the rest of
    both can follow one another in the middle.
    """
    if "*" not in one:
        return fnmatchcase(one, other)
    if "*" not in other:
        return fnmatchcase(other, one)
    start, longer_start = sorted((one.partition("*")[0], other.partition("*")[0]), key=len)
    end, longer_end = sorted((one.rpartition("*")[2], other.rpartition("*")[2]), key=len)
    return longer_start.startswith(start) and longer_end.endswith(end)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
