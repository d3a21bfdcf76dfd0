"""The bench of the engine room: it measures a real service, writes its page, and its arithmetic is right."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from parvis.testing.processes import fake_engine

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
sys.path.insert(0, str(BENCH))

import crowd  # noqa: E402 - scripts that import one another
import engine_goals  # noqa: E402
import engine_page  # noqa: E402
import engine_readme  # noqa: E402
import engine_stages  # noqa: E402
import lines  # noqa: E402
from engine import Service  # noqa: E402

BENCH_S_MAX = 110
LAYOUT = "llama.cpp Q4_1"
Row = dict[str, Any]


@pytest.mark.alone
def test_a_short_run_measures_and_reports(tmp_path: Path) -> None:
    what = ("--only", "throughput,embeddings,start,soak", "--layouts", LAYOUT, "--streams", "2", "--starts", "0")
    short = ("--rounds", "1", "--seconds", "1", "--minutes", "0.05", "--name", "smoke", "--out", str(tmp_path))
    command = [sys.executable, str(BENCH / "engine_room.py"), "--interpreted", *what, *short]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BENCH_S_MAX)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    rows = [json.loads(line) for line in (tmp_path / "smoke.jsonl").read_text().splitlines()]
    kinds = [row["kind"] for row in rows]
    assert set(kinds) == {"conditions", "start", "steady", "burst", "embeddings", "soak"}
    assert all(row["failed"] == 0 for row in rows if "failed" in row)
    (steady,) = (row for row in rows if row["kind"] == "steady")
    assert steady["tokens_per_s"] > 0
    assert all(steady["cpu_s"][role] > 0 for role in ("gateway", "engine", "generator"))
    (soak,) = (row for row in rows if row["kind"] == "soak")
    assert soak["samples"][0]["rss_mib"]["gateway"][0] > 0
    assert soak["growth_percent"] == {}, "three seconds are too short to tell"

    page = (tmp_path / "engine-room.md").read_text()
    assert f"`{LAYOUT}`" in page
    for image in re.findall(r"\]\(([^)]+\.svg)\)", page):
        assert ET.parse(tmp_path / image).getroot().tag.endswith("svg")  # noqa: S314 - our own file


@pytest.mark.alone
def test_the_readmes_say_what_the_results_say() -> None:
    shown = re.search(r"`bench/(results/[\w.-]+\.jsonl)`", (ROOT / "docs/reference/engine-room.md").read_text())
    assert shown is not None
    command = [sys.executable, "engine_readme.py", shown[1], "--check"]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False, timeout=BENCH_S_MAX)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------- the generator


@contextmanager
def served(**options: Any) -> Iterator[Service]:
    """The fake engine, asked without a gateway."""
    with fake_engine(model="chat", flavour="vllm") as engine:
        engine.faults(**options)
        yield Service(f"{engine.address}/v1", "", "chat")


async def played(service: Service, users: int, seconds: float, *, again: bool) -> crowd.Crowd:
    """A crowd that was there for so long, or until all had their answers."""
    people = crowd.Crowd(service, users, again=again)
    await people.ask(8)
    if again:
        await asyncio.sleep(seconds)
    else:
        await people.finished(seconds)
    people.leave()
    return people


def test_a_crowd_counts_what_usage_counts() -> None:
    with served(tokens=8, gap_ms=1) as service:
        people = asyncio.run(played(service, 5, 20, again=False))
    assert [answer.failure for answer in people.answers] == [""] * 5
    assert [answer.tokens for answer in people.answers] == [8] * 5
    assert all(answer.asked_s < answer.first_s <= answer.end_s for answer in people.answers)
    assert crowd.tokens_of(people.texts, people.answers) == 40


def test_who_has_an_answer_asks_again_on_the_same_connection() -> None:
    with served(tokens=2, gap_ms=1) as service:
        people = asyncio.run(played(service, 3, 1, again=True))
    whole = [answer for answer in people.answers if answer.end_s]
    assert len(whole) > 6
    assert not crowd.failures(people.answers)


def test_a_cut_stream_is_a_failure() -> None:
    with served(tokens=50, gap_ms=1, cut_after=3) as service:
        people = asyncio.run(played(service, 2, 20, again=False))
    assert len(crowd.failures(people.answers)) == 2


def test_a_refusal_is_a_failure_and_no_storm() -> None:
    with served(tokens=2, gap_ms=1) as service:
        people = asyncio.run(played(Service(f"{service.base_url}/none", "", "chat"), 2, 1.2, again=True))
    assert all(found.startswith("refused: 404") for found in crowd.failures(people.answers))
    assert 4 <= len(people.answers) <= 6


# ---------------------------------------------------------------------------------------------- the arithmetic


def answer(asked_s: float, first_s: float, texts: int = 0, tokens: int = 0) -> crowd.Answer:
    return crowd.Answer(asked_s, first_s, texts=texts, tokens=tokens)


def test_events_become_tokens_by_the_answers_that_ended() -> None:
    ended = [answer(1, 2, texts=10, tokens=11), answer(1, 2, texts=30, tokens=33)]
    assert crowd.tokens_of(100, [*ended, answer(1, 2, texts=7)]) == pytest.approx(110)
    assert crowd.tokens_of(100, []) == 100


def test_a_percentile_is_a_bound_while_somebody_waits_who_may_belong_below_it() -> None:
    seen = [answer(10, 10.1), answer(10, 10.2), answer(10, 10.3)]
    cases = ((seen, 200, True), ([*seen, answer(10, 0)], 200, True), ([*seen, answer(19.95, 0)], 100, False))
    for answers, ms, exact in cases:
        found = crowd.first_token(answers, 50, 20)
        assert found is not None
        assert found.ms == pytest.approx(ms)
        assert found.exact is exact
    assert crowd.first_token([], 50, 20) is None


def test_growth_is_that_between_two_minutes() -> None:
    samples = [{"second": second, "rss_mib": {"engine": [100 + second / 60, 50]}} for second in range(0, 1_801, 10)]
    grown = engine_stages.growth_percent(samples)
    assert grown["engine"] == pytest.approx((29.6 - 5.4) / 155.4 * 100, rel=0.05)
    assert engine_stages.growth_percent(samples[:40]) == {}


def steady(round_number: int, tokens: float, gateway_s: float) -> Row:
    used = {"gateway": gateway_s, "control": 0.1, "supervisor": 0.0, "engine": 9.4 - gateway_s, "generator": 0.5}
    row = {"kind": "steady", "layout": LAYOUT, "users": 64, "round": round_number, "cpu_s": used, "failed": 0}
    return {**row, "tokens_per_s": tokens, "first_token_ms_p50": 210.0, "first_token_ms_p50_exact": round_number == 0}


def test_goals_are_judged_by_medians_and_no_bound_is_a_success() -> None:
    rows = [steady(0, 400.0, 0.4), steady(1, 450.0, 0.5)]
    assert engine_goals.figure(rows, LAYOUT, "steady", "tokens_per_s", users=64).text() == "425"
    assert engine_goals.figure(rows, LAYOUT, "steady", "first_token_ms_p50", users=64).text() == "> 210"
    assert engine_goals.share_percent(rows, LAYOUT, "gateway", 64).value == pytest.approx(4.5)
    assert engine_goals.tokens(64).held(rows, LAYOUT)
    assert engine_goals.tokens(128).held(rows, LAYOUT) is None
    burst = {"kind": "burst", "layout": LAYOUT, "users": 4, "first_token_ms_p50": 120.0}
    assert engine_goals.first(4, 200).held([burst], LAYOUT)
    assert not engine_goals.first(4, 200).held([{**burst, "first_token_ms_p50_exact": False}], LAYOUT)
    assert not engine_goals.first(4, 100).held([burst], LAYOUT)
    assert "not held" not in engine_page.verdict(rows)
    assert "1 of" not in engine_page.verdict(rows[:0])


def test_the_readme_shows_the_layout_that_is_chosen() -> None:
    rows = [steady(0, 400.0, 0.4), {**steady(0, 300.0, 0.4), "layout": "openvino 1x2"}]
    assert engine_readme.shown_layout(rows) == LAYOUT, "the most tokens a second"
    told = "OpenVINO, 1 replica of 2 threads (2 cores): the earliest first token."
    start = {"kind": "start", "layout": "as chosen", "told": told, "seconds": 3.0}
    assert engine_readme.shown_layout([*rows, start]) == "openvino 1x2"


def test_marks_reach_what_is_shown() -> None:
    assert lines.marks(765) == [0, 200, 400, 600, 800]
    assert lines.marks(0) == [0.0, 1.0]
    drawn = lines.lines("a < b", "streams", [("x", [(1, 5.0), (128, 7.0)])], doubling=True)
    assert ET.fromstring(drawn).get("aria-label") == "a < b"  # noqa: S314 - our own text
