"""What a request would cost, before anybody asks a model; or which model would do it for least."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from parvis.core.errors import BadRequest, Unavailable
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, batch_prices, cost, cost_max, price_in_force
from parvis.domain.catalog.model import LISTED, Capability, Model
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.scope import ANYTHING, KeyScope
from parvis.flows.permit import no_model
from parvis.flows.prepared import reach
from parvis.flows.store import CatalogueStore

CHARACTERS_PER_TOKEN = 4
"""About so many, where no tokenizer answers."""
Count = Callable[[Model], Awaitable[int | None]]
"""The tokens of what is asked, by the model's own tokenizer; None where nobody says."""


class Offer(NamedTuple):
    """A model that one may use, at its price of now."""

    model: Model
    prices: PriceList


@dataclass(frozen=True, slots=True)
class Question:
    """What would be sent. Without a model, the cheapest that fits is looked for."""

    model: str | None
    characters: int
    output_tokens_max: int | None
    choices: int = 1
    needs: tuple[Capability, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and costs. `most` is what must be at hand when the request is made, `least` an answer of no length."""

    offer: Offer
    input_tokens: int
    estimated: bool
    """No tokenizer answered."""
    output_tokens_max: int
    """Of all choices together."""
    least: Money
    most: Money
    by_class: tuple[Money, Money, Money, Money]
    """All of the prompt computed, or cached; the longest answer visible, or reasoning: in the order of `TokenCount`."""
    batch_least: Money
    batch_most: Money


async def offers_to(store: CatalogueStore, tenant: Tenant, now_unix_ms: int, scope: KeyScope = ANYTHING) -> list[Offer]:
    """The models that a tenant (or one of its keys) may use and that have a price, sorted by id."""
    lists = await store.prices()
    reached = [model for model in await _reached(store, tenant, scope) if model.auto is None]
    priced = [(model, price_in_force(lists, model.id, now_unix_ms)) for model in reached]
    return sorted((Offer(model, prices) for model, prices in priced if prices is not None), key=lambda o: o.model.id)


async def auto_entry(store: CatalogueStore, tenant: Tenant, scope: KeyScope, name: str) -> Model | None:
    """The entry of this id or alias, if it is one that chooses and that a tenant (or one of its keys) may use."""
    reached = await _reached(store, tenant, scope)
    return next((one for one in reached if one.auto is not None and name in (one.id, *one.aliases)), None)


async def _reached(store: CatalogueStore, tenant: Tenant, scope: KeyScope) -> list[Model]:
    listed = [model for model in await store.models() if model.state in LISTED]
    ids = reach(listed, tenant, scope)
    return [model for model in listed if model.id in ids]


async def estimate(offers: Sequence[Offer], asked: Question, count: Count) -> Estimate:
    """Raises NotFound for a model that is not there; BadRequest when it, or every model, cannot do what is asked."""
    if asked.model is not None:
        offer = next((one for one in offers if asked.model in (one.model.id, *one.model.aliases)), None)
        if offer is None:
            raise no_model(asked.model)
        return await _estimate(offer, asked, count)
    return await _cheapest(offers, asked, count)


async def _cheapest(offers: Sequence[Offer], asked: Question, count: Count) -> Estimate:
    if not offers:
        raise Unavailable("There is no model with a price that you may use. Tell your operator.")
    about = asked.characters // CHARACTERS_PER_TOKEN
    for offer in sorted(offers, key=lambda one: (_priced(one, asked, about, estimated=True).most, one.model.id)):
        try:
            return await _estimate(offer, asked, count)
        except BadRequest:
            continue
    raise _no_fit("No model that you may use fits: shorten the input, lower max_tokens or ask for fewer capabilities.")


async def _estimate(offer: Offer, asked: Question, count: Count) -> Estimate:
    """Raises BadRequest when this model cannot do it."""
    model = offer.model
    for need in asked.needs:
        if need not in model.capabilities:
            raise _no_fit(f"The model '{model.id}' cannot do '{need}'. GET /v1/models says what each can do.")
    counted = await count(model)
    tokens = asked.characters // CHARACTERS_PER_TOKEN if counted is None else counted
    if tokens + (asked.output_tokens_max or 0) > model.context_tokens:
        raise _no_fit(
            f"The context of '{model.id}' is {model.context_tokens} tokens, and this needs more. "
            "Shorten the input or lower max_tokens."
        )
    return _priced(offer, asked, tokens, estimated=counted is None)


def _no_fit(sentence: str) -> BadRequest:
    return BadRequest(sentence, code="model_does_not_fit", param="model")


def _priced(offer: Offer, asked: Question, tokens: int, *, estimated: bool) -> Estimate:
    model, prices = offer
    left = max(model.context_tokens - tokens, 0)
    each = left if asked.output_tokens_max is None else min(asked.output_tokens_max, left)
    output = each * asked.choices if Capability.CHAT in model.capabilities else 0
    batch = batch_prices(prices)
    return Estimate(
        offer=offer,
        input_tokens=tokens,
        estimated=estimated,
        output_tokens_max=output,
        least=_least(tokens, prices),
        most=cost_max(tokens, output, prices),
        by_class=(
            cost(TokenCount(input=tokens), prices),
            cost(TokenCount(cached=tokens), prices),
            cost(TokenCount(output=output), prices),
            cost(TokenCount(reasoning=output), prices),
        ),
        batch_least=_least(tokens, batch),
        batch_most=cost_max(tokens, output, batch),
    )


def _least(tokens: int, prices: PriceList) -> Money:
    return min(cost(TokenCount(input=tokens), prices), cost(TokenCount(cached=tokens), prices))
