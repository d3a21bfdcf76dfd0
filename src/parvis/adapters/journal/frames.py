"""How a record lies in a segment: `length u32, crc32 u32, payload`, payload = msgpack of (sequence, record).

A torn or altered frame fails its length or its checksum; reading ends there.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator

import msgspec

from parvis.domain.metering.records import Closed, Marked, Record, Settled, Started

_HEAD = struct.Struct("<II")
HEAD_BYTES = _HEAD.size
PAYLOAD_BYTES_MAX = 1 << 20
_KINDS: tuple[type[Record], ...] = (Started, Marked, Settled, Closed)
_TAGS = {kind: tag for tag, kind in enumerate(_KINDS)}
_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(tuple[int, int, msgspec.Raw]).decode
_decoders = [msgspec.msgpack.Decoder(kind) for kind in _KINDS]


def frame(sequence: int, record: Record) -> bytes:
    """The bytes of one record."""
    payload = _encode((sequence, _TAGS[type(record)], record))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes | mmap.mmap, offset: int = 0) -> Iterator[tuple[int, Record, int]]:
    """Read (sequence, record, offset behind it) until the first frame that is not whole."""
    while offset + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, offset)
        start = offset + _HEAD.size
        payload = data[start : start + length]
        if not 0 < length <= PAYLOAD_BYTES_MAX or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        sequence, tag, raw = _decode_frame(payload)
        offset = start + length
        yield sequence, _decoders[tag].decode(raw), offset
