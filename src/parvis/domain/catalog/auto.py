"""`auto` entries: which model is the smallest that fits a task. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from parvis.domain.catalog.model import LISTED, AutoPolicy, Capability, Model

NEVER_CHOSEN_FOR = frozenset({Capability.EMBEDDINGS, Capability.RERANK, Capability.AUDIO})
"""What texts of another model cannot be compared with, or what no chat is."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is known of a request before anybody reads it."""

    input_tokens: int
    """About so many: no tokenizer is asked."""
    output_tokens: int | None = None
    """Of one answer, as its caller bounds it; None where it does not."""
    needs: tuple[str, ...] = (Capability.CHAT,)
    language: str = ""
    """As `fr`; empty where nobody could tell."""
    difficulty: float = 0.0
    """0 to 1, as a scorer sees it."""


class Choice(NamedTuple):
    """The model that a task goes to, and why, in the words of a header."""

    model: Model
    why: str


def choose(policy: AutoPolicy, task: Task, candidates: Mapping[str, Model]) -> Choice | None:
    """The first of the policy's models, in its order, that fits; None when none does. `obstacle` tells why.

    `candidates`, by id, are those that may be chosen now. A model fits when it can do what is needed, has room for
    input and answer, and the task is no harder than it is chosen for. Where a model that can do it declares the
    language (or declares none), others are passed over. What is too hard for all goes to the last of them.

    A harder task never gets an earlier model; nor does a longer one, where contexts do not shrink along the order.
    """
    able = [
        (one, candidates[one.model])
        for one in policy.candidates
        if one.model in candidates and obstacle(policy, task, candidates[one.model]) is None
    ]
    language = policy.language or task.language
    fitting = [pair for pair in able if speaks(pair[1], language)] or able
    for one, model in fitting:
        if task.difficulty <= one.difficulty_max:
            return Choice(model, _why(policy, task, f"of {one.difficulty_max:.2f}", model))
    return Choice(fitting[-1][1], _why(policy, task, "too hard for all", fitting[-1][1])) if fitting else None


def obstacle(policy: AutoPolicy, task: Task, model: Model) -> str | None:
    """Why this model cannot do it at all, as part of a sentence; None when it can."""
    for need in task.needs:
        if need not in model.capabilities:
            return f"'{model.id}' cannot do '{need}'"
    tokens = task.input_tokens + _answer_tokens(policy, task)
    if tokens > model.context_tokens:
        return f"'{model.id}' has a context of {model.context_tokens} tokens and this needs about {tokens}"
    return None


def speaks(model: Model, language: str) -> bool:
    """Whether nothing that is known of the model speaks against this language."""
    return not language or not model.languages or any(_same(language, one) for one in model.languages)


def furnished(models: Sequence[Model]) -> list[Model]:
    """The same entries; those that choose with what their candidates can do: the most of context, all capabilities."""
    listed = {model.id: model for model in models if model.state in LISTED}
    return [model if model.auto is None else _furnished(model, model.auto, listed) for model in models]


def within_reach(models: Collection[Model], reached: Collection[str]) -> Iterator[str]:
    """Of the reached ids, those that lead to a model: an entry that chooses does by one of its candidates."""
    for model in models:
        if model.id in reached and (model.auto is None or any(one.model in reached for one in model.auto.candidates)):
            yield model.id


def _furnished(entry: Model, policy: AutoPolicy, listed: Mapping[str, Model]) -> Model:
    chosen = [listed[one.model] for one in policy.candidates if one.model in listed]
    can = {capability for model in chosen for capability in model.capabilities} - NEVER_CHOSEN_FOR
    return replace(
        entry,
        context_tokens=max((model.context_tokens for model in chosen), default=0),
        capabilities=tuple(capability for capability in Capability if capability in can),
        languages=tuple(sorted({language for model in chosen for language in model.languages})),
    )


def _why(policy: AutoPolicy, task: Task, measure: str, model: Model) -> str:
    said = f"{task.input_tokens}+{_answer_tokens(policy, task)} tokens, difficulty {task.difficulty:.2f} {measure}"
    language = policy.language or task.language
    if not language:
        return said
    return f"{said}, language {language}{'' if speaks(model, language) else ' (of none)'}"


def _answer_tokens(policy: AutoPolicy, task: Task) -> int:
    return policy.answer_tokens if task.output_tokens is None else task.output_tokens


def _same(one: str, other: str) -> bool:
    """`fr-CA` is `fr`."""
    return one.lower().partition("-")[0] == other.lower().partition("-")[0]
