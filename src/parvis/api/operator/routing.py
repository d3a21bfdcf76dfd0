"""The fleet of this moment (`/v1/fleet`), and how it routes a request, as it was or would be (`/v1/route`)."""

from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.operator.answers_routing import Decision, Fleet, SupposedRoute
from parvis.api.operator.desk import TheDesk
from parvis.api.web.instants import write_instant
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json, money_shape
from parvis.api.web.wording import Reader, TheReader
from parvis.core.errors import BadRequest
from parvis.domain.catalog.difficulty import Matter, input_tokens
from parvis.domain.catalog.model import Capability
from parvis.domain.fleet.hearing import Told
from parvis.domain.identity.permission import Permission as May
from parvis.flows.explaining import Question, explain_request, suppose
from parvis.flows.overview import PoolNow
from parvis.wire.chat import needs_vision, read_chat
from parvis.wire.completion import read_completion
from parvis.wire.embedding import read_embedding


class SupposedForm(BaseModel):
    """The body of a request as it would be sent with this key: a chat, a completion or an embedding."""

    model_config = ConfigDict(extra="forbid")
    key_id: Annotated[str, Field(min_length=1, max_length=200)]
    request: dict[str, Any]

    def question(self) -> Question:
        """What routing would read of it. Raises BadRequest, naming the field."""
        body = msgspec.json.encode(self.request)
        if "messages" in self.request:
            return self._chat(body)
        if "prompt" in self.request:
            completion = read_completion(body)
            texts, most = tuple(completion.prompts()), completion.max_tokens
            return self._asked(completion.model, Matter(texts, (Capability.CHAT,), most))
        if "input" in self.request:
            embedding = read_embedding(body)
            return self._asked(embedding.model, Matter(tuple(embedding.inputs()), (Capability.EMBEDDINGS,), 0))
        raise BadRequest("The request needs 'messages', 'prompt' or 'input'.", param="request")

    def _chat(self, body: bytes) -> Question:
        chat = read_chat(body)
        asked = (
            (Capability.CHAT, True),
            (Capability.TOOLS, bool(chat.tools and chat.tool_choice != "none")),
            (Capability.VISION, needs_vision(chat)),
            (Capability.REASONING, chat.reasoning_effort is not None),
        )
        needs = tuple(need for need, wanted in asked if wanted)
        return self._asked(
            chat.model, Matter(tuple(chat.texts()), needs, chat.max_completion_tokens or chat.max_tokens)
        )

    def _asked(self, model: str, matter: Matter) -> Question:
        return Question(self.key_id, model, matter, input_tokens(matter.texts) + (matter.output_tokens or 0))


async def was(desk: TheDesk, reader: TheReader, request_id: str) -> Annotated[Json, Decision]:
    """The last decision about a request, with every candidate as it was. Gateways remember 4,096 each."""
    return _shown(reader, await explain_request(desk.witnesses, request_id))


async def would_be(desk: TheDesk, reader: TheReader, form: SupposedForm) -> Annotated[Json, SupposedRoute]:
    """What each gateway would decide about such a request now. Nothing is sent anywhere, and nothing is kept."""
    found = await suppose(desk.store, desk.witnesses, desk.scorer, desk.serving(), form.question())
    return {
        "object": "route.supposed",
        "model": found.model.id,
        "chosen": {"name": found.entry, "why": found.why} if found.entry else None,
        "routes": [_shown(reader, one) for one in found.told],
    }


async def fleet(desk: TheDesk, reader: TheReader) -> Annotated[Json, Fleet]:
    """Pools and replicas of this moment, as all gateways see them, and the tenants that ask most."""
    now = desk.fleet()
    return {
        "object": "fleet",
        "at": write_instant(now.at_unix_ms),
        "gateways": list(now.gateways),
        "span_ms": now.span_ms,
        "requests_per_s": now.requests_per_s,
        "tokens_per_s": now.tokens_per_s,
        "per_hour": money_shape(now.per_hour),
        "pools": [_pool(reader, pool) for pool in now.pools],
        "talkers": [{**asdict(one), "per_hour": money_shape(one.per_hour)} for one in now.talkers],
    }


def _pool(reader: Reader, pool: PoolNow) -> Json:
    replicas = [
        {**asdict(one), **reader.reason(one.why), "since": write_instant(one.since_unix_ms)} for one in pool.replicas
    ]
    for one in replicas:
        del one["since_unix_ms"]
    return {"object": "pool", **asdict(pool), "replicas": replicas}


def _shown(reader: Reader, told: Told) -> Json:
    said = msgspec.to_builtins(told.explained)
    said["why"] = reader.told(said["why"])
    for candidate in said["candidates"]:
        word, colon, why = candidate["filtered"].partition(": ")
        candidate["filtered"] = f"{word}{colon}{reader.told(why)}"
    return {"object": "route", "gateway": told.gateway, **said}


ROUTES = (
    Route("GET", "/v1/fleet", fleet, May.FLEET_READ),
    Route("GET", "/v1/route/{request_id}", was, May.FLEET_READ),
    Route("POST", "/v1/route", would_be, May.FLEET_READ, asks=True),
)
