"""What was torn or altered in a journal ends its reading, and nothing before it is lost."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.journal.frames import frame, frames
from parvis.adapters.journal.reader import JournalReader
from parvis.core.quantities import Quantities
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import Closed, Marked, Operation, Outcome, Record, Settled, Started

STARTED = Started("r", "org", "t", "k", "m", Operation.CHAT, "e-0", "p1", 10**12, True, 1_784_030_400_000)  # noqa: FBT003 - streamed

names = st.text(max_size=10)
quantities = st.none() | st.builds(Quantities, *[st.integers(0, 2**40)] * 3)
counts = st.builds(TokenCount, *[st.integers(0, 2**40)] * 4)
any_record = st.one_of(
    st.builds(
        Started,
        *[names] * 5,
        st.sampled_from(Operation),
        names,
        names,
        st.integers(0, 2**63),
        st.booleans(),
        st.integers(0, 2**48),
    ),
    st.builds(Marked, names, counts, st.integers(0, 2**63), quantities),
    st.builds(
        Settled,
        names,
        st.sampled_from(Outcome),
        counts,
        st.booleans(),
        *[st.integers(0, 2**63)] * 4,
        quantities=quantities,
    ),
    st.builds(Closed, st.lists(names, max_size=3).map(tuple), st.lists(names, max_size=3).map(tuple)),
)
journals = st.lists(any_record, min_size=1, max_size=6)


def written(journal: list[Record]) -> tuple[bytes, list[int]]:
    """The bytes of a segment, and where each record ends."""
    parts = [frame(number, record) for number, record in enumerate(journal, 1)]
    return b"".join(parts), [sum(map(len, parts[: number + 1])) for number in range(len(parts))]


def records(folder: Path) -> list[Record]:
    return [record for _, record in JournalReader(folder).read()]


def read_segment(data: bytes) -> list[Record]:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "00000000.segment").write_bytes(data)
        return records(Path(place))


@given(journals)
def test_any_record_reads_back_as_it_was(journal: list[Record]) -> None:
    data, ends = written(journal)
    assert [(record, behind) for _, record, behind in frames(data)] == list(zip(journal, ends, strict=True))
    assert read_segment(data + bytes(100)) == journal


@given(journals, st.data())
def test_a_torn_tail_is_cut_off(journal: list[Record], data: st.DataObject) -> None:
    whole, ends = written(journal)
    cut = data.draw(st.integers(0, len(whole)))
    left = [record for record, end in zip(journal, ends, strict=True) if end <= cut]
    assert read_segment(whole[:cut]) == left
    assert read_segment(whole[:cut] + bytes(len(whole) - cut + 50))[: len(left)] == left


@given(journals, st.data(), st.integers(1, 255))
def test_a_flipped_byte_ends_the_reading(journal: list[Record], data: st.DataObject, change: int) -> None:
    whole, ends = written(journal)
    place = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[place] ^= change
    before = [record for record, end in zip(journal, ends, strict=True) if end <= place]
    assert read_segment(bytes(altered)) == before


async def test_a_tail_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    segment, whole = tmp_path / "00000000.segment", frame(1, STARTED)
    reader = JournalReader(tmp_path)
    for part in (whole[:3], whole[:-1]):
        segment.write_bytes(part)
        assert reader.read() == []
    segment.write_bytes(whole)
    assert reader.read() == [(1, STARTED)]
