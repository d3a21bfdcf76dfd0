"""The words of the protocol: events and bodies of chats and completions, as the gateway reads them of every engine.

Events are laid out as vLLM lays them out, the counts last: so the gateway knows most of them without reading JSON.
"""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parvis.adapters.openvino.batch import Part
from parvis.adapters.openvino.vocabulary import Vocabulary

Json = dict[str, Any]
encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Answer:
    """One answer of a request, as far as it has come."""

    prompt_tokens: int
    """Of the prompt that it answers."""
    text: list[str] = field(default_factory=list)
    logprobs: list[tuple[int, float]] = field(default_factory=list)
    tokens: int = 0
    finish: str = ""
    begun: bool = False

    def take(self, part: Part) -> None:
        """One part more."""
        self.text.append(part.text)
        self.logprobs += part.logprobs
        self.tokens, self.finish = part.tokens, part.finish


class Shape:
    """How the answers of one request are written."""

    def __init__(self, vocabulary: Vocabulary, *, chat: bool, model: str, logprobs: bool) -> None:
        self._vocabulary = vocabulary
        self._chat = chat
        self._logprobs = logprobs
        self._head: Json = {
            "id": ("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex,
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._event_head = {**self._head, "object": "chat.completion.chunk"} if chat else self._head
        self._before = b'data: %b,"choices":[{"index":' % encode(self._event_head)[:-1]

    def event(self, part: Part, answer: Answer, *, running: bool) -> bytes:
        """One part of one answer; with the counts of this answer and its prompt so far."""
        text = encode(part.text)
        if self._chat:
            role = b"" if answer.begun else b'"role":"assistant",'
            said = b'"delta":{%b"content":%b}' % (role, text)
        else:
            said = b'"text":' + text
        logprobs = encode({"content": self._told(part.logprobs)}) if self._logprobs and part.logprobs else b"null"
        finish = encode(part.finish) if part.finish else b"null"
        counts = b',"usage":' + encode(usage(answer.prompt_tokens, part.tokens)) if running else b""
        return b'%b%d,%b,"logprobs":%b,"finish_reason":%b}]%b}\n\n' % (
            self._before, part.index, said, logprobs, finish, counts,
        )  # fmt: skip

    def last_event(self, counts: Json) -> bytes:
        """The counts of all answers alone."""
        return b"data: %b\n\n" % encode({**self._event_head, "choices": [], "usage": counts})

    def whole(self, answers: Sequence[Answer], counts: Json) -> bytes:
        """All of it."""
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        return encode({**self._head, "choices": choices, "usage": counts})

    def _choice(self, index: int, answer: Answer) -> Json:
        text = "".join(answer.text)
        said: Json = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        logprobs = {"content": self._told(answer.logprobs)} if self._logprobs else None
        return {"index": index, **said, "logprobs": logprobs, "finish_reason": answer.finish}

    def _told(self, logprobs: Iterable[tuple[int, float]]) -> list[Json]:
        """Of tokens that write something; their alternatives are not known."""
        told = []
        for token, value in logprobs:
            if text := self._vocabulary.text_of(token):
                word = text.decode("utf-8", "replace")
                told.append({"token": word, "logprob": min(value, 0.0), "bytes": list(text), "top_logprobs": []})
        return told


def usage(prompt: int, output: int) -> Json:
    """Counts of tokens. Which of the prompt's came from the prefix cache OpenVINO does not tell, so nothing is said."""
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def failed(message: str, kind: str, *, code: str, param: str | None = None) -> Json:
    """The shape of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
