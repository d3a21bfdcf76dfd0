"""The catalogue's diff and its rules."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.changes import ChangeKind, plan
from parvis.domain.catalog.model import Capability, Model, ModelState
from parvis.domain.catalog.rules import faults, free_aliases

MODEL = entry("acme-7b", engine="gpu", context_tokens=4096)
NAMES = st.sampled_from(["a", "b", "c", "d"])
MODELS = st.builds(
    Model,
    id=NAMES,
    engine=st.just("gpu"),
    engine_model=st.just("m"),
    context_tokens=st.integers(1, 9),
    capabilities=st.just((Capability.CHAT,)),
    state=st.sampled_from(ModelState),
    licence=st.text(max_size=3),
)
CATALOGUES = st.lists(MODELS, unique_by=lambda model: model.id)


@given(CATALOGUES, CATALOGUES)
def test_a_plan_leads_to_what_was_wanted_and_nowhere_else(current: list[Model], wanted: list[Model]) -> None:
    known = {model.id: model for model in current}
    for change, model in zip(plan(current, wanted), wanted, strict=True):
        before = known.get(model.id)
        assert change.model == model
        assert (change.kind is ChangeKind.SAME) == (before == model)
        if before is not None:
            differing: dict[str, Any] = {field.name: field.after for field in change.fields}
            assert replace(before, **differing) == model


@given(CATALOGUES)
def test_a_plan_for_what_is_there_is_empty(current: list[Model]) -> None:
    assert {change.kind for change in plan(current, current)} <= {ChangeKind.SAME}


def test_a_new_entry_shows_what_was_said_of_it() -> None:
    [change] = plan([], [MODEL])
    assert [field.name for field in change.fields] == ["id", "engine", "engine_model", "context_tokens", "capabilities"]


def test_a_change_shows_both_values() -> None:
    [change] = plan([MODEL], [replace(MODEL, licence="MIT")])
    assert [(field.name, field.before, field.after) for field in change.fields] == [("licence", "", "MIT")]


def test_the_builtin_entries_are_sound_together() -> None:
    chat = entry("smollm2-135m-instruct", engine="smollm2", context_tokens=8192)
    embedding = entry("all-minilm-l6-v2", engine="minilm", context_tokens=4096, embedding=True)
    assert faults([chat, embedding, MODEL]) == []
    assert (chat.parameters, chat.licence) == (134_515_008, "Apache-2.0")
    assert (embedding.dimensions, embedding.context_tokens) == (384, 512)


def test_of_an_unknown_model_nothing_is_guessed() -> None:
    known = {"id", "engine", "engine_model", "context_tokens", "capabilities"}
    said = {field.name for field in fields(MODEL) if getattr(MODEL, field.name) != field.default}
    assert said == known
    assert entry("e", engine="x", context_tokens=9, embedding=True).capabilities == (Capability.EMBEDDINGS,)
    assert entry("e", engine="x", engine_model="other", context_tokens=9).engine_model == "other"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "no spaces"},
        {"id": ""},
        {"aliases": ("\x1b",)},
        {"engine": ""},
        {"context_tokens": 0},
        {"capabilities": ()},
        {"production_on": "14/07/2026"},
        {"end_of_support_on": "20260714"},
        {"parameters": -1},
        {"dimensions": 1 << 63},
    ],
)
def test_an_unsound_entry_is_named(wrong: dict[str, Any]) -> None:
    assert len(faults([replace(MODEL, **wrong)])) == 1


def test_a_name_belongs_to_one_model() -> None:
    assert (
        "'acme-7b' is used by 'acme-7b', 'other'"
        in faults([MODEL, replace(MODEL, id="other", aliases=("acme-7b",))])[0]
    )


def test_a_taken_alias_is_not_free() -> None:
    model = replace(MODEL, aliases=("default", "small"))
    other = replace(MODEL, id="other", aliases=("default",))
    assert free_aliases(model, [other, model]) == ("small",)
