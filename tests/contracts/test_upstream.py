"""A chunked answer reads the same however the network cuts it, also where a read is exactly one chunk."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.engines.upstream import UpstreamConnection, UpstreamPool
from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
REPLICA = Replica("one-0", "one", EngineKind.OPENAI, "http://127.0.0.1:9", ReplicaState.READY, "")

contents = st.binary(min_size=1, max_size=20) | st.sampled_from(
    [b"\r\n", b"1\r\nx\r\n", b"data: {}\n\n", b"0\r\n\r\n", b"5"]
)
sizes = st.sampled_from([b"%x", b"%X", b"0%x", b"%x;note=1"])
whole_chunks = st.lists(st.tuples(contents, sizes), min_size=1, max_size=6)


class Heard:
    """A receiver that keeps everything."""

    def __init__(self) -> None:
        self.status, self.text, self.ends, self.came = 0, b"", 0, 0
        self.failure: EngineUnavailable | None = None

    def head(self, status: int) -> None:
        self.status = status

    def body(self, data: bytes) -> None:
        self.text += data

    def complete(self) -> None:
        self.ends += 1

    def lost(self, failure: EngineUnavailable) -> None:
        self.failure = failure


def read(*pieces: bytes) -> Heard:
    loop = asyncio.new_event_loop()
    heard = Heard()
    try:
        connection = UpstreamConnection(UpstreamPool(REPLICA, loop))
        connection.send(heard, b"")
        for piece in pieces:
            connection.data_received(piece)
    finally:
        loop.close()
    return heard


@given(whole_chunks, st.data())
def test_where_the_network_cuts_does_not_matter(chunks: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    written = [size % len(content) + b"\r\n" + content + b"\r\n" for content, size in chunks]
    whole = HEAD + b"".join(written) + b"0\r\n\r\n"
    ends = [len(HEAD) + sum(map(len, written[:count])) for count in range(len(written) + 1)]
    cuts = sorted({0, len(whole), *data.draw(st.sets(st.sampled_from(ends) | st.integers(0, len(whole)), max_size=8))})
    heard = read(*[whole[start:end] for start, end in pairwise(cuts)])
    assert (heard.status, heard.ends, heard.failure) == (200, 1, None)
    assert heard.text == b"".join(content for content, _ in chunks)


@given(st.sampled_from([b"zz\r\nx\r\n", b"2\r\nx\r\n\r\n", b"-1\r\nx\r\n", b"1\nx\n", b"1\r\nxy\r\n"]))
def test_a_chunk_that_is_none_ends_the_answer(wrong: bytes) -> None:
    heard = read(HEAD, b"1\r\nx\r\n", wrong, b"0\r\n\r\n")
    assert heard.failure is not None or heard.ends == 0


def test_the_next_answer_on_the_same_connection_is_read_anew() -> None:
    heard = read(HEAD, b"1\r\nx\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n", b"1\r\nx\r\n")
    assert (heard.text, heard.ends) == (b"x", 1)
