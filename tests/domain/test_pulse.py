"""An engine process that answers no look for long enough is frozen; one that is late once is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet import pulse as pulses
from parvis.domain.fleet.health import Life
from parvis.domain.fleet.pulse import GAP_S_MAX, LOOKS_MIN, Pulse

S_MAX = 30.0
Looks = list[tuple[float, Life | None]]
looks = st.lists(st.tuples(st.floats(0.5, 2 * GAP_S_MAX), st.sampled_from([*Life, None])), max_size=40)


def verdicts(steps: Looks) -> list[tuple[float, bool]]:
    """After each look, each so long after the one before: the time, and whether it is frozen."""
    pulse, now_s, told = Pulse(0.0), 0.0, []
    for after_s, life in steps:
        now_s += after_s
        pulse.looked(life, now_s)
        told.append((now_s, pulse.frozen(S_MAX)))
    return told


def wrongs(steps: Looks) -> list[str]:
    """What must never be: it is frozen though it answered lately, or we did not look at it for so long."""
    wrong, bad_s, bad = [], 0.0, 0
    for (after_s, life), (_, frozen) in zip(steps, verdicts(steps), strict=True):
        missed = life in (Life.SILENT, Life.REFUSED) and after_s <= GAP_S_MAX
        bad_s, bad = (bad_s + after_s, bad + 1) if missed else (0.0, 0)
        if frozen is not (bad_s >= S_MAX - 1e-6 and bad >= LOOKS_MIN) and abs(bad_s - S_MAX) > 1e-6:
            wrong.append(f"frozen: {frozen} after {bad} looks in {bad_s} s")
    return wrong


@given(looks)
def test_it_is_frozen_exactly_when_nothing_good_was_seen_for_so_long(steps: Looks) -> None:
    assert wrongs(steps) == []


@pytest.mark.parametrize("life", [Life.SILENT, Life.REFUSED])
def test_one_that_never_answers_is_found(life: Life) -> None:
    found_s = next(now_s for now_s, frozen in verdicts([(5.0, life)] * 20) if frozen)
    assert found_s == S_MAX


def test_control_one_that_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: Looks = [(2 * GAP_S_MAX, Life.SILENT), (1.0, Life.SILENT), (1.0, Life.SILENT)]
    assert wrongs(steps) == []
    monkeypatch.setattr(pulses, "GAP_S_MAX", 1e9)
    assert wrongs(steps) != []
