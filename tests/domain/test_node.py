"""The codes by which machines join."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.node import FINGERPRINT_BYTES, SECRET_BYTES, JoinCode, read_join_code


@given(
    st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES),
    st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
)
def test_a_code_is_read_as_it_was_written(fingerprint: bytes, secret: bytes) -> None:
    code = JoinCode(fingerprint, secret)
    assert read_join_code(f" {code.text()}\n") == code


@given(st.text() | st.text(alphabet="join-abcdefgh234567", max_size=60))
def test_whatever_is_no_code_is_none(text: str) -> None:
    code = read_join_code(text)
    assert code is None or code.text() == text.strip().lower()
