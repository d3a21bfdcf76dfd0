"""Every link leads somewhere, every path and name that the tour shows exists, and a decision fits on a page."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "parvis"
TOUR = ROOT / "docs" / "tour.md"
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"})
DECISIONS = sorted((ROOT / "docs" / "adr").glob("000[1-9]-*.md"))
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")
PATH = re.compile(r"(?:src|tests|docs|bench|requirements)/[\w./-]+")
MADE_BY_THE_BENCH = ROOT / "bench" / "results"
PAGE_LINES_MAX = 70
TOUR_WORDS_MAX = 1_800
"""Ten minutes, with a look at each file."""


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[tuple[str, Path]]:
    """(text, target) of the links that stay in the house."""
    found = LINK.findall(page.read_text())
    return [(text, (page.parent / target).resolve()) for text, target, _ in found if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = [str(target) for _, target in links(page) if not target.exists() and target != MADE_BY_THE_BENCH]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = [path for code in re.findall(r"`([^`\n]+)`", page.read_text()) for path in PATH.findall(code)]
    assert [path for path in named if not (ROOT / path).exists() and ROOT / path != MADE_BY_THE_BENCH / ""] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_verb_of_make_exists(page: Path) -> None:
    verbs = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", page.read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one or other for one, other in verbs} <= targets


def test_the_texts_of_the_tours_links_are_their_files() -> None:
    assert [text for text, target in links(TOUR) if text.endswith(".py") and not str(target).endswith(f"/{text}")] == []


def test_the_tours_picture_shows_files_that_exist() -> None:
    picture = re.search(r"```text\n(.*?)```", TOUR.read_text(), re.DOTALL)
    assert picture is not None
    shown = re.findall(r"[\w/]+\.py", picture[1])
    assert len(shown) == 4
    assert [path for path in shown if not (SOURCE / path).exists()] == []


def test_every_name_of_the_tour_exists() -> None:
    """`Desk.answer` is a method of that class; `serve` and `Settled` are defined somewhere."""
    trees = [ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")]
    classes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    methods = {
        f"{name}.{step.name}"
        for name, node in classes.items()
        for step in node.body
        if isinstance(step, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    defined = classes.keys() | {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    text = TOUR.read_text()
    methodical = set(re.findall(r"`([A-Z]\w+\.\w+)`", text))
    assert {"Desk.answer", "HttpEngine.start"} <= methodical
    assert methodical - methods == set()
    stories = {"authorize", "bounds", "charge", "cost_max", "dispatch", "serve"}
    assert stories <= set(re.findall(r"`(\w+)`", text))
    assert set(re.findall(r"`([A-Z][a-z]\w+)`", text)) - defined - {"Host"} == set()
    assert stories <= defined


def test_the_tour_takes_ten_minutes() -> None:
    text = LINK.sub(r"\1", TOUR.read_text())
    assert len(re.findall(r"\w+", text)) <= TOUR_WORDS_MAX


@pytest.mark.parametrize("page", DECISIONS, ids=page_name)
def test_a_decision_fits_on_a_page(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= PAGE_LINES_MAX
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in {"Context", "Decision", "Consequences"}] == [
        "Context",
        "Decision",
        "Consequences",
    ]
