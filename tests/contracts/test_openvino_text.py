"""Tokens become text: no character is ever split, and nothing of a stop text is ever shown."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.openvino.vocabulary import Vocabulary, Writer

BYTES = Vocabulary({bytes([byte]): byte for byte in range(256)} | {b"<|mark|>": 256}, frozenset({256}))
PIECES = st.lists(st.integers(1, 4), max_size=40)


def written(text: str, sizes: list[int], stops: tuple[str, ...] = ()) -> tuple[list[str], Writer]:
    """The parts, when tokens of a byte each come so many at a time."""
    tokens, writer, parts = [*text.encode(), 256], Writer(BYTES, stops), []
    for size in sizes:
        parts.append(writer.write(tokens[:size]))
        tokens = tokens[size:]
    return [*parts, writer.write(tokens, last=True)], writer


@given(st.text(max_size=40), PIECES)
def test_whole_characters_in_their_order(text: str, sizes: list[int]) -> None:
    parts, _ = written(text, sizes)
    assert "".join(parts) == text
    assert "\ufffd" in text or not any("\ufffd" in part for part in parts)


@given(
    st.text("abé🌊", max_size=40), PIECES, st.lists(st.text("abé🌊", min_size=1, max_size=4), min_size=1, max_size=3)
)
def test_a_text_ends_before_its_first_stop(text: str, sizes: list[int], stops: list[str]) -> None:
    parts, writer = written(text, sizes, tuple(stops))
    said = "".join(parts)
    assert text.startswith(said)
    assert not any(stop in said for stop in stops)
    assert writer.stopped == any(stop in text for stop in stops)
    assert writer.stopped or said == text


def test_a_cut_character_at_the_end_is_shown_as_one_that_is_missing() -> None:
    writer = Writer(BYTES)
    assert writer.write("é".encode()[:1], last=True) == "\ufffd"
