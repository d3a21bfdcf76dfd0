"""Which names a request may use, and for which models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.model import LISTED, SERVED, Capability, Model, ModelState, name_table

names = st.sampled_from("abcdef")


def model(model_id: str, *aliases: str, state: ModelState = ModelState.PRODUCTION) -> Model:
    return Model(
        id=model_id,
        engine="e",
        engine_model="m",
        context_tokens=100,
        capabilities=(Capability.CHAT,),
        aliases=aliases,
        state=state,
    )


models = st.builds(
    lambda model_id, aliases, state: model(model_id, *aliases, state=state),
    names,
    st.lists(names, max_size=3),
    st.sampled_from(ModelState),
)
catalogues = st.lists(models, max_size=6, unique_by=lambda model: model.id)


@given(catalogues)
def test_a_name_leads_to_a_served_model_that_is_called_so(catalogue: list[Model]) -> None:
    for name, found in name_table(catalogue).items():
        assert found in catalogue
        assert found.state in SERVED
        assert name == found.id or name in found.aliases


@given(catalogues)
def test_every_served_model_answers_to_its_id_whatever_others_are_called(catalogue: list[Model]) -> None:
    table = name_table(catalogue)
    assert all(table[model.id] is model for model in catalogue if model.state in SERVED)


@given(catalogues)
def test_every_alias_of_a_served_model_is_a_name(catalogue: list[Model]) -> None:
    table = name_table(catalogue)
    assert all(alias in table for model in catalogue if model.state in SERVED for alias in model.aliases)


@pytest.mark.parametrize("state", ModelState)
def test_the_state_decides_whether_a_model_is_served(state: ModelState) -> None:
    served = state not in (ModelState.PLANNED, ModelState.RETIRED)
    assert bool(name_table([model("m", state=state)])) is served
    assert (state in LISTED) == (served and state is not ModelState.EVALUATION)


def test_a_known_model_brings_its_facts_and_keeps_its_own_context() -> None:
    known = entry("smollm2-135m-instruct", engine="e", context_tokens=100_000)
    assert (known.context_tokens, known.licence) == (8192, "Apache-2.0")
    assert entry("smollm2-135m-instruct", engine="e", context_tokens=4096).context_tokens == 4096


def test_of_an_unknown_model_nothing_is_guessed() -> None:
    new = entry("new", engine="e", engine_model="x", context_tokens=100, embedding=True)
    assert new == Model(
        id="new", engine="e", engine_model="x", context_tokens=100, capabilities=(Capability.EMBEDDINGS,)
    )
    assert entry("new", engine="e", context_tokens=100).capabilities == (Capability.CHAT,)
