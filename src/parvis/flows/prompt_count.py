"""How many tokens a prompt has, asked of the engine that serves its model: for requests that are nearly too dear."""

from typing import Protocol

from parvis.core.errors import EngineUnavailable
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.replica import Replica
from parvis.flows.ports import Fleet
from parvis.flows.request import InferenceRequest


class TextCounter(Protocol):
    """The tokenizer of an engine."""

    async def count(self, replica: Replica, engine_model: str, text: str) -> int | None:
        """Tokens of the text alone; None where the replica does not say. Never raises Failure."""


class PromptCount:
    """The `PromptCounter` of a gateway.

    Texts are counted by the tokenizer; what stands between them (roles, marks, names of tools, images) is still bounded
    by its bytes in the request, and the template by the model's own allowance.
    """

    def __init__(self, fleet: Fleet, tokenizer: TextCounter) -> None:
        self._fleet = fleet
        self._tokenizer = tokenizer

    async def count_prompt(self, request: InferenceRequest, model: Model) -> int | None:
        """See the port."""
        text = "\n".join(request.body.texts())
        try:
            placement = self._fleet.place_now(Ask(model.engine))
        except EngineUnavailable:
            return None
        if placement is None:
            return None
        try:
            tokens = await self._tokenizer.count(placement.replica, model.engine_model, text)
        finally:
            self._fleet.release(placement)
        if tokens is None:
            return None
        texts_bytes = sum(len(one.encode()) for one in request.body.texts())
        between_bytes = max(request.input_bytes - texts_bytes, 0)
        return tokens + between_bytes + model.template_tokens * request.prompts
