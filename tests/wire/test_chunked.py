"""The frame of a chunk, looked up or computed, is the same; and only a whole chunk is taken for one."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.wire.chunked import SMALL_BYTES, framed, one_chunk

sizes = st.integers(1, 300) | st.integers(SMALL_BYTES - 12, SMALL_BYTES + 12) | st.just(70_000)
contents = sizes.map(lambda size: b"e" * (size - 1) + b"\n")


@given(contents)
def test_a_frame_tells_the_size(content: bytes) -> None:
    frame = framed(content)
    assert frame == b"%x\r\n%b\r\n" % (len(content), content)
    assert one_chunk(frame) == content


@given(contents, st.data())
def test_what_is_more_or_less_than_one_chunk_is_none(content: bytes, data: st.DataObject) -> None:
    frame = framed(content)
    cut = data.draw(st.integers(0, len(frame) - 1))
    assert one_chunk(frame[:cut]) == b""
    assert one_chunk(frame + framed(b"x")) == b""
    assert one_chunk(b"0" + frame) == b""
    assert one_chunk(frame[:-2] + b"\n\n") == b""
