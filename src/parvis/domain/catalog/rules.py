"""What makes a catalogue sound: each entry in itself, and all of them by their names."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from parvis.domain.catalog.model import AutoPolicy, Capability, Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
CONTEXT_TOKENS_MAX = 1 << 24


def faults(models: Sequence[Model]) -> list[str]:
    """One sentence for each thing that is wrong; none when the catalogue is sound."""
    each = [fault for model in models for fault in _faults(model)]
    return [*each, *_name_clashes(models), *_candidate_faults(models)]


def free_aliases(model: Model, others: Sequence[Model]) -> tuple[str, ...]:
    """The aliases of this model that nothing else is called by."""
    taken = {name for other in others if other.id != model.id for name in _names(other)}
    return tuple(alias for alias in model.aliases if alias not in taken)


def _faults(model: Model) -> Iterator[str]:
    for name in _names(model):
        if not _NAME.fullmatch(name):
            yield f"'{name[:140]}' is no model name: use letters, digits and . _ : / - (128 at most)."
    yield from _engine_faults(model) if model.auto is None else _auto_faults(model, model.auto)
    yield from _date_faults(model)
    yield from _count_faults(model)


def _engine_faults(model: Model) -> Iterator[str]:
    if not model.engine or not model.engine_model:
        yield f"'{model.id}' needs an engine and the engine's name for it."
    if not 0 < model.context_tokens <= CONTEXT_TOKENS_MAX:
        yield f"'{model.id}' has a context of {model.context_tokens} tokens; it can be 1 to {CONTEXT_TOKENS_MAX}."
    if not model.capabilities:
        yield f"'{model.id}' needs at least one capability."


def _auto_faults(model: Model, policy: AutoPolicy) -> Iterator[str]:
    if model.engine or model.engine_model or model.context_tokens or model.capabilities:
        yield f"'{model.id}' chooses a model ('auto'), so engine, context and capabilities are not said of it."
    names = [one.model for one in policy.candidates]
    if not names or len(set(names)) < len(names):
        yield f"'{model.id}' needs candidates, each of them once."
    for one in policy.candidates:
        if not 0.0 <= one.difficulty_max <= 1.0:
            yield f"'{model.id}' says {one.difficulty_max} for '{one.model[:140]}'; a difficulty is between 0 and 1."
    if not 0 < policy.answer_tokens <= CONTEXT_TOKENS_MAX:
        yield f"'{model.id}' leaves room for {policy.answer_tokens} tokens; it can be 1 to {CONTEXT_TOKENS_MAX}."


def _candidate_faults(models: Sequence[Model]) -> Iterator[str]:
    """Candidates that cannot be chosen: unknown, unable to chat, or choosing themselves."""
    known = {model.id: model for model in models}
    for model in models:
        for one in model.auto.candidates if model.auto is not None else ():
            chosen = known.get(one.model)
            if chosen is None:
                yield f"'{model.id}' cannot choose '{one.model[:140]}': the catalogue has no model of this id."
            elif chosen.auto is not None or Capability.CHAT not in chosen.capabilities:
                yield f"'{model.id}' cannot choose '{one.model}': candidates are models that can chat."


def _date_faults(model: Model) -> Iterator[str]:
    for what, value in (
        ("production_on", model.production_on),
        ("end_of_support_on", model.end_of_support_on),
    ):
        if value is not None and not _is_date(value):
            yield f"{what} of '{model.id}' is '{value[:40]}', which is no date like 2026-07-14."


def _count_faults(model: Model) -> Iterator[str]:
    counts = {
        "parameters": model.parameters,
        "speed_tokens_per_s": model.speed_tokens_per_s,
        "energy_wh_per_mtoken": model.energy_wh_per_mtoken,
        "dimensions": model.dimensions,
        "template_tokens": model.template_tokens,
        "created_unix_s": model.created_unix_s,
    }
    for what, value in counts.items():
        if value is not None and not 0 <= value < 1 << 63:
            yield f"{what} of '{model.id}' is {value}, which is no count."


def _name_clashes(models: Sequence[Model]) -> Iterator[str]:
    uses = Counter(name for model in models for name in set(_names(model)))
    for name, count in uses.items():
        if count > 1:
            owners = ", ".join(f"'{model.id}'" for model in models if name in _names(model))
            yield f"The name '{name}' is used by {owners}; each name belongs to one model."


def _names(model: Model) -> tuple[str, ...]:
    return (model.id, *model.aliases)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
