"""Who runs, who waits, who gets the kept answer, whatever the order in which requests under one key come and end."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.metering.claim import KEPT_MS, Claim, ClaimState, Earlier, Verdict, judge

MINE = Claim("tenant", "key", "body", "ask 2", "gw", KEPT_MS)
RUNNING = Earlier("body", "ask 1", ClaimState.RUNNING, run_ended=False, at_unix_ms=1)


@pytest.mark.parametrize(
    ("earlier", "verdict"),
    [
        (None, Verdict.RUN),
        (RUNNING, Verdict.WAIT),
        (Earlier("body", "ask 2", ClaimState.RUNNING, run_ended=False, at_unix_ms=1), Verdict.RUN),
        (Earlier("body", "ask 1", ClaimState.RUNNING, run_ended=True, at_unix_ms=1), Verdict.RUN),
        (Earlier("other", "ask 1", ClaimState.RUNNING, run_ended=True, at_unix_ms=1), Verdict.RUN),
        (Earlier("other", "ask 1", ClaimState.RUNNING, run_ended=False, at_unix_ms=1), Verdict.REUSED),
        (Earlier("other", "ask 1", ClaimState.KEPT, run_ended=True, at_unix_ms=1), Verdict.REUSED),
        (Earlier("body", "ask 1", ClaimState.KEPT, run_ended=True, at_unix_ms=1), Verdict.REPLAY),
        (Earlier("body", "ask 1", ClaimState.NOT_KEPT, run_ended=True, at_unix_ms=1), Verdict.NOT_KEPT),
        (Earlier("other", "ask 1", ClaimState.KEPT, run_ended=False, at_unix_ms=0), Verdict.RUN),
    ],
)
def test_what_stands_under_a_key_decides(earlier: Earlier | None, verdict: Verdict) -> None:
    assert judge(MINE, earlier) is verdict


Step = tuple[Literal["send", "answer", "fail", "die"], int]


@dataclass
class Key:
    """One key, as the store has it, and what callers saw of it."""

    row: Earlier | None = None
    running: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    def take(self, step: Step, now: int) -> None:
        what, number = step
        if what == "send":
            body = "other" if number % 5 == 0 else "body"
            claim = Claim("tenant", "key", body, f"ask {number}", "gw", now)
            verdict = judge(claim, self.row)
            if verdict is Verdict.RUN:
                assert not self.running - {claim.ask}, "two run at once"
                assert not self.answered, "it was answered before"
                self.row = Earlier(body, claim.ask, ClaimState.RUNNING, run_ended=False, at_unix_ms=now)
                self.running = {claim.ask}
            elif verdict is Verdict.WAIT:
                assert self.running
            elif verdict is Verdict.REPLAY:
                assert self.answered == {body}
        elif self.row is not None and self.row.state is ClaimState.RUNNING:
            match what:
                case "answer":
                    self.row = Earlier(
                        self.row.fingerprint, self.row.ask, ClaimState.KEPT, run_ended=False, at_unix_ms=now
                    )
                    self.answered = {self.row.fingerprint}
                case "fail":
                    self.row = None
                case "die":
                    self.row = Earlier(
                        self.row.fingerprint, self.row.ask, self.row.state, run_ended=True, at_unix_ms=now
                    )
            self.running = set()


@given(st.lists(st.tuples(st.sampled_from(["send", "send", "answer", "fail", "die"]), st.integers(0, 9)), max_size=30))
def test_at_most_one_runs_and_none_after_an_answer(steps: list[Step]) -> None:
    key = Key()
    for now, step in enumerate(steps):
        key.take(step, now)
