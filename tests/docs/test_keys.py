"""What scanners are told of keys is what the code does."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from parvis.core.secret import Secret
from parvis.domain.identity.key_text import new_key, read_key, write_key

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text()
FORM = next(line for line in PAGE.splitlines() if line.startswith("sk-parvis_["))
EXAMPLE = re.findall(r'EXAMPLE = "(.*)"', PAGE)[0]


@given(st.binary(min_size=56, max_size=56))
def test_the_published_expression_finds_every_key(drawn: bytes) -> None:
    key_id, secret = new_key(lambda _: drawn)
    text = write_key(key_id, secret).reveal()
    assert re.findall(FORM, f'token="{text}";') == [text]


@given(st.from_regex(FORM, fullmatch=True))
def test_what_matches_and_has_another_checksum_is_no_key(text: str) -> None:
    _, key_id, secret, _ = text.split("_")
    assert (read_key(text) is not None) == (write_key(key_id, Secret(secret)).reveal() == text)


def test_the_worked_example_is_right_and_stands_in_the_report_too() -> None:
    assert read_key(EXAMPLE) is not None
    assert PAGE.count(EXAMPLE) == 2
    assert f'r"{FORM}"' in PAGE
