"""What a request leaves open is answered as llama.cpp would, and what it says stays said."""

import pytest

from parvis.adapters.openvino.asked import CompletionAsked
from parvis.adapters.openvino.plan import plan

USUAL = {"temperature": 0.8, "top_p": 0.95, "top_k": 40, "min_p": 0.05}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, USUAL),
        ({"temperature": 1.5, "top_k": 7}, USUAL | {"temperature": 1.5, "top_k": 7}),
        ({"top_p": 1.0, "min_p": 0.5}, USUAL | {"top_p": 1.0, "min_p": 0.5}),
    ],
)
def test_what_is_left_open_is_the_usual(said: dict[str, float], meant: dict[str, float]) -> None:
    settings = plan(CompletionAsked(prompt="", **said), 0, 8, logprobs=False)  # type: ignore[arg-type]  # by name
    assert {name: round(getattr(settings, name), 6) for name in USUAL} == meant
    assert settings.do_sample


@pytest.mark.parametrize("off", [{"top_k": -1}, {"top_k": 0}, {"min_p": 0.0}])
def test_what_is_switched_off_is_off(off: dict[str, int]) -> None:
    ours = plan(CompletionAsked(prompt="", **off), 0, 8, logprobs=False)  # type: ignore[arg-type]  # by name
    none = type(ours)()
    assert [getattr(ours, name) for name in off] == [getattr(none, name) for name in off]


@pytest.mark.parametrize("said", [{"temperature": 0.0}, {"top_p": 0.0}])
def test_no_temperature_is_no_sampling(said: dict[str, float]) -> None:
    asked = CompletionAsked(prompt="", **said)  # type: ignore[arg-type]  # by name
    assert not plan(asked, 0, 8, logprobs=False).do_sample
