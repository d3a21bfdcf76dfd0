"""What a bomb is, and the good requests that bombs are made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parvis.testing.raw_http import request

Json = dict[str, Any]
CHAT, COMPLETION, EMBEDDING = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
CHAT_MODEL, EMBEDDING_MODEL = "smollm2-135m-instruct", "all-minilm-l6-v2"
"""What the models of the service must be called for these requests to be good but for one thing."""
HELLO: Json = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello."}]}
PROMPT: Json = {"model": CHAT_MODEL, "prompt": "Hello."}
INPUT: Json = {"model": EMBEDDING_MODEL, "input": "Hello."}
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Bomb:
    """One request, how it must be refused, and by which name."""

    name: str
    code: str
    make: Callable[[], bytes]
    """The body. It is made when it is needed: some are megabytes."""
    path: str = CHAT
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, key: str) -> bytes:
        """The whole request; its connection is to be closed behind it."""
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        return request("POST", self.path, *lines, "Connection: close", body=self.make() or b"", key=key)


def chat(name: str, code: str = "invalid_value", **fields: Any) -> Bomb:
    """A chat that is good but for these fields."""
    return Bomb(name, code, lambda: json.dumps(HELLO | fields).encode())


def completion(name: str, code: str = "invalid_value", **fields: Any) -> Bomb:
    """The same for a completion."""
    return Bomb(name, code, lambda: json.dumps(PROMPT | fields).encode(), COMPLETION)


def embedding(name: str, code: str = "invalid_value", **fields: Any) -> Bomb:
    """The same for embeddings."""
    return Bomb(name, code, lambda: json.dumps(INPUT | fields).encode(), EMBEDDING)


def said(name: str, code: str, *messages: Any) -> Bomb:
    """A chat of these messages."""
    return chat(name, code, messages=list(messages))


def more(name: str, code: str, text: str) -> Bomb:
    """A chat whose JSON goes on like this, from the comma on."""
    return Bomb(name, code, lambda: json.dumps(HELLO)[:-1].encode() + text.encode() + b"}")


def raw(name: str, code: str, make: Callable[[], bytes], status: int = 400) -> Bomb:
    """A body that is made by hand."""
    return Bomb(name, code, make, status=status)
