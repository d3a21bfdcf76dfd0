"""Requests drawn from a grammar of all routes, with something wrong in most of them. Made quickly: millions are needed.

Two kinds. A *framed* input is good HTTP around anything, so it has exactly one answer and many fit on one connection. A
*loose* one was hit anywhere, its head and its framing too; nobody can say in how many requests it will be read.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any

CHAT_MODEL, EMBEDDING_MODEL = "smollm2-135m-instruct", "all-minilm-l6-v2"


def _texts(*values: Any) -> tuple[str, ...]:
    return tuple(json.dumps(value, ensure_ascii=False) for value in values)


_MESSAGES = _texts(
    [{"role": "user", "content": "@tokens=1 a"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "@tokens=1 b"}]},
    ],
    [
        {"role": "user", "content": "@tokens=1 c"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ],
)
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_SAMPLING: dict[str, tuple[str, ...]] = {
    "stream": ("true", "false"),
    "stream_options": ('{"include_usage":true}', "{}"),
    "temperature": ("0", "0.7", "2"),
    "top_p": ("1", "0.5"),
    "n": ("1", "2"),
    "stop": _texts("x", ["a", "b"]),
    "seed": ("1", "-1"),
    "presence_penalty": ("0",),
    "frequency_penalty": ("-1",),
    "logit_bias": ('{"5":1}',),
    "top_k": ("5",),
    "min_p": ("0.1",),
    "ignore_eos": ("false",),
    "min_tokens": ("0",),
    "user": ('"u"',),
    "max_tokens": ("1", "4"),
}
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "/v1/chat/completions": _SAMPLING
    | {
        "model": _texts(CHAT_MODEL),
        "messages": _MESSAGES,
        "max_completion_tokens": ("2",),
        "logprobs": ("true",),
        "top_logprobs": ("2",),
        "tools": _texts([{"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}], []),
        "tool_choice": _texts("auto", "none"),
        "parallel_tool_calls": ("true",),
        "response_format": _texts(
            {"type": "text"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}}
        ),
        "metadata": ('{"a":"b"}',),
        "store": ("false",),
        "prediction": _texts({"type": "content", "content": "x"}),
        "modalities": ('["text"]',),
        "verbosity": ('"medium"',),
    },
    "/v1/completions": _SAMPLING
    | {
        "model": _texts(CHAT_MODEL),
        "prompt": _texts("@tokens=1 d", ["@tokens=1 e", "@tokens=1 f"]),
        "logprobs": ("0", "2"),
        "echo": ("false",),
        "best_of": ("1",),
        "suffix": ('""',),
    },
    "/v1/embeddings": {
        "model": _texts(EMBEDDING_MODEL),
        "input": _texts("one", ["one", "two"]),
        "encoding_format": _texts("float", "base64"),
        "dimensions": ("384",),
        "user": ('"u"',),
    },
}
NEEDED = {
    "/v1/chat/completions": ("model", "messages"),
    "/v1/completions": ("model", "prompt"),
    "/v1/embeddings": ("model", "input"),
}
_ODD = (
    *_texts(*(None, True, 0, -1, 1, 2**31, -(2**63), 2**64, 10**400, 0.1, -0.0, 1e308, "", "x", "é🙂\x00", "x" * 3000)),
    *_texts([], [[]], [None], {}, {"": ""}, {"a": {"a": {}}}, [{}] * 50, {"type": "text"}, "@", "<|im_end|>", "../.."),
    *_texts([{"role": "user"}], [{"role": "x", "content": "y"}], ["a"] * 40, {"$ref": "#"}, {"type": "function"}),
    "NaN", "Infinity", "1e999", "1e-999", "01", "0x1", '"\\ud800"', '"\\u0000"', '"\\"', "[" * 300, '{"a":' * 200,
    '"\\u006d"', "'x'", "nul", "", '{"a":1,"a":2}', '"' + "\\u00e9" * 200 + '"', "[[1,2],[3]]", "{}{}", "1 2",
)  # fmt: skip
_NAMES = (
    "x",
    "",
    "model",
    "n",
    "stream",
    "$ref",
    "chat_template",
    "guided_json",
    "priority",
    "a\\u0062",
    "é",
    "functions",
)
_TARGETS = (
    "/v1/models", "/v1/models/", f"/v1/models/{CHAT_MODEL}", "/v1/models/x", "/v1/models/%00", "/v1/models/%ff%fe", "/",
    "/v1", "/v1/chat", "/v1/chat/completions/", "//v1/models", "/v1/chat/completions?a=b&c", "/v1/../v1/models",
    "/metrics", "/v1/models/" + "x" * 2000, "/v1/models/..%2f..%2fetc", "/healthz", "/v1/completions/x",
    "/v1/embeddings//", "/%",
)  # fmt: skip
_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST", "TRACE", "PROPFIND")
_LINES = (
    "Origin: https://app.example", "Content-Type: application/json", "Content-Type: text/plain; charset=utf-16",
    "Content-Encoding: gzip", "Content-Encoding: identity", "Expect: 100-continue", "X-Stainless-Retry-Count: 2",
    "OpenAI-Organization: x", "Idempotency-Key: a", "X-Request-Id: mine", "Accept: text/html", "Accept-Encoding: br",
    "Cookie: a=b", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=_", "Range: bytes=0-1", "If-None-Match: *",
    "Trailer: x", "Connection: keep-alive, x", "X-Odd: \u00e9\u00ff", "X-Long: " + "y" * 3000,
    "Transfer-Coding: chunked",
)  # fmt: skip
_CREDENTIALS = (
    "Bearer x",
    "Basic YTpi",
    "Bearer",
    "",
    "Bearer sk-parvis_a_b_c",
    "bearer \u00e9",
    "Bearer " + "x" * 3000,
)
_JUNK = (b"\r\n", b"\n", b"\x00", b"\xff", b" ", b":", b"[", b"{", b'"', b"\\", b"0", b"\r\n\r\n", b",", b"}", b"\\u00")


@dataclass(frozen=True, slots=True)
class Input:
    """One request. `bodiless` tells that its answer has no body: HEAD's."""

    data: bytes
    bodiless: bool = False


@dataclass(slots=True)
class Grammar:
    """Draws inputs. The same seed draws the same ones."""

    key: str
    seed: int
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def framed(self) -> Input:
        """Good HTTP around anything."""
        if self._coin(0.06):
            return self._elsewhere()
        path = self.dice.choice(tuple(FIELDS))
        body = self._body(path)
        return Input(self._request("POST", path, self.damaged(body) if self._coin(0.2) else body))

    def loose(self) -> bytes:
        """Hit anywhere. A proper request that closes stands behind it, so that its connection soon ends."""
        path = self.dice.choice(tuple(FIELDS))
        tail = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        return self.damaged(self._request("POST", path, self._body(path))) + tail

    def damaged(self, data: bytes) -> bytes:
        """Some bytes are flipped, cut out, doubled or put in."""
        dice, damaged = self.dice, bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 3))):
            start = int(dice.random() * (len(damaged) + 1))
            end = start + dice.choice((0, 1, 1, 2, 8, 64))
            piece = damaged[start:end]
            match int(dice.random() * 4):
                case 0:
                    damaged[start:end] = b""
                case 1:
                    damaged[start:end] = dice.choice(_JUNK)
                case 2:
                    damaged[start:end] = piece + piece
                case _:
                    damaged[start:end] = bytes(255 - byte for byte in piece)
        return bytes(damaged)

    def _coin(self, chance: float) -> bool:
        return self.dice.random() < chance

    def _body(self, path: str) -> bytes:
        """A few fields of the route, most with values that they may have."""
        dice, fields = self.dice, FIELDS[path]
        names = [*NEEDED[path], *dice.sample(tuple(fields), dice.choice((0, 1, 2, 4)))]
        if self._coin(0.1):
            names[int(dice.random() * len(names))] = dice.choice(_NAMES)
        odd = int(dice.random() * len(names) * 1.1)  # one odd value, or none
        pairs = [
            f'"{name}":{dice.choice(_ODD if place == odd else fields.get(name, _ODD))}'
            for place, name in enumerate(names)
        ]
        return f"{{{','.join(dict.fromkeys(pairs))}}}".encode()

    def _elsewhere(self) -> Input:
        method, target = self.dice.choice(_METHODS), self.dice.choice(_TARGETS)
        return Input(self._request(method, target, b""), method == "HEAD")

    def _request(self, method: str, target: str, body: bytes) -> bytes:
        dice = self.dice
        credential = f"Bearer {self.key}" if self._coin(0.95) else dice.choice(_CREDENTIALS)
        more = f"{dice.choice(_LINES)}\r\n" if self._coin(0.3) else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credential}\r\n{more}"
        return head.encode("latin-1") + b"Content-Length: %d\r\n\r\n" % len(body) + body
