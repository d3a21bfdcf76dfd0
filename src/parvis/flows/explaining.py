"""How a request was routed, or would be now: asked of the gateways, each of which decides by what it sees itself."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from parvis.core.errors import BadRequest, NotFound, Unavailable
from parvis.domain.catalog.auto import furnished
from parvis.domain.catalog.difficulty import Matter, Scorer
from parvis.domain.catalog.model import Model, name_table
from parvis.domain.fleet.hearing import Hearing, Supposed, Told
from parvis.domain.identity.key_text import ID_CHARS, is_key_id
from parvis.flows.auto import chosen_of
from parvis.flows.decisions import DECISIONS_MAX
from parvis.flows.keys import tenant_named
from parvis.flows.permit import no_model
from parvis.flows.prepared import reach
from parvis.flows.store import Store

REQUEST_ID = re.compile(r"req_[0-9a-z]{26}")


class Witnesses(Protocol):
    """The gateways that are connected."""

    async def of_request(self, request_id: str) -> Hearing:
        """How they routed it. Waits two seconds at the most."""

    async def of_supposed(self, supposed: Supposed) -> Hearing:
        """How each of them would route it now. Nothing changes by it."""


class NobodySaw:
    """The witnesses of who has no gateways."""

    async def of_request(self, request_id: str) -> Hearing:  # noqa: ARG002 - the port's
        """See the port."""
        return Hearing(0, 0, ())

    async def of_supposed(self, supposed: Supposed) -> Hearing:  # noqa: ARG002 - the port's
        """See the port."""
        return Hearing(0, 0, ())


NOBODY_SAW = NobodySaw()


@dataclass(frozen=True, slots=True)
class Question:
    """A request that somebody might make with a key."""

    key_id: str
    model: str
    matter: Matter
    tokens: int
    """Input and output at the most: what its turn would cost."""


@dataclass(frozen=True, slots=True)
class Supposition:
    """Where it would go."""

    model: Model
    entry: str
    """The `auto` entry that chose the model, and why; both empty where the request names it."""
    why: str
    told: tuple[Told, ...]


async def explain_request(witnesses: Witnesses, request_id: str) -> Told:
    """The decision as it was. Raises NotFound when no gateway remembers it, Unavailable when one did not answer."""
    if not REQUEST_ID.fullmatch(request_id):  # gateways are asked about nothing else
        raise NotFound(
            f"'{request_id[:60]}' is not the id of a request: that is 'req_' and 26 letters and digits.",
            param="request_id",
        )
    hearing = await witnesses.of_request(request_id)
    if hearing.told:
        return hearing.told[-1]
    if hearing.silent or not hearing.asked:
        raise _not_heard(hearing)
    raise NotFound(
        f"No gateway remembers how '{request_id[:60]}' was routed. Each that runs ({hearing.asked} now) knows its last "
        f"{DECISIONS_MAX:,} decisions, since its start.",
        code="decision_not_found",
        param="request_id",
    )


async def suppose(
    store: Store, witnesses: Witnesses, scorer: Scorer, serving: Collection[str], asked: Question
) -> Supposition:
    """Where such a request would go now; `serving` are the pools in which somebody takes requests.

    Raises NotFound for a key or a model that is not there (for it), BadRequest and EngineUnavailable where an `auto`
    entry finds none, Unavailable when no gateway answers.
    """
    model, entry, why = await _model(store, scorer, serving, asked)
    key = await store.key(asked.key_id)
    tenant_id = "" if key is None else key.tenant_id
    hearing = await witnesses.of_supposed(Supposed(model.engine, tenant_id, asked.tokens, asked.matter.texts))
    if not hearing.told:
        raise _not_heard(hearing)
    return Supposition(model, entry, why, hearing.told)


async def _model(store: Store, scorer: Scorer, serving: Collection[str], asked: Question) -> tuple[Model, str, str]:
    key = await store.key(asked.key_id)
    if key is None or not key.active:
        raise _no_key(asked.key_id)
    names = name_table(furnished(await store.models()))
    reached = reach(names.values(), await tenant_named(store, key.tenant_id), key.scope)
    model = names.get(asked.model)
    if model is None or model.id not in reached:
        raise no_model(asked.model)
    if model.auto is None:
        if missing := [need for need in asked.matter.needs if need not in model.capabilities]:
            raise BadRequest(
                f"The model '{model.id}' cannot do '{missing[0]}'.", code="unsupported_parameter", param="model"
            )
        return model, "", ""
    usable = {
        one.model: names[one.model] for one in model.auto.candidates if one.model in names and one.model in reached
    }
    serve = {model_id for model_id, one in usable.items() if one.engine in serving}
    choice = chosen_of(model, asked.matter, scorer, usable, serve)
    return choice.model, model.id, choice.why


def _no_key(key_id: str) -> NotFound:
    if is_key_id(key_id):
        return NotFound(f"There is no key '{key_id}' that works.", code="key_not_found", param="key_id")
    return NotFound(  # what was given may be a secret: it is not repeated
        f"This is not the id of a key: that is {ID_CHARS} small letters and digits, and not the key itself.",
        code="key_not_found",
        param="key_id",
    )


def _not_heard(hearing: Hearing) -> Unavailable:
    if not hearing.asked:
        return Unavailable("No gateway is connected.", code="gateway_silent", retry_after_s=1)
    return Unavailable(
        f"Of the {hearing.asked} gateways {hearing.silent} did not answer in time. Ask again.",
        code="gateway_silent",
        retry_after_s=1,
    )
