"""What every engine that generates promises of its counts, true and false; see `engine_suite`."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import json
from dataclasses import replace

from parvis.domain.catalog.model import Capability
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, Json, ask, choices
from parvis.testing.engine_suite import USAGE, Promise, is_counted


async def reasoning_that_is_not_counted_is_counted(engine: Engine, bench: Bench) -> None:
    """By the model's tokenizer, or by what the running count grew."""
    both: tuple[Json, ...] = ({}, {"stream": True, "stream_options": USAGE})
    for fields in both:
        heard = await ask(engine, bench.chat(bench.words.unsaid, **fields))
        assert (heard.delivery.tokens.reasoning, heard.delivery.tokens.output) == (5, 7)
        is_counted(heard)


async def reasoning_inside_the_text_is_counted_apart(engine: Engine, bench: Bench) -> None:
    """Of a model that reasons; what another one says between such marks is its answer."""
    thinker = replace(bench, model=replace(bench.model, capabilities=(Capability.CHAT, Capability.REASONING)))
    both: tuple[Json, ...] = ({}, {"stream": True, "stream_options": USAGE})
    for fields in both:
        for who, parts in ((thinker, (5, 7)), (bench, (0, 12))):
            heard = await ask(engine, who.chat(bench.words.think, **fields))
            assert (heard.delivery.tokens.reasoning, heard.delivery.tokens.output) == parts
            is_counted(heard)


async def a_claim_that_cannot_be_is_not_believed(engine: Engine, bench: Bench) -> None:
    assert bench.words.lies
    for lie in bench.words.lies:
        for stream in (False, True):
            if not stream and not bench.lies_whole(lie):
                continue
            fields: Json = {"stream": True, "stream_options": USAGE} if stream else {}
            job = bench.chat(lie, **fields)
            heard = await ask(engine, job)
            delivery, claim = heard.delivery, json.loads(heard.delivery.quarantined)
            assert claim.keys() == {"why", "claimed"}, lie
            assert len(heard.delivery.quarantined) <= 500
            assert "Say" not in heard.delivery.quarantined
            assert delivery.estimated
            assert delivery.outcome is Outcome.COMPLETED
            assert delivery.tokens.completion_total == 7, lie
            assert 0 < delivery.tokens.prompt_total <= job.request.input_bytes
            told = (heard.body if heard.data == b"" else heard.usage_chunk)["usage"]
            assert told["completion_tokens"] == 7


async def an_engine_that_goes_on_is_stopped(engine: Engine, bench: Bench) -> None:
    for choices_wanted in (1, 2) if bench.has_choices else (1,):
        job = bench.chat(bench.words.runaway, n=choices_wanted, stream=True, output_tokens_max=10)
        heard = await ask(engine, job)
        for index in range(choices_wanted):
            assert choices(heard.chunks, index)[-1]["finish_reason"] == "length"
        assert heard.delivery.outcome is Outcome.COMPLETED
        assert heard.delivery.tokens.completion_total == 10 * choices_wanted
        assert json.loads(heard.delivery.quarantined)["why"]
        await bench.free()
    whole = await ask(engine, bench.chat(bench.words.runaway, output_tokens_max=10))
    assert whole.delivery.tokens.completion_total == whole.body["usage"]["completion_tokens"] == 10
    assert whole.delivery.estimated


COUNTING_PROMISES: tuple[Promise, ...] = (
    reasoning_that_is_not_counted_is_counted,
    reasoning_inside_the_text_is_counted_apart,
    a_claim_that_cannot_be_is_not_believed,
    an_engine_that_goes_on_is_stopped,
)
