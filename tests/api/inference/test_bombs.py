"""What hurts engines is refused by its name, at once, and no engine ever sees it."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from parvis.testing.hostile.bomb import CHAT, CHAT_MODEL, HELLO, MEBIBYTE, Json
from parvis.testing.hostile.bombs import BOMBS
from parvis.testing.raw_http import request, responses, said

REFUSED_S_MAX = 5.0
"""The promise is 20 ms; this only tells a bound from none."""
BOMBS_MIN = 150
ERRORS = Path(__file__).parents[3] / "docs" / "reference" / "errors.md"
NO_BOMBS: dict[str, Json | bytes] = {
    "a long text": HELLO | {"messages": [{"role": "user", "content": "Où est la gare ? " * 180_000}]},
    "a text of escapes": b'{"model":"%b","messages":[{"role":"user","content":"%b"}]}'
    % (CHAT_MODEL.encode(), b"\\n" * (2 * MEBIBYTE - 100)),
    "a table in a text": HELLO | {"messages": [{"role": "user", "content": '1,[2],{"a": 3},\n' * 100_000}]},
    "many long messages": HELLO | {"messages": [{"role": "user", "content": "x" * 1900}] * 2048},
    "many tools": HELLO
    | {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": f"look_{place}",
                    "description": "Look something up, and tell what it is. " * 20,
                    "parameters": {
                        "type": "object",
                        "properties": {
                            f"p{n}": {"type": "string", "description": "what, where, when"} for n in range(12)
                        },
                        "required": ["p0", "p1"],
                    },
                },
            }
            for place in range(128)
        ]
    },
    "a number below floats": HELLO | {"temperature": 1e-400},
    "an escaped key": json.dumps(HELLO).replace("model", "\\u006dodel", 1).encode(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(house: Any, name: str) -> None:
    bomb = BOMBS[name]
    house.engine.reset()
    data = bomb.request(house.key)
    started_s = time.monotonic()
    [answer] = responses(said(house.port, data))
    assert time.monotonic() - started_s < REFUSED_S_MAX
    assert (answer.status, answer.error["code"]) == (bomb.status, bomb.code), answer.error
    assert len(answer.body) < 1000
    assert house.engine.log() == []


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(BOMBS) >= BOMBS_MIN
    bodies = {(bomb.path, bomb.make(), str(bomb.headers)) for bomb in BOMBS.values()}
    assert len(bodies) == len(BOMBS)


def test_every_code_of_a_refusal_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", ERRORS.read_text(), re.MULTILINE))
    assert {bomb.code for bomb in BOMBS.values()} <= explained


@pytest.mark.parametrize("name", NO_BOMBS)
def test_what_is_large_or_strange_and_right_is_answered(house: Any, name: str) -> None:
    house.service.allow(CHAT_MODEL, "chat", "tools")
    body = NO_BOMBS[name]
    content = body if isinstance(body, bytes) else json.dumps(body | {"max_tokens": 1}).encode()
    assert len(content) <= 4 * MEBIBYTE
    [answer] = responses(said(house.port, request("POST", CHAT, "Connection: close", body=content, key=house.key)))
    assert answer.status == 200, answer.body
