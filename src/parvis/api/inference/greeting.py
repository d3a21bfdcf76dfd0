"""What a TLS client says first, read just far enough to see what it would cost to answer.

TLS 1.3 has key exchanges on curves and in finite fields. A curve takes a server a fraction of a millisecond; a finite
field 3 ms (ffdhe2048) to 100 ms (ffdhe8192), and a client that sends noise for its key nothing at all: ten packets a
second would stop a gateway. OpenSSL offers both, and Python cannot tell it which before 3.15. No client needs a finite
field: every one must know P-256 (RFC 8446, 9.1). So who insists on one is refused before anything is computed.
"""

HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
"""The alert for a client with which we have no key exchange in common."""
_CURVES = frozenset({23, 24, 25, 29})
"""P-256, P-384, P-521, X25519: those that OpenSSL takes in every build."""
_FINITE_FIELDS = range(0x0100, 0x0200)
_GROUPS, _SHARES = b"\x00\x0a", b"\x00\x33"
_HEAD_BYTES = 4
_RANDOM_END = _HEAD_BYTES + 2 + 32


def is_affordable(message: bytes) -> bool:
    """Whether a ClientHello, without the record's head, asks for nothing dear.

    One that is not whole in its first record, or makes no sense, is refused too: what cannot be read cannot be judged,
    and real ones are whole.
    """
    if int.from_bytes(message[1:_HEAD_BYTES]) != len(message) - _HEAD_BYTES:
        return False
    at = _RANDOM_END
    for width in (1, 2, 1):  # the session's name, suites, compressions
        at += width + int.from_bytes(message[at : at + width])
    groups: set[int] = set()
    shares: set[int] = set()
    at += 2
    while at < len(message):
        kind, end = message[at : at + 2], at + 4 + int.from_bytes(message[at + 2 : at + 4])
        if kind == _GROUPS:
            groups.update(int.from_bytes(message[i : i + 2]) for i in range(at + 6, end, 2))
        elif kind == _SHARES:
            shares.update(_groups_of(message[at + 6 : end]))
        at = end
    if not shares.isdisjoint(_FINITE_FIELDS):
        return False
    return groups.isdisjoint(_FINITE_FIELDS) or not groups.isdisjoint(_CURVES)


def _groups_of(shares: bytes) -> set[int]:
    """The groups for which keys are sent."""
    found, at = set(), 0
    while at < len(shares):
        found.add(int.from_bytes(shares[at : at + 2]))
        at += 4 + int.from_bytes(shares[at + 2 : at + 4])
    return found
