"""The prices of a list, as operators send them: by `POST /v1/prices` and in declared files."""

from typing import Annotated

from pydantic import BaseModel, Field, StrictInt

from parvis.domain.billing.price import HALF, PriceList

Price = Annotated[StrictInt, Field(ge=0, le=10**12, description="micro-euro per million tokens")]
UnitPrice = Annotated[StrictInt, Field(ge=0, le=10**18, description="pico-euro for one unit")]


class PriceFields(BaseModel):
    """Cached input costs as input unless said, batch half of its class, and what has no unit price is not sold."""

    input_microeuro_per_mtoken: Price
    cached_microeuro_per_mtoken: Price | None = None
    output_microeuro_per_mtoken: Price
    reasoning_microeuro_per_mtoken: Price
    batch_input_microeuro_per_mtoken: Price | None = None
    batch_cached_microeuro_per_mtoken: Price | None = None
    batch_output_microeuro_per_mtoken: Price | None = None
    batch_reasoning_microeuro_per_mtoken: Price | None = None
    audio_pico_euro_per_minute: UnitPrice | None = None
    rerank_pico_euro_per_document: UnitPrice | None = None
    image_pico_euro_each: UnitPrice | None = None

    def price_list(self, version: str, model_id: str, valid_from_unix_ms: int) -> PriceList:
        """The list under this name, of this model, from this instant on."""
        cached = self.cached_microeuro_per_mtoken
        return PriceList(
            version=version,
            model_id=model_id,
            valid_from_unix_ms=valid_from_unix_ms,
            input_microeuro_per_mtoken=self.input_microeuro_per_mtoken,
            cached_microeuro_per_mtoken=self.input_microeuro_per_mtoken if cached is None else cached,
            output_microeuro_per_mtoken=self.output_microeuro_per_mtoken,
            reasoning_microeuro_per_mtoken=self.reasoning_microeuro_per_mtoken,
            batch_input_microeuro_per_mtoken=_or_half(self.batch_input_microeuro_per_mtoken),
            batch_cached_microeuro_per_mtoken=_or_half(self.batch_cached_microeuro_per_mtoken),
            batch_output_microeuro_per_mtoken=_or_half(self.batch_output_microeuro_per_mtoken),
            batch_reasoning_microeuro_per_mtoken=_or_half(self.batch_reasoning_microeuro_per_mtoken),
            audio_pico_euro_per_minute=self.audio_pico_euro_per_minute,
            rerank_pico_euro_per_document=self.rerank_pico_euro_per_document,
            image_pico_euro_each=self.image_pico_euro_each,
        )


def _or_half(price: int | None) -> int:
    return HALF if price is None else price
