"""A request to an `auto` entry: the smallest model that fits, of those that the key may use and that serve now."""

from collections.abc import Mapping

from parvis.core.errors import BadRequest, EngineUnavailable
from parvis.domain.catalog.auto import Choice, Task, choose, obstacle
from parvis.domain.catalog.difficulty import Matter, Scorer, input_tokens, language_of
from parvis.domain.catalog.model import LISTED, AutoPolicy, Capability, Model
from parvis.flows.permit import refuse_control_tokens
from parvis.flows.ports import House, Sink
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest

REASONS_MAX = 3


def choose_model(house: House, prepared: PreparedKey, request: InferenceRequest, entry: Model, sink: Sink) -> Model:
    """The model that serves this request in the place of the entry; the caller is told which, and why.

    Raises BadRequest when none fits, EngineUnavailable when none of those that do serves now.
    """
    needs = (Capability.CHAT, *request.capabilities)
    if "reasoning_effort" in request.extras:
        needs = (*needs, Capability.REASONING)
    matter = Matter(tuple(request.body.texts()), needs, request.output_tokens_max)
    named = (house.directory.model(one.model) for one in policy_of(entry).candidates)
    usable = {model.id: model for model in named if model is not None and model.id in prepared.model_ids}
    serving = {model_id for model_id, model in usable.items() if house.fleet.serves(model.engine)}
    choice = chosen_of(entry, matter, house.scorer, usable, serving)
    sink.chosen(choice.model.id, f"{entry.id}; {choice.why}")
    refuse_control_tokens(choice.model, request)
    return choice.model


def chosen_of(entry: Model, matter: Matter, scorer: Scorer, usable: Mapping[str, Model], serving: set[str]) -> Choice:
    """The choice among usable models that are listed and serve. Raises BadRequest, EngineUnavailable: see above."""
    policy = policy_of(entry)
    task = Task(
        input_tokens(matter.texts),
        matter.output_tokens,
        matter.needs,
        policy.language or language_of(matter.texts),
        min(1.0, max(0.0, scorer(matter))),
    )
    listed = {model_id: model for model_id, model in usable.items() if model.state in LISTED}
    choice = choose(policy, task, {model_id: model for model_id, model in listed.items() if model_id in serving})
    if choice is not None:
        return choice
    reasons = [obstacle(policy, task, model) for model in listed.values()]
    if None in reasons:
        raise EngineUnavailable(
            f"No model of '{entry.id}' that fits this request can take it right now. Try again shortly.",
            retry_after_s=2,
        )
    said = "; ".join(reason for reason in reasons[:REASONS_MAX] if reason) or "none is there for this key"
    raise BadRequest(
        f"No model of '{entry.id}' fits this request: {said}. Shorten the input, lower max_tokens, or name a model.",
        code="model_does_not_fit",
        param="model",
    )


def policy_of(entry: Model) -> AutoPolicy:
    """That of an entry that chooses; any other chooses among none."""
    return entry.auto or AutoPolicy(())
