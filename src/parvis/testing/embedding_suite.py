"""What every engine that embeds promises; see `engine_suite`."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import base64
import struct

import pytest

from parvis.core.errors import BadRequest, EngineUnavailable
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, ask, elsewhere
from parvis.testing.engine_suite import NOWHERE, Promise


async def texts_are_embedded(engine: Engine, bench: Bench) -> None:
    texts = ["The cat sleeps.", "A dog barks.", "L'été, la mer est à 22 °C."]
    several = await ask(engine, bench.embedding(texts))
    one = await ask(engine, bench.embedding(texts[1]))
    assert several.body["object"] == "list"
    assert several.body["model"] == bench.model.id
    assert [item["index"] for item in several.body["data"]] == [0, 1, 2]
    vectors = [item["embedding"] for item in several.body["data"]]
    assert {len(vector) for vector in vectors} == {bench.model.dimensions}
    assert vectors[1] == pytest.approx(one.body["data"][0]["embedding"], abs=2e-2)
    tokens = several.delivery.tokens
    assert several.body["usage"] == {"prompt_tokens": tokens.prompt_total, "total_tokens": tokens.prompt_total}
    assert tokens.prompt_total > 0
    assert tokens.completion_total == 0
    assert not several.delivery.estimated


async def base64_holds_the_same_numbers(engine: Engine, bench: Bench) -> None:
    plain = (await ask(engine, bench.embedding("The sea."))).body["data"][0]["embedding"]
    packed = (await ask(engine, bench.embedding("The sea.", encoding_format="base64"))).body["data"][0]["embedding"]
    numbers = struct.unpack(f"<{len(plain)}f", base64.b64decode(packed, validate=True))
    assert list(numbers) == pytest.approx(plain, abs=1e-2)


async def dimensions_cannot_be_chosen(engine: Engine, bench: Bench) -> None:
    with pytest.raises(BadRequest) as refused:
        await ask(engine, bench.embedding("The sea.", dimensions=3))
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "dimensions")
    heard = await ask(engine, bench.embedding("The sea.", dimensions=bench.model.dimensions))
    assert len(heard.body["data"][0]["embedding"]) == bench.model.dimensions


async def a_false_count_of_a_text_is_not_believed(engine: Engine, bench: Bench) -> None:
    for lie in ("@wrong_prompt=900000", "@negative_usage", "@text_usage"):
        heard = await ask(engine, bench.embedding(f"{lie} The sea."))
        assert heard.delivery.quarantined
        assert heard.delivery.estimated
        assert heard.delivery.tokens.prompt_total == heard.body["usage"]["prompt_tokens"] == 3


async def an_embedder_that_is_not_there_is_unavailable(engine: Engine, bench: Bench) -> None:
    job = bench.embedding("The sea.")
    with pytest.raises(EngineUnavailable):
        await ask(engine, elsewhere(job, NOWHERE))


EMBEDDING_PROMISES: tuple[Promise, ...] = (
    texts_are_embedded,
    base64_holds_the_same_numbers,
    dimensions_cannot_be_chosen,
    a_false_count_of_a_text_is_not_believed,
    an_embedder_that_is_not_there_is_unavailable,
)
