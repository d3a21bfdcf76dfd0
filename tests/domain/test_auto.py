"""`auto` entries: the smallest model that fits, never one that is not offered, and never a smaller one for more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.catalog.auto import Task, choose, furnished, obstacle, speaks, within_reach
from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.difficulty import Matter, difficulty, input_tokens, language_of
from parvis.domain.catalog.model import AutoCandidate, AutoPolicy, Capability, Model, ModelState
from parvis.domain.catalog.rules import faults

NAMES = ("a", "b", "c", "d")
NEEDS = st.lists(st.sampled_from([Capability.TOOLS, Capability.VISION, Capability.REASONING]), unique=True).map(tuple)
LANGUAGES = st.sampled_from(["", "en", "fr"])
UNIT = st.floats(0, 1)
MODELS = st.builds(
    lambda needs, languages, context: replace(
        entry("m", engine="e", context_tokens=context),
        capabilities=(Capability.CHAT, *needs),
        languages=tuple(language for language in languages if language),
    ),
    NEEDS,
    st.lists(LANGUAGES, max_size=2, unique=True),
    st.integers(1, 400),
)
CATALOGUES = st.lists(MODELS, min_size=1, max_size=4).map(
    lambda models: {name: replace(model, id=name) for name, model in zip(NAMES, models, strict=False)}
)
POLICIES = st.builds(
    AutoPolicy,
    st.lists(st.builds(AutoCandidate, st.sampled_from(NAMES), UNIT), unique_by=lambda one: one.model).map(tuple),
    LANGUAGES,
    st.integers(1, 100),
)
TASKS = st.builds(
    Task,
    st.integers(0, 300),
    st.none() | st.integers(1, 100),
    NEEDS.map(lambda needs: (Capability.CHAT, *needs)),
    LANGUAGES,
    UNIT,
)


def place(policy: AutoPolicy, model: Model) -> int:
    return [one.model for one in policy.candidates].index(model.id)


@given(POLICIES, TASKS, CATALOGUES)
def test_the_choice_is_the_first_that_fits(policy: AutoPolicy, task: Task, offered: dict[str, Model]) -> None:
    choice = choose(policy, task, offered)
    named = [one for one in policy.candidates if one.model in offered]
    able = [one for one in named if obstacle(policy, task, offered[one.model]) is None]
    if choice is None:
        assert not able
        return
    assert offered[choice.model.id] is choice.model
    assert choice.model.id in [one.model for one in able]
    language = policy.language or task.language
    rightly_passed = [
        task.difficulty > one.difficulty_max or not speaks(offered[one.model], language)
        for one in able[: [one.model for one in able].index(choice.model.id)]
    ]
    spoken = any(speaks(offered[one.model], language) for one in able)
    assert all(rightly_passed)
    assert speaks(choice.model, language) or not spoken


@given(POLICIES, TASKS, CATALOGUES, UNIT)
def test_a_harder_task_never_gets_a_smaller_model(
    policy: AutoPolicy, task: Task, offered: dict[str, Model], harder: float
) -> None:
    before, after = choose(policy, task, offered), choose(policy, replace(task, difficulty=harder), offered)
    assert (before is None) == (after is None)
    if before is not None and after is not None and harder >= task.difficulty:
        assert place(policy, after.model) >= place(policy, before.model)


@given(POLICIES, TASKS, CATALOGUES, st.integers(0, 300))
def test_a_longer_one_does_not_either_where_contexts_do_not_shrink(
    policy: AutoPolicy, task: Task, offered: dict[str, Model], more: int
) -> None:
    contexts = sorted(model.context_tokens for model in offered.values())
    named = [one.model for one in policy.candidates if one.model in offered]
    grown = {
        name: replace(offered[name], context_tokens=size)
        for name, size in zip(named, contexts[-len(named) :], strict=False)
    }
    before = choose(policy, task, grown)
    after = choose(policy, replace(task, input_tokens=task.input_tokens + more), grown)
    if before is None:
        assert after is None
    elif after is not None:
        assert place(policy, after.model) >= place(policy, before.model)


def test_the_choice_is_explained() -> None:
    small = replace(entry("small", engine="e", context_tokens=500), languages=("en",))
    large = entry("large", engine="e", context_tokens=5000)
    policy = AutoPolicy((AutoCandidate("small", 0.3), AutoCandidate("large", 0.6)))
    offered = {"small": small, "large": large}
    said = {
        text: (choice.model.id, choice.why)
        for text, task in {
            "easy": Task(100, 50, language="en", difficulty=0.25),
            "harder": Task(100, 50, language="en", difficulty=0.4),
            "hardest": Task(100, None, difficulty=0.9),
            "french": Task(100, 50, language="fr"),
        }.items()
        if (choice := choose(policy, task, offered)) is not None
    }
    assert said == {
        "easy": ("small", "100+50 tokens, difficulty 0.25 of 0.30, language en"),
        "harder": ("large", "100+50 tokens, difficulty 0.40 of 0.60, language en"),
        "hardest": ("large", "100+256 tokens, difficulty 0.90 too hard for all"),
        "french": ("large", "100+50 tokens, difficulty 0.00 of 0.60, language fr"),
    }
    alone = choose(policy, Task(100, 50, language="fr"), {"small": small})
    assert alone is not None
    assert alone.why.endswith("language fr (of none)")
    assert obstacle(policy, Task(400), small) == "'small' has a context of 500 tokens and this needs about 656"


def test_an_entry_shows_what_its_candidates_can_do() -> None:
    small, large = entry("small", engine="e", context_tokens=500), entry("large", engine="e", context_tokens=900)
    gone = replace(entry("gone", engine="e", context_tokens=9000), state=ModelState.RETIRED)
    policy = AutoPolicy(tuple(AutoCandidate(name) for name in ("small", "large", "gone")))
    auto = Model(id="auto", engine="", engine_model="", context_tokens=0, capabilities=(), auto=policy)
    able = replace(large, capabilities=(Capability.CHAT, Capability.TOOLS))
    catalogue = [auto, small, able, gone]
    assert faults(catalogue) == []
    shown = furnished(catalogue)[0]
    assert (shown.context_tokens, shown.capabilities) == (900, (Capability.CHAT, Capability.TOOLS))
    assert set(within_reach(catalogue, {"auto", "small"})) == {"auto", "small"}
    assert set(within_reach(catalogue, {"auto"})) == set()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"engine": "gpu"}, "not said of it"),
        ({"auto": AutoPolicy(())}, "needs candidates"),
        ({"auto": AutoPolicy((AutoCandidate("m"), AutoCandidate("m")))}, "each of them once"),
        ({"auto": AutoPolicy((AutoCandidate("m", 1.5),))}, "between 0 and 1"),
        ({"auto": AutoPolicy((AutoCandidate("m", float("nan")),))}, "between 0 and 1"),
        ({"auto": AutoPolicy((AutoCandidate("m"),), answer_tokens=0)}, "room for 0 tokens"),
        ({"auto": AutoPolicy((AutoCandidate("nobody"),))}, "no model of this id"),
        ({"auto": AutoPolicy((AutoCandidate("auto"),))}, "models that can chat"),
        ({"auto": AutoPolicy((AutoCandidate("v"),))}, "models that can chat"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(wrong: dict[str, object], said: str) -> None:
    policy = AutoPolicy((AutoCandidate("m"),))
    auto = Model(id="auto", engine="", engine_model="", context_tokens=0, capabilities=(), auto=policy)
    others = [entry("m", engine="e", context_tokens=9), entry("v", engine="e", context_tokens=9, embedding=True)]
    [fault] = faults([*others, replace(auto, **wrong)])  # type: ignore[arg-type]  # the fields of a Model
    assert said in fault


@given(st.text(), st.text())
def test_a_longer_text_is_no_easier(text: str, more: str) -> None:
    short, long = difficulty(Matter((text,))), difficulty(Matter((text, more)))
    assert 0 <= short <= long <= 1
    assert input_tokens((text,)) <= input_tokens((text, more))


def test_signs_tell_the_easy_from_the_hard() -> None:
    easy = Matter(("Hello! How are you?",))
    proof = Matter(("1. Prove that the integral of x^2 = x^3/3.\n2. Explain each step.\n3. Compare with \\sum.",))
    code = Matter(("```\ndef f(x):\n    return x\n```\nWhy must this function return x?",))
    assert difficulty(easy) < 0.1 < difficulty(code) < difficulty(proof)
    reasoning = replace(easy, needs=("reasoning", "tools", "vision"), output_tokens=4_000)
    assert 0.7 < difficulty(reasoning) < 0.8


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Bonjour, pouvez-vous me dire comment je peux aller dans la ville et les musées ?", "fr"),
        ("What is the best way to go to the museum, and how do you get there?", "en"),
        ("Wie komme ich zu dem Museum und was kann ich da machen?", "de"),
        ("¿Cómo puedo ir al museo y qué es lo más interesante para una familia?", "es"),
        ("Как пройти в музей?", "ru"),
        ("博物館はどこですか", "ja"),
        ("ok", ""),
        ("", ""),
        ("x = y + 2; f(x)", ""),
    ],
)
def test_a_language_is_guessed_or_left_open(text: str, language: str) -> None:
    assert language_of((text,)) == language
