"""The scorer that the settings name: loaded at the start, or the start says why not."""

from pathlib import Path

import pytest

from parvis.app.scorer import scorer_of
from parvis.core.errors import Misconfigured
from parvis.domain.catalog.difficulty import Matter, difficulty
from parvis.settings import Auto, Settings


def test_without_a_name_it_is_ours() -> None:
    assert scorer_of(Settings(Path("/nowhere"))) is difficulty


def test_a_named_function_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_scorer.py").write_text("def by_length(matter):\n    return len(matter.texts[-1]) / 100\n")
    monkeypatch.syspath_prepend(tmp_path)
    scorer = scorer_of(Settings(Path("/nowhere"), auto=Auto("our_scorer:by_length")))
    assert scorer(Matter(("x" * 40,))) == pytest.approx(0.4)


@pytest.mark.parametrize("named", ["", "nothing", "no_such_module:score", "json:no_such", "json:__name__", ":score"])
def test_one_that_is_not_there_is_said(named: str) -> None:
    settings = Settings(Path("/nowhere"), auto=Auto(named or "json"))
    with pytest.raises(Misconfigured, match=r"auto\.scorer = "):
        scorer_of(settings)
