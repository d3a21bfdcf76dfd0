"""The engine's HTTP door: an ASGI application beside the batch, in the same event loop."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from parvis.adapters.openvino.answers import DONE, Answer, Json, Shape, encode, failed, usage
from parvis.adapters.openvino.asked import Asked, ChatAsked, CompletionAsked, TokensAsked, read
from parvis.adapters.openvino.batch import Batch, Request
from parvis.adapters.openvino.errors import BatchBroke, Gone, Refused
from parvis.adapters.openvino.prompts import Prompts

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
BODY_BYTES_MAX = 32 << 20
STREAM: Header = (b"content-type", b"text/event-stream; charset=utf-8")
JSON: Header = (b"content-type", b"application/json")
TEXT: Header = (b"content-type", b"text/plain; version=0.0.4")


class Door:
    """The application. Nobody is told of another's answers: each request has its own."""

    def __init__(self, batch: Batch, prompts: Prompts, *, model: str, api_key: str) -> None:
        self._batch = batch
        self._prompts = prompts
        self._model = model
        self._key = b"Bearer " + api_key.encode()
        self._pages: dict[tuple[str, str], Callable[[], tuple[Header, bytes]]] = {
            ("GET", "/v1/models"): lambda: (JSON, encode({"object": "list", "data": [self._entry()]})),
            ("GET", "/metrics"): lambda: (TEXT, self._metrics()),
        }
        self._posts: dict[tuple[str, str], Callable[[bytes, Receive, Send], Awaitable[None]]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/tokenize"): self._tokenize,
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except Refused as refused:
            told = failed(str(refused), "invalid_request_error", code=refused.code, param=refused.param)
            await _say(send, refused.status, JSON, encode(told))
        except BatchBroke as broke:
            status = HTTPStatus.INTERNAL_SERVER_ERROR if broke.suspect else HTTPStatus.SERVICE_UNAVAILABLE
            await _say(send, status, JSON, encode(_broken(broke)))
        except Gone:
            return

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = scope["method"], scope["path"]
        if asked == ("GET", "/health"):
            await _say(send, HTTPStatus.OK, JSON, b'{"status":"ok"}')
        elif not hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._key):
            raise Refused("This key is not the engine's.", code="invalid_api_key", status=HTTPStatus.UNAUTHORIZED)
        elif page := self._pages.get(asked):
            await _say(send, HTTPStatus.OK, *page())
        elif post := self._posts.get(asked):
            await post(await _body(receive), receive, send)
        else:
            raise Refused("There is no such page.", code="not_found", status=HTTPStatus.NOT_FOUND)

    # What may be asked

    async def _chat(self, body: bytes, receive: Receive, send: Send) -> None:
        asked = read(body, ChatAsked)
        self._check(asked)
        await self._answer(asked, [self._prompts.of_chat(asked.messages)], receive, send, logprobs=bool(asked.logprobs))

    async def _complete(self, body: bytes, receive: Receive, send: Send) -> None:
        asked = read(body, CompletionAsked)
        self._check(asked)
        await self._answer(asked, [self._prompts.of_text(text) for text in asked.prompts], receive, send)

    async def _tokenize(self, body: bytes, _receive: Receive, send: Send) -> None:
        asked = read(body, TokensAsked)
        prompts = self._prompts
        tokens = prompts.of_text(asked.prompt) if asked.messages is None else prompts.of_chat(asked.messages)
        told = {"count": len(tokens), "max_model_len": prompts.context_tokens, "tokens": tokens}
        await _say(send, HTTPStatus.OK, JSON, encode(told))

    def _check(self, asked: Asked) -> None:
        if asked.model not in ("", self._model):
            raise Refused("This engine serves another model.", code="model_not_found", status=HTTPStatus.NOT_FOUND)
        asked.check()

    def _entry(self) -> Json:
        context = self._prompts.context_tokens
        return {"id": self._model, "object": "model", "owned_by": "parvis", "max_model_len": context}

    def _metrics(self) -> bytes:
        batch = self._batch
        lines = (
            ("openvino:num_requests_running", "gauge", batch.running),
            ("openvino:num_requests_waiting", "gauge", batch.waiting),
            ("openvino:kv_cache_usage_ratio", "gauge", round(batch.cache_used, 6)),
            ("openvino:prompt_tokens_total", "counter", batch.prompt_tokens),
            ("openvino:generation_tokens_total", "counter", batch.output_tokens),
        )
        return "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for name, kind, value in lines).encode()

    # Answers

    async def _answer(
        self, asked: Asked, prompts: Sequence[Sequence[int]], receive: Receive, send: Send, *, logprobs: bool = False
    ) -> None:
        shape = Shape(self._prompts.vocabulary, chat=isinstance(asked, ChatAsked), model=self._model, logprobs=logprobs)
        answers = [Answer(len(prompt)) for prompt in prompts for _ in range(asked.answers)]
        prompt_tokens = sum(map(len, prompts))
        async with _watched(self._batch.begin(prompts, asked, logprobs=logprobs), receive) as request:
            if asked.stream:
                await _stream(asked, shape, request, answers, send, prompt_tokens)
            else:
                await _collect(request, answers)
                counts = usage(prompt_tokens, sum(answer.tokens for answer in answers))
                await _say(send, HTTPStatus.OK, JSON, shape.whole(answers, counts))


@asynccontextmanager
async def _watched(request: Request, receive: Receive) -> AsyncIterator[Request]:
    """Ended when this is left, and failed with Gone when the caller leaves."""
    leaving = asyncio.create_task(_left(receive))
    leaving.add_done_callback(lambda done: None if done.cancelled() else request.fail(Gone()))
    try:
        yield request
    finally:
        leaving.cancel()
        request.cancel()


async def _collect(request: Request, answers: Sequence[Answer]) -> None:
    """Raises BatchBroke, Gone."""
    left = len(answers)
    while left:
        part = await request.read()
        answers[part.index].take(part)
        left -= bool(part.finish)


async def _stream(
    asked: Asked, shape: Shape, request: Request, answers: Sequence[Answer], send: Send, prompt_tokens: int
) -> None:
    """Parts of all answers as they come, each an event. Raises BatchBroke before the first one; Gone."""
    left, begun, running = len(answers), False, asked.wants_running_usage
    while left:
        try:
            part = await request.read()
        except BatchBroke as broke:
            if not begun:
                raise
            await _more(send, b"data: %b\n\n" % encode(_broken(broke)))
            break
        if not begun:
            begun = True
            await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": [STREAM]})
        answer = answers[part.index]
        answer.tokens = part.tokens
        left -= bool(part.finish)
        if part.text or part.finish or part.logprobs:
            await _more(send, shape.event(part, answer, running=running))
            answer.begun = True
    else:
        last = shape.last_event(usage(prompt_tokens, sum(answer.tokens for answer in answers)))
        await _more(send, last + DONE if asked.wants_usage else DONE)
    await send({"type": "http.response.body", "body": b""})


def _broken(broke: BatchBroke) -> Json:
    return failed(str(broke), "server_error", code="engine_failed")


async def _left(receive: Receive) -> None:
    """Return when the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    """All of it. Raises Refused, Gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise Refused("The body is too long.", code="request_too_large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not message.get("more_body"):
            return bytes(body)


async def _more(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _say(send: Send, status: int, kind: Header, body: bytes) -> None:
    headers = [kind, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
