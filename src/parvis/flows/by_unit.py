"""Documents that are reranked: charged by the document where it has a price, else by their tokens. Never by both."""

from parvis.core.tokens import NO_TOKENS
from parvis.domain.billing.price import PriceList
from parvis.domain.quota.admission import WorstCase
from parvis.flows.ports import Delivery


def held_by_unit(worst: WorstCase, prices: PriceList) -> WorstCase:
    """The same worst case, of what will be charged. What has no documents passes as it is."""
    if worst.quantities is None or not worst.quantities.documents:
        return worst
    if prices.rerank_pico_euro_per_document is None:
        return worst._replace(quantities=None)
    return worst._replace(input_tokens_max=0)


def charge_by_unit(delivery: Delivery, prices: PriceList) -> None:
    """Leave in an answer's account what is charged of it. How many tokens were read stands in its body."""
    if delivery.quantities is None or not delivery.quantities.documents:
        return
    if prices.rerank_pico_euro_per_document is None:
        delivery.quantities = None
    else:
        delivery.tokens, delivery.estimated = NO_TOKENS, False
