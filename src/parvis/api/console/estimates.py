"""`POST /v1/estimate`: what a request would cost, before it is made."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.web.admission import checked_tenant
from parvis.api.web.answers import Estimate as EstimateShown
from parvis.api.web.routes import TheActor, lies_in
from parvis.api.web.shapes import Json, money_shape, price_shape
from parvis.core.errors import BadRequest
from parvis.domain.catalog.auto import Choice
from parvis.domain.catalog.difficulty import Matter
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.scope import ANYTHING
from parvis.flows.auto import chosen_of
from parvis.flows.estimates import Estimate, Offer, Question, auto_entry, estimate, offers_to
from parvis.flows.keys import tenant_named
from parvis.flows.reach import place_of
from parvis.wire.chat import read_chat
from parvis.wire.chat_shapes import ChatBody

Name = Annotated[str, Field(min_length=1, max_length=200)]
Tokens = Annotated[int, Field(ge=0, le=10**7)]
NOT_OF_A_CHAT = ("tenant_id", "input", "capabilities")
Prompt = ChatBody | tuple[str, ...]
"""A chat, or texts."""


class EstimateForm(BaseModel):
    """The body of a chat, or texts in `input`; without a model the cheapest that fits. Other fields are a chat's."""

    model_config = ConfigDict(extra="allow")
    tenant_id: Name | None = None
    """Of a person who reaches several."""
    model: Name | None = None
    messages: Annotated[list[dict[str, Any]], Field(max_length=10_000)] | None = None
    input: str | Annotated[list[str], Field(max_length=10_000)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    capabilities: Annotated[list[Capability], Field(max_length=10)] = []

    def prompt(self) -> Prompt:
        """What a model would read. Raises BadRequest, naming the field."""
        if (self.messages is None) == (self.input is None):
            raise BadRequest("Send either 'messages' or 'input'.", param="messages")
        if self.input is not None:
            if unknown := next(iter(self.model_extra or ()), None):
                raise BadRequest(
                    f"There is no parameter '{unknown[:100]}' beside 'input'.", code="unknown_parameter", param=unknown
                )
            return (self.input,) if isinstance(self.input, str) else tuple(self.input)
        body = self.model_dump(exclude_unset=True, exclude=set(NOT_OF_A_CHAT))
        return read_chat(msgspec.json.encode({**body, "model": self.model or "any"}))

    def question(self, prompt: Prompt) -> Question:
        """What is asked of the catalogue."""
        chat = isinstance(prompt, ChatBody)
        needs = dict.fromkeys((*((Capability.CHAT,) if chat else ()), *self.capabilities))
        if isinstance(prompt, ChatBody) and prompt.tools:
            needs[Capability.TOOLS] = None
        return Question(
            model=self.model,
            characters=sum(map(len, prompt.texts() if isinstance(prompt, ChatBody) else prompt)),
            output_tokens_max=self.max_completion_tokens if self.max_tokens is None else self.max_tokens,
            choices=self.n or 1,
            needs=tuple(needs),
        )


async def make(request: Request, desk: TheDesk, actor: TheActor, form: EstimateForm) -> Annotated[Json, EstimateShown]:
    """Tokens by the model's own tokenizer, and the least and the most that the request can cost."""
    prompt = form.prompt()
    if actor.key is not None:
        tenant, scope = await tenant_named(desk.store, actor.key.tenant_id), actor.key.scope
    else:
        tenant = await checked_tenant(desk.store, actor, Permission.ESTIMATES_READ, form.tenant_id)
        scope = ANYTHING
    lies_in(request, place_of(tenant))
    offers = await offers_to(desk.store, tenant, desk.clock.unix_ms(), scope)

    question, chosen = form.question(prompt), None
    entry = await auto_entry(desk.store, tenant, scope, form.model) if form.model else None
    if entry is not None:
        choice = _choose(desk, entry, offers, prompt, question)
        question, chosen = replace(question, model=choice.model.id), {"name": entry.id, "why": choice.why}

    async def count(model: Model) -> int | None:
        return await desk.count_prompt(model, prompt)

    return _shown(await estimate(offers, question, count), chosen)


def _choose(desk: ConsoleDesk, entry: Model, offers: Sequence[Offer], prompt: Prompt, asked: Question) -> Choice:
    """The model that would serve, as gateways choose it. Raises BadRequest, EngineUnavailable."""
    needs = dict.fromkeys((Capability.CHAT, *asked.needs))
    if isinstance(prompt, ChatBody) and prompt.reasoning_effort is not None:
        needs[Capability.REASONING] = None
    texts = prompt.texts() if isinstance(prompt, ChatBody) else prompt
    matter = Matter(tuple(texts), tuple(needs), asked.output_tokens_max)
    usable = {offer.model.id: offer.model for offer in offers}
    pools = desk.serving()
    serving = {offer.model.id for offer in offers if offer.model.engine in pools}
    return chosen_of(entry, matter, desk.scorer, usable, serving)


def _shown(found: Estimate, chosen: Json | None) -> Json:
    classes = ("input", "cached", "output", "reasoning")
    return {
        "object": "estimate",
        "model": found.offer.model.id,
        "chosen": chosen,
        "estimated": found.estimated,
        "tokens": {"input": found.input_tokens, "output_max": found.output_tokens_max},
        "cost": {"least": money_shape(found.least), "most": money_shape(found.most)},
        "cost_by_class": dict(zip(classes, map(money_shape, found.by_class), strict=True)),
        "batch_cost": {"least": money_shape(found.batch_least), "most": money_shape(found.batch_most)},
        "prices": price_shape(found.offer.prices),
    }
