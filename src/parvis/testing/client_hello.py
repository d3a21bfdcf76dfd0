"""ClientHellos by hand, of every age and in every disguise: what no client library would still say.

    hello = ClientHello(version=TLS_1_2, suites=SUITES["GCM"], groups=(X25519,))
    sock.sendall(hello.record())
    assert not greeted(sock.recv(1 << 16))

Sources: RFC 8446 (TLS 1.3), RFC 5246 (1.2), RFC 6101 (SSL 3.0), RFC 7507 (the fallback suite). Numbers are IANA's.
"""

import itertools
import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
OLD = {"SSL 3.0": SSL_3_0, "TLS 1.0": TLS_1_0, "TLS 1.1": TLS_1_1, "TLS 1.2": TLS_1_2}
P_256, P_384, P_521, X25519, X448 = 23, 24, 25, 29, 30
FFDHE_2048, FFDHE_8192 = 0x0100, 0x0104
GREASE = 0x1A1A
FALLBACK = 0x5600
"""`TLS_FALLBACK_SCSV`: the client speaks newer versions, and was refused."""
SUITES: dict[str, tuple[int, ...]] = {
    "GCM": (0xC02B, 0xC02C, 0xC02F, 0xC030, 0x009C, 0x009D),
    "ChaCha20": (0xCCA8, 0xCCA9, 0xCCAA),
    "CBC": (0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x003C, 0xC023, 0xC027),
    "DHE": (0x009E, 0x009F, 0x0033, 0x0039),
    "3DES and RC4": (0x000A, 0xC012, 0xC008, 0x0004, 0x0005, 0xC011, 0xC007),
    "no encryption": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010),
    "no authentication": (0x0018, 0x0034, 0x003A, 0x006C, 0xC018, 0xC019),
    "export": (0x0003, 0x0006, 0x0008, 0x000B),
    "fallback": (0xC02B, 0xC02F, 0xC009, 0xC013, FALLBACK),
    "those of TLS 1.3": (0x1301, 0x1302, 0x1303),
}
SUITES["all"] = tuple(dict.fromkeys(suite for suites in SUITES.values() for suite in suites if suite != FALLBACK))
GROUPS: dict[str, tuple[int, ...]] = {
    "X25519": (X25519,),
    "P-256": (P_256,),
    "P-384 and P-521": (P_384, P_521),
    "all": (X25519, P_256, P_384, P_521, X448, FFDHE_2048),
    "old curves": (1, 9, 19, 22),
    "none": (),
}
SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
_LIKED = ("CBC", "DHE", "no authentication", "all")
_HANDSHAKE, _ALERT = 22, 21
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SHARE_BYTES = {X25519: 32, X448: 56, P_256: 65, P_384: 97, P_521: 133, FFDHE_2048: 256, FFDHE_8192: 1024}


class ClientHello(NamedTuple):
    """What it says. `offered` are the versions of the extension that TLS 1.3 has for them; None leaves it out."""

    version: int = TLS_1_2
    record_version: int = TLS_1_0
    suites: tuple[int, ...] = SUITES["all"]
    groups: tuple[int, ...] = GROUPS["all"]
    offered: tuple[int, ...] | None = None
    shares: tuple[int, ...] = ()
    """Groups for which it sends a key; the keys are noise, and the point of a curve is one."""
    compression: bytes = b"\x00"

    def message(self) -> bytes:
        """The handshake message."""
        extensions = b"" if self.version == SSL_3_0 else _counted(2, self._extensions())
        body = (
            struct.pack(">H", self.version)
            + bytes(range(32))
            + _counted(1, bytes(32))
            + _counted(2, _numbers(self.suites))
            + _counted(1, self.compression)
            + extensions
        )
        return bytes([_CLIENT_HELLO]) + len(body).to_bytes(3) + body

    def record(self, pieces: int = 1) -> bytes:
        """As it goes over the wire, in one record or more."""
        message = self.message()
        size = -(-len(message) // pieces)
        parts = [message[start : start + size] for start in range(0, len(message), size)]
        return b"".join(struct.pack(">BHH", _HANDSHAKE, self.record_version, len(part)) + part for part in parts)

    def _extensions(self) -> bytes:
        said: list[tuple[int, bytes]] = [
            (13, _counted(2, _numbers(SIGNATURES))),
            (11, _counted(1, b"\x00")),
            (23, b""),
            (0xFF01, b"\x00"),
        ]
        if self.groups:
            said.append((10, _counted(2, _numbers(self.groups))))
        if self.offered is not None:
            said.append((43, _counted(1, _numbers(self.offered))))
        if self.offered is not None or self.shares:
            said.append((51, _counted(2, b"".join(map(_share, self.shares)))))
            said.append((45, _counted(1, b"\x01")))
        return b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in said)


class Variant(NamedTuple):
    """A greeting of an old version, and how it is called in a report."""

    name: str
    data: bytes


def modern(groups: tuple[int, ...] = (X25519, P_256), shares: tuple[int, ...] = (X25519,)) -> ClientHello:
    """A greeting that a server of TLS 1.3 answers, unless it knows none of the groups."""
    return ClientHello(suites=SUITES["those of TLS 1.3"], offered=(TLS_1_3,), groups=groups, shares=shares)


def old_variants(count: int, seed: int = 26) -> list[Variant]:
    """So many different greetings of SSL 2.0 to TLS 1.2, drawn from all combinations; the same ones each time."""
    records = (SSL_3_0, TLS_1_0, TLS_1_2, TLS_1_3, 0x03FF)
    offers: dict[str, tuple[int, ...] | None] = {
        "": None,
        "offered alone": (),
        "drafts of 1.3 offered": (0x7F1C, 0x7F12, GREASE),
        "all old ones offered": (TLS_1_2, TLS_1_1, TLS_1_0, SSL_3_0),
    }
    cells = list(itertools.product(OLD, SUITES, GROUPS, records, offers, (b"\x00", b"\x01\x00")))
    # Half of them such as an old server would have liked, or most would be refused for another reason.
    likely = [cell for cell in cells if cell[0] != "SSL 3.0" and cell[1] in _LIKED and cell[2] in ("P-256", "all")]
    dice = random.Random(seed)
    chosen = dice.sample(likely, count // 2)
    chosen += dice.sample([cell for cell in cells if cell not in set(chosen)], count - 2 - len(chosen))
    return [_ssl_2(SSL_3_0), _ssl_2(TLS_1_2), *(_variant(*cell, offers[cell[4]]) for cell in chosen)]


def _variant(
    old: str, suites: str, groups: str, record: int, offer: str, compression: bytes, offered: tuple[int, ...] | None
) -> Variant:
    version = OLD[old]
    hello = ClientHello(
        version=version,
        record_version=record,
        suites=SUITES[suites],
        groups=GROUPS[groups],
        offered=(version, GREASE) if offered == () else offered,
        compression=compression,
    )
    packed = ", compressed" if len(compression) > 1 else ""
    return Variant(f"{old}, {suites}, groups {groups}, record {record:#06x}, {offer}{packed}", hello.record())


def _ssl_2(version: int) -> Variant:
    """The greeting of SSL 2.0, by which old clients asked for newer versions too."""
    suites = b"".join(b"\x00" + struct.pack(">H", suite) for suite in SUITES["CBC"]) + b"\x07\x00\xc0\x01\x00\x80"
    body = struct.pack(">BHHHH", _CLIENT_HELLO, version, len(suites), 0, 16) + suites + bytes(range(16))
    return Variant(f"SSL 2.0, asking for {version:#06x}", struct.pack(">H", 0x8000 | len(body)) + body)


def greeted(answer: bytes) -> bool:
    """Whether a server went on with the handshake: there is a ServerHello in its answer."""
    while len(answer) > 5:  # noqa: PLR2004 - the head of a record
        kind, _, size = struct.unpack(">BHH", answer[:5])
        if kind == _HANDSHAKE and answer[5] == _SERVER_HELLO:
            return True
        answer = answer[5 + size :]
    return False


def alert(answer: bytes) -> int | None:
    """The number of the alert that an answer begins with."""
    return answer[6] if len(answer) == 7 and answer[0] == _ALERT else None  # noqa: PLR2004 - a head and two bytes


def _share(group: int) -> bytes:
    size = _SHARE_BYTES.get(group, 1)
    key = POINT if group == P_256 else bytes([9]) * size
    return struct.pack(">H", group) + _counted(2, key)


def _counted(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width) + data


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The base point of P-256."""
