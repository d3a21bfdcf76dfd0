"""The fake engine's process: its routes, its log, its gauges."""

import asyncio
import itertools
import os
import signal
import ssl
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from parvis.testing.fake_engine import answers, shapes, sounds
from parvis.testing.fake_engine.answers import Json
from parvis.testing.fake_engine.body import Body
from parvis.testing.fake_engine.commands import Commands, Faults, commands
from parvis.testing.fake_engine.connection import Connection, CutError, Request
from parvis.testing.fake_engine.flavours import FLAVOURS, Flavour
from parvis.testing.fake_engine.metrics_page import Gauges, metrics_page
from parvis.testing.fake_engine.reading import Reader
from parvis.testing.fake_engine.record import RECORDS_MAX, Record
from parvis.testing.fake_engine.work import Fields, Job, RefusedError, StreamOptions, compute, obey, stream

BACKLOG = 4096
CONTEXT_TOKENS_MAX = 131_072
STDIN = 0
_JSON = "application/json"
OPENING = "<chat>"
"""How a prompt begins that llama.cpp's template made."""
_PREFIXES = {"/v1/chat/completions": "chatcmpl", "/v1/completions": "cmpl", "/v1/embeddings": "embd"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is told at its start."""

    port: int = 0
    models: tuple[str, ...] = ("fake-8b",)
    """The names that it answers to; llama.cpp answers to any, under the first."""
    flavour: Flavour = "vllm"
    reasoning_field: str = "reasoning_content"
    slots: int = 0
    """Requests that run at once, the others wait; 0 for no bound."""
    api_key: str = ""
    """The bearer token to demand on /v1; empty for none."""
    prefix_blocks: int = 0
    """Of the modelled prefix cache (`prefix_cache`). 0: there is none, and a third of each prompt is told cached."""
    prefix_block_chars: int = 64
    prefill_us_per_char: float = 0
    """What a character of a prompt takes that is not cached. With a modelled cache alone."""
    idle_close_ms: int = 0
    """Close a connection that long after its last answer; 0 never."""
    die_with_stdin: bool = False
    tls_cert: str = ""
    """Speak TLS with this certificate chain (PEM); the control surface is then reached by plain HTTP, at `control`."""
    tls_key: str = ""
    tls_client_ca: str = ""
    """Demand a certificate that this authority (PEM) has signed."""
    tls_max: Literal["1.2", "1.3"] = "1.3"

    def tls(self) -> ssl.SSLContext | None:
        """What the engine's port speaks."""
        if not self.tls_cert:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2 if self.tls_max == "1.2" else ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.tls_cert, self.tls_key)
        if self.tls_client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.tls_client_ca)
        return context


class FakeEngine:
    """The state of one process: its log, its faults and its gauges."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._numbers = itertools.count(1)
        self._log: deque[Record] = deque(maxlen=RECORDS_MAX)
        self._faults = Faults()
        self._running = 0
        self._waiting = 0
        self._read = self._made = 0
        """Tokens of prompts that were not cached, and of answers, as `GET /metrics` tells them."""
        self._slots = asyncio.Semaphore(options.slots or sys.maxsize)
        self._reader = Reader(
            options.flavour, options.prefix_blocks, options.prefix_block_chars, options.prefill_us_per_char
        )
        self._traits = FLAVOURS[options.flavour]
        self._pages: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            f"GET {self._traits.health}": self._health,
            "GET /metrics": self._metrics if self._traits.metrics else _not_found,
            "GET /v1/models": self._models,
            "GET /fake/log": lambda: (200, _JSON, msgspec.json.encode(list(self._log))),
            "POST /fake/reset": self._reset,
        }
        self._work: dict[str, Callable[[Job], Awaitable[None]]] = {
            "/v1/chat/completions": self._generate,
            "/v1/completions": self._generate,
            "/v1/embeddings": self._embed,
            "/v1/rerank": self._rerank,
            "/tokenize": self._tokenize,
            "/apply-template": self._apply_template,
            "/chat_tokenize": self._tokenize,
        }

    async def serve(self, request: Request, connection: Connection) -> None:
        """Answer one request, whatever it is; what a POST did is in the log."""
        record = self._record(request)
        orders: Commands = self._faults if request.path in self._work else Commands()
        try:
            page = self._page(request)
            if page:
                await Body(connection, request, record, orders).whole(*page)
                return
            self._log.append(record)
            if request.path in sounds.PAGES:
                await sounds.answer(request, Body(connection, request, record, orders), record)
                return
            record.body = _decoded(request.body)
            fields = self._checked(request, record.body)
            record.stream = bool(fields.stream)
            orders = commands(answers.command_text(record.body), orders)
            out = Body(connection, request, record, orders)
            async with self._slot():
                await obey(orders)
                await self._work[request.path](Job(record.body, fields, orders, record, out))
        except RefusedError as refusal:
            said = str(refusal) + _quoted(record.body, orders).decode()
            error = shapes.error_json(self._options.flavour, refusal.status, said)
            await Body(connection, request, record, Commands()).whole(refusal.status, _JSON, error)
        except CutError:
            await connection.cut(reset=orders.reset)
        except asyncio.CancelledError:
            record.cancel()
            raise
        finally:
            self._made += record.tokens_made
            record.end()

    def _record(self, request: Request) -> Record:
        given = request.headers.get("x-request-id")
        number = f"{next(self._numbers):08d}"
        return Record(
            id=f"{_PREFIXES.get(request.path, 'req')}-{given or number}",
            x_request_id=given,
            endpoint=request.path,
            headers=request.headers,
            started_at=time.monotonic(),
        )

    def _checked(self, request: Request, body: Json) -> Fields:
        """The fields of a POST that is worth answering. Raises RefusedError."""
        if request.path not in self._work or request.method != "POST":
            raise RefusedError(404, "Not Found")
        key = self._options.api_key
        if key and request.headers.get("authorization") != f"Bearer {key}":
            raise RefusedError(401, "Unauthorized")
        try:
            fields = msgspec.convert(body, Fields)
        except msgspec.ValidationError as error:
            raise RefusedError(400, str(error)) from error
        if request.path == "/v1/chat/completions" and fields.messages is None:
            raise RefusedError(400, "Field required: messages")
        strict = fields.model and self._options.flavour != "llamacpp"
        if strict and fields.model not in self._options.models:
            raise RefusedError(404, f"The model `{fields.model}` does not exist.")
        if self._options.flavour == "tgi" and "value" not in (fields.response_format or {"value": None}):
            raise RefusedError(422, "response_format: missing field `value`")
        return fields

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for one of the places where requests run."""
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._slots.release()

    # Answers that are computed

    async def _generate(self, job: Job) -> None:
        shape = self._shape(job)
        if job.fields.stream:
            await job.out.start()
            await asyncio.sleep(job.orders.prefill_ms / 1000)
        asked = {name: value for name, value in job.body.items() if name != "n" or not self._traits.one_choice}
        answer = await self._reader.read(job.body, answers.answer(asked, job.orders))
        self._read += self._prompt_read(answer)
        if job.fields.stream:
            await stream(job, shape, answer)
        else:
            await compute(job, answer)
            await job.out.whole(200, _JSON, shapes.whole(shape, answer, job.orders), answer.tokens)

    def _shape(self, job: Job) -> shapes.Shape:
        fields, flavour = job.fields, self._options.flavour
        chat = fields.messages is not None
        wanted = fields.stream_options or StreamOptions()
        at_end = wanted.include_usage and not job.orders.no_usage
        alternatives = (fields.top_logprobs or 0) if chat else int(fields.logprobs or 0)
        return shapes.Shape(
            flavour=flavour,
            chat=chat,
            id=job.record.id,
            created=int(time.time()),
            model=fields.model if fields.model in self._options.models else self._options.models[0],
            reasoning_field="reasoning" if flavour == "ollama" else self._options.reasoning_field,
            usage_at_end=at_end,
            usage_running=at_end and wanted.continuous_usage_stats and self._traits.runs_usage,
            timings_running=fields.timings_per_token and flavour == "llamacpp" and not job.orders.no_usage,
            # A completion asks by a number, of which 0 means the chosen token alone; a chat by true.
            logprobs=None if fields.logprobs is None or fields.logprobs is False else alternatives,
            named_call=isinstance(job.body.get("tool_choice"), dict),
            quote=_quoted(job.body, job.orders),
            orders=job.orders,
        )

    def _prompt_read(self, answer: answers.Answer) -> int:
        """vLLM counts all of a prompt, llama.cpp what it computed of it."""
        cached = sum(answer.prompt_cached) if self._options.flavour == "llamacpp" else 0
        return sum(answer.prompt_tokens) - cached

    async def _embed(self, job: Job) -> None:
        vectors = list(answers.embeddings(job.body))
        counted = sum(answers.prompt_tokens(job.body))
        self._read += counted
        as_base64 = job.fields.encoding_format == "base64"
        body = shapes.embedding_body(self._shape(job), vectors, counted, as_base64=as_base64)
        await job.out.whole(200, _JSON, body)

    async def _rerank(self, job: Job) -> None:
        if self._options.flavour in ("tgi", "ollama"):
            raise RefusedError(404, "Not Found")
        tokens = answers.prompt_tokens(job.body)
        self._read += sum(tokens)
        body = shapes.rerank_body(self._shape(job), job.body, answers.relevance(job.body), tokens)
        await job.out.whole(200, _JSON, body)

    async def _tokenize(self, job: Job) -> None:
        if self._faults.no_tokenizer or self._options.flavour == "ollama":
            raise RefusedError(404, "Not Found")
        if self._options.flavour == "tgi":
            await job.out.whole(200, _JSON, shapes.tgi_tokens(job.body))
            return
        if self._options.flavour == "llamacpp":
            ids = answers.token_ids(job.body.get("content", ""))
            text = job.body.get("content", "")
            # What the template gave has its special tokens.
            special = 0 if job.body.get("add_special") and not text.startswith(OPENING) else answers.SPECIAL_TOKENS
            body: Json = {"tokens": ids[special:]}
        else:
            special = 0 if job.body.get("add_special_tokens", True) else answers.SPECIAL_TOKENS
            ids = answers.token_ids(" ".join(answers.texts(job.body)))[special:]
            body = {"count": len(ids), "max_model_len": CONTEXT_TOKENS_MAX, "tokens": ids, "token_strs": None}
        await job.out.whole(200, _JSON, msgspec.json.encode(body))

    async def _apply_template(self, job: Job) -> None:
        """llama.cpp's text of a prompt: it has as many words as the chat is charged tokens."""
        prompt = " ".join([OPENING, *answers.texts(job.body), "<end>", "<answer>"])
        await job.out.whole(200, _JSON, msgspec.json.encode({"prompt": prompt}))

    # Pages, answered at once

    def _page(self, request: Request) -> tuple[int, str, bytes] | None:
        endpoint = f"{request.method} {request.path}"
        if endpoint == "POST /fake/faults":
            return self._set_faults(request.body)
        page = self._pages.get(endpoint)
        return page and page()

    def _set_faults(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            self._faults = msgspec.json.decode(body, type=Faults)
        except msgspec.DecodeError as error:
            return 400, _JSON, shapes.error_json("plain", 400, str(error))
        return 200, _JSON, b"{}"

    def _reset(self) -> tuple[int, str, bytes]:
        self._log.clear()
        self._faults = Faults()
        return 200, _JSON, b"{}"

    def _health(self) -> tuple[int, str, bytes]:
        body = b'{"status":"ok"}' if self._options.flavour == "llamacpp" else b""
        return self._faults.health_status, _JSON, body

    def _models(self) -> tuple[int, str, bytes]:
        names, flavour = self._options.models, self._options.flavour
        return 200, _JSON, shapes.models_body(flavour, names, int(time.time()), CONTEXT_TOKENS_MAX)

    def _metrics(self) -> tuple[int, str, bytes]:
        gauges = Gauges(self._running, self._waiting, self._read, self._made + self._faults.miscount)
        page = metrics_page(self._options.flavour, self._options.models[0], gauges)
        return 200, "text/plain; version=0.0.4", page


def _not_found() -> tuple[int, str, bytes]:
    return 404, "text/plain", b"404 page not found"


def _quoted(body: Json, orders: Commands) -> bytes:
    """The request as an error of this engine repeats it, where that was ordered."""
    return b" " + msgspec.json.encode(body) if orders.quote else b""


def _decoded(body: bytes) -> Json:
    """The JSON object of a request. Raises RefusedError."""
    try:
        return msgspec.json.decode(body or b"{}", type=Json)
    except msgspec.DecodeError as error:
        raise RefusedError(400, str(error)) from error


async def run(options: Options) -> None:
    """Serve until SIGTERM, SIGINT or, where asked, the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    if options.die_with_stdin:
        loop.add_reader(STDIN, _stop_at_end_of_input, stop)
    engine = FakeEngine(options)
    idle_s_max = options.idle_close_ms / 1000
    tls = options.tls()

    async def listen(port: int, tls: ssl.SSLContext | None) -> str:
        server = await loop.create_server(
            lambda: Connection(engine.serve, idle_s_max), "127.0.0.1", port, ssl=tls, backlog=BACKLOG
        )
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    address = await listen(options.port, tls)
    control = await listen(0, None) if tls else address
    sys.stdout.write(f'{{"address": "{address}", "control": "{control}"}}\n')
    sys.stdout.flush()
    await stop.wait()


def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    if not os.read(STDIN, 4096):
        stop.set()
