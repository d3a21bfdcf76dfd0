"""The scorer of `auto` entries that the settings name: code of the operator's, loaded once, at the start."""

from importlib import import_module

from parvis.core.errors import Misconfigured
from parvis.domain.catalog.difficulty import Scorer, difficulty
from parvis.settings import Settings


def scorer_of(settings: Settings) -> Scorer:
    """The named function, or ours. Raises Misconfigured when there is none of this name."""
    named = settings.auto.scorer
    if not named:
        return difficulty
    module, _, function = named.partition(":")
    try:
        scorer: Scorer = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError, TypeError) as problem:
        raise Misconfigured(f"auto.scorer = {named} cannot be loaded: {problem}. Say MODULE:FUNCTION.") from None
    if not callable(scorer):
        raise Misconfigured(f"auto.scorer = {named} is no function.")
    return scorer
