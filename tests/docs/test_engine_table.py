"""The table of promises in the documents is what the tests of the engines expect."""

from pathlib import Path

import pytest

from parvis.testing.engine_table import RUN, Notes, cell, renewed
from parvis.testing.sameness_suite import SAMENESS_PROMISES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engines.md"


def test_the_table_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page == renewed(page), "Type: python -m parvis.testing.engine_table docs/reference/engines.md"


def test_a_gap_has_its_reason() -> None:
    notes = Notes()
    told = {cell(kind, promise, notes) for kind in RUN for promise in SAMENESS_PROMISES}
    assert "run" in told
    assert told <= {"run", "played"} | {f"[{number}]" for number in notes.reasons.values()}


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        renewed("# Engines\n")
