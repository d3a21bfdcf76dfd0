"""The JSON of the fake engine's answers, in the flavours that engines speak. Pure.

They differ from OpenAI's letter where those engines do: order of keys, shapes of errors, timings, what usage tells.
See `flavours`.
"""

import base64
from array import array
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from parvis.testing.fake_engine.answers import SPECIAL_TOKENS, Answer, Choice, Json, texts
from parvis.testing.fake_engine.commands import Commands
from parvis.testing.fake_engine.flavours import FLAVOURS, Flavour, Traits

_ORDER = ("id", "object", "created", "model", "system_fingerprint", "choices", "usage")
_LLAMA_ORDER = ("choices", "created", "model", "system_fingerprint", "object", "usage", "id", "timings")
_LLAMA_CHUNK_ORDER = ("choices", "created", "id", "model", "system_fingerprint", "object", "usage", "timings")
_VLLM_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
}
_LLAMA_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
_USAGE_NULL: frozenset[Flavour] = frozenset({"sglang", "tgi"})
"""Their events say that they have no usage."""
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_SGLANG_DELTA: Json = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None}
_BROKE = HTTPStatus.INTERNAL_SERVER_ERROR
HUGE = 2**70
TOLD_TO_FAIL = "The fake engine was told to fail."
GARBAGE = b'{"id":"chatcmpl-garbage","choices":[{"index":0,"del'


class Shape(NamedTuple):
    """Everything but the answer that decides how it is written."""

    flavour: Flavour
    chat: bool
    id: str
    created: int
    model: str
    reasoning_field: str = "reasoning_content"
    """vLLM called it `reasoning_content`, later `reasoning`; since then it counts reasoning while it runs."""
    usage_at_end: bool = False
    """The stream was asked to end with usage."""
    usage_running: bool = False
    timings_running: bool = False
    """llama.cpp was asked for its timings with each token."""
    logprobs: int | None = None
    """Alternatives for each token; None for no log-probabilities."""
    named_call: bool = False
    """The request names the function that is to be called."""
    quote: bytes = b""
    """What errors say again of the request."""
    orders: Commands = Commands()
    """What counts must claim."""

    @property
    def newer_vllm(self) -> bool:
        return self.flavour == "vllm" and self.reasoning_field == "reasoning"

    @property
    def traits(self) -> Traits:
        return FLAVOURS[self.flavour]

    def envelope(self, kind: str, choices: list[Json], **extra: object) -> Json:
        """A chunk or a body with its keys in the flavour's order."""
        name = "" if self.flavour == "tgi" else self.id
        fields: Json = {"id": name, "object": kind, "created": self.created, "model": self.model}
        fields |= {"choices": choices, **extra}
        if self.traits.fingerprint:
            fields["system_fingerprint"] = self.traits.fingerprint
        order: tuple[str, ...] = _ORDER
        if self.flavour == "llamacpp":
            order = _LLAMA_CHUNK_ORDER if kind == "chat.completion.chunk" else _LLAMA_ORDER
        return {key: fields[key] for key in order if key in fields}

    def ending(self, choice: Choice, *, streamed: bool) -> str:
        """Why it ended, in the flavour's words."""
        calls = choice.finish_reason == "tool_calls"
        if calls and (self.flavour == "tgi" or (self.flavour == "vllm" and self.named_call)):
            return "stop"
        own = self.flavour == "tgi" and streamed and not self.chat and choice.finish_reason == "stop"
        return "eos_token" if own else choice.finish_reason

    def chunk(self, choices: list[Json], **extra: object) -> bytes:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        if self.flavour in _USAGE_NULL or (self.flavour == "plain" and self.usage_at_end):
            extra.setdefault("usage", None)
        if self.flavour == "ollama" and self.usage_at_end and not self.chat:
            extra.setdefault("usage", dict.fromkeys(_COUNTS, 0))
        return self.traits.event_start + msgspec.json.encode(self.envelope(kind, choices, **extra)) + b"\n\n"

    def delta(self, index: int, delta: Json, finish: str | None, logprobs: Json | None = None) -> Json:
        """One choice of a chunk. `delta` holds a chat's delta, or `content` for a completion's text."""
        llama = self.flavour == "llamacpp"
        if not self.chat:
            text = delta.get("content") or ""
            choice: Json = {"text": text, "index": index} if llama else {"index": index, "text": text}
            choice |= {"logprobs": logprobs, "finish_reason": finish}
        elif llama:
            choice = {"finish_reason": finish, "index": index, "delta": delta}
            choice |= {"logprobs": logprobs} if logprobs else {}
        else:
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._as_written(choice)

    def _as_written(self, choice: Json) -> Json:
        """With what some flavours add to a choice, or leave out."""
        if choice["finish_reason"] and self.flavour == "vllm":
            choice["stop_reason"] = None
        if self.flavour == "sglang":
            choice["matched_stop"] = None
            if "delta" in choice:
                choice["delta"] = _SGLANG_DELTA | choice["delta"]
        if self.flavour == "tgi" and not self.chat:
            choice["finish_reason"] = choice["finish_reason"] or ""
        if self.flavour == "ollama" and choice["logprobs"] is None:
            del choice["logprobs"]
        return choice


def usage(shape: Shape, answer: Answer, orders: Commands) -> Json:
    """The usage of the whole request, in the flavour's order, or as `wrong_usage` claims it."""
    prompt = sum(answer.prompt_tokens)
    completion = answer.tokens if orders.wrong_usage is None else orders.wrong_usage
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    order = {
        "vllm": ("prompt_tokens", "total_tokens", "completion_tokens"),
        "sglang": ("prompt_tokens", "total_tokens", "completion_tokens"),
        "llamacpp": ("completion_tokens", "prompt_tokens", "total_tokens"),
    }.get(shape.flavour, _COUNTS)
    written: Json = {key: counted[key] for key in order}
    if not shape.traits.details:
        return claimed(written, orders, "prompt_tokens", "completion_tokens")
    written["prompt_tokens_details"] = {"cached_tokens": prompt + 1 if orders.cached_above else answer.cached_tokens}
    silent = orders.no_reasoning_usage or (orders.think and not orders.says_none)
    reasoning = completion + 1 if orders.reasoning_above else 0 if orders.says_none else answer.reasoning
    if shape.flavour == "sglang":
        written["reasoning_tokens"] = 0 if silent else reasoning
    elif shape.flavour != "llamacpp" and not silent:
        written["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return claimed(written, orders, "prompt_tokens", "completion_tokens")


def claimed(counted: Json, orders: Commands, prompt: str, completion: str) -> Json:
    """A count with the lies that were ordered, under these names."""
    lies: tuple[tuple[object, str, object], ...] = (
        (orders.wrong_prompt is not None, prompt, orders.wrong_prompt),
        (orders.negative_usage, completion, -1),
        (orders.half_usage, completion, counted[completion] + 0.5),
        (orders.huge_usage, completion, HUGE),
        (orders.text_usage, completion, "many"),
    )
    return counted | {name: lie for told, name, lie in lies if told}


def running_claim(done: int, choice: Choice, orders: Commands) -> int:
    """The completion tokens that are claimed while an answer runs."""
    if orders.falling:
        return choice.tokens - done
    return done if orders.wrong_running is None else orders.wrong_running


def timings(shape: Shape, answer: Answer, choice: Choice, done: int) -> Json:
    """llama.cpp's account of one choice, which has computed so many tokens; each has a slot of its own."""
    which = choice.number * len(answer.prompt_tokens) // len(answer.choices)
    prompt, cached = answer.prompt_tokens[which], answer.prompt_cached[which]
    read = {"cache_n": cached, "prompt_n": prompt - cached, "prompt_ms": 1.5}
    predicted = running_claim(done, choice, shape.orders)
    return claimed(read | {"predicted_n": predicted, "predicted_ms": 2.5}, shape.orders, "prompt_n", "predicted_n")


def whole(shape: Shape, answer: Answer, orders: Commands) -> bytes:
    """The body of an answer that is not streamed."""
    if orders.garbage:
        return GARBAGE + shape.quote
    extra: Json = {} if orders.no_usage else {"usage": usage(shape, answer, orders)}
    if shape.flavour == "llamacpp":
        last = answer.choices[-1]
        extra["timings"] = timings(shape, answer, last, last.tokens)
    choices = [_whole_choice(shape, choice) for choice in answer.choices]
    kind = "chat.completion" if shape.chat else "text_completion"
    return msgspec.json.encode(shape.envelope(kind, choices, **extra))


def _whole_choice(shape: Shape, choice: Choice) -> Json:
    logprobs, ending = logprobs_of(shape, choice, range(choice.tokens)), shape.ending(choice, streamed=False)
    if not shape.chat:
        return shape.delta(choice.number, {"content": choice.text("content")}, ending, logprobs)
    message: Json = {"role": "assistant", "content": None if choice.tool else choice.text("content")}
    if choice.reasoning:
        message[shape.reasoning_field] = choice.text("reasoning")
    if choice.tool:
        called = {"name": choice.tool, "arguments": choice.text("arguments")}
        message["tool_calls"] = [{"id": choice.call_id(), "type": "function", "function": called}]
    written = shape.delta(choice.number, message, ending, logprobs)
    return {"message" if key == "delta" else key: value for key, value in written.items()}


def logprobs_of(shape: Shape, choice: Choice, tokens: range) -> Json | None:
    """Log-probabilities in the shape of the endpoint; the i-th token has -0.01 times its place modulo 100."""
    if shape.logprobs is None:
        return None
    told = [(choice.token(i)[1], -0.01 * (i % 100)) for i in tokens]
    if shape.chat or shape.flavour == "llamacpp":
        one = [{"token": text, "logprob": log, "bytes": list(text.encode())} for text, log in told]
        return {"content": [token | {"top_logprobs": [token] * shape.logprobs} for token in one]}
    tops = [{text: log} for text, log in told] if shape.logprobs else None
    columns = {"tokens": [text for text, _ in told], "token_logprobs": [log for _, log in told]}
    return {"text_offset": [0] * len(told), **columns, "top_logprobs": tops}


def error_json(flavour: Flavour, status: int, message: str = TOLD_TO_FAIL) -> bytes:
    """The error body of a flavour: OpenAI's four keys, or those of them that the engine writes."""
    if flavour == "tgi":
        return msgspec.json.encode({"error": message, "error_type": "validation" if status < _BROKE else "generation"})
    if flavour == "sglang":
        kind = _VLLM_ERRORS.get(status, "InternalServerError")
        told = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
        return msgspec.json.encode(told)
    if flavour == "llamacpp":
        error: Json = {"code": status, "message": message, "type": _LLAMA_ERRORS.get(status, "server_error")}
    elif flavour == "vllm":
        kind = _VLLM_ERRORS.get(status, "InternalServerError")
        error = {"message": message, "type": kind, "param": None, "code": status}
    else:
        kind = "server_error" if status >= _BROKE else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": None}
    return msgspec.json.encode({"error": error})


def error_event_json(flavour: Flavour, message: str) -> bytes:
    """The error that ends a stream: under `error`, whatever the flavour's bodies look like."""
    if flavour == "tgi":
        return msgspec.json.encode({"error": {"message": message, "http_status_code": 422}})
    body = error_json(flavour, 500, message)
    return b'{"error":%b}' % body if flavour == "sglang" else body


def embedding_body(shape: Shape, vectors: list[list[float]], prompt_tokens: int, *, as_base64: bool) -> bytes:
    """The body of an embeddings request."""
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    counted = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    counted = claimed(counted, shape.orders, "prompt_tokens", "prompt_tokens")
    body = {"id": shape.id, "object": "list", "created": shape.created, "model": shape.model, "data": data}
    return msgspec.json.encode(body | {"usage": counted})


def rerank_body(shape: Shape, body: Json, scores: list[float], tokens: Sequence[int]) -> bytes:
    """The scores of documents, the best first: SGLang's list, else Jina's shape, which vLLM fills with documents."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    if shape.flavour == "sglang":
        return msgspec.json.encode(
            [
                {
                    "score": scores[index],
                    "document": body["documents"][index],
                    "index": index,
                    "meta_info": {"id": shape.id, "prompt_tokens": tokens[index]},
                }
                for index in order
            ]
        )
    counted = claimed(
        {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}, shape.orders, "prompt_tokens", "prompt_tokens"
    )
    results: list[Json] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if shape.flavour == "vllm":
        results = [
            one | {"document": {"text": body["documents"][one["index"]], "multi_modal": None}} for one in results
        ]
    return msgspec.json.encode({"id": shape.id, "model": shape.model, "usage": counted, "results": results})


def _base64(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


def tgi_tokens(body: Json) -> bytes:
    """TGI's `/tokenize` of a text, or `/chat_tokenize`: each token with its place; those of no text have none."""
    given = texts(body) if body.get("messages") is not None else [str(body.get("inputs", ""))]
    words = [word for text in given for word in text.split()]
    special = [{"id": number, "text": "", "start": 0, "stop": 0} for number in range(SPECIAL_TOKENS)]
    said = [{"id": 9, "text": word, "start": 1, "stop": 1 + len(word)} for word in words]
    if body.get("messages") is not None:
        return msgspec.json.encode({"tokenize_response": special + said, "templated_text": " ".join(words)})
    return msgspec.json.encode(special + said)


def models_body(flavour: Flavour, names: tuple[str, ...], created: int, context_max: int) -> bytes:
    """The list of models, with the context length where the engine tells it."""
    owner = FLAVOURS[flavour].owner
    contexts: dict[str, Json] = {
        "vllm": {"max_model_len": context_max, "parent": None},
        "sglang": {"max_model_len": context_max, "root": None, "parent": None},
        "llamacpp": {"meta": {"n_ctx": context_max}},
    }
    context = contexts.get(flavour, {})
    model = {"object": "model", "created": created, "owned_by": owner, **context}
    return msgspec.json.encode({"object": "list", "data": [{"id": name} | model for name in names]})
