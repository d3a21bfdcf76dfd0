"""A conversation with a model over the inference listener, streamed, as any client of the protocol would hold it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from parvis.app.tls import pinning_context
from parvis.cli.operator_api import answer_of
from parvis.cli.place import reachable
from parvis.core.errors import Failure, NotFound, Unavailable
from parvis.core.secret import Secret
from parvis.settings import Settings

ANSWER_S_MAX = 600.0
CONNECT_S_MAX = 5.0
_FIRST_CHOICE = "default"
_CUT = "The answer was cut before its end. Ask again."


class Conversation:
    """What was said so far, and what it took. Raises Failure for every refusal and for an answer that was cut."""

    def __init__(self, base_url: str, key: Secret, certificate: Path | None = None) -> None:
        self.usage: Counter[str] = Counter()
        self._messages: list[dict[str, str]] = []
        self._base_url = base_url
        trusted = pinning_context(str(certificate)) if certificate else True
        self._client = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {key.reveal()}"},
            timeout=httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            trust_env=False,  # a proxy of the environment must never see the key
            verify=trusted,
        )

    def close(self) -> None:
        self._client.close()

    def chosen_model(self, wanted: str | None) -> str:
        """The wanted model, else the one called `default`, else the first that can chat. Raises NotFound."""
        if wanted is not None:
            return wanted
        try:
            models = answer_of(self._client.get("models"))["data"]
        except httpx.HTTPError:
            raise self._away() from None
        chatting = [model for model in models if "chat" in model.get("capabilities", ())]
        for model in chatting:
            if _FIRST_CHOICE in model.get("aliases", ()):
                return str(model["id"])
        if not chatting:
            raise NotFound("No model that can chat is served to this key. `parvis model list` shows the catalogue.")
        return str(chatting[0]["id"])

    def say(self, model: str, text: str) -> Iterator[str]:
        """Ask, and give the answer piece by piece. It is remembered once it is whole."""
        asked = [*self._messages, {"role": "user", "content": text}]
        body = {"model": model, "messages": asked, "stream": True, "stream_options": {"include_usage": True}}
        said: list[str] = []
        try:
            with self._client.stream("POST", "chat/completions", json=body) as response:
                if response.status_code >= HTTPStatus.BAD_REQUEST:
                    response.read()
                    answer_of(response)
                for event in events(response.iter_lines()):
                    piece = self._piece(event)
                    said.append(piece)
                    yield piece
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise self._away() from None
        except httpx.HTTPError:
            raise Failure(_CUT) from None
        self._messages = [*asked, {"role": "assistant", "content": "".join(said)}]

    def _piece(self, event: dict[str, Any]) -> str:
        usage = event.get("usage") or {}
        self.usage.update({name: usage[name] for name in ("prompt_tokens", "completion_tokens") if name in usage})
        self.usage["cached"] += (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        self.usage["reasoning"] += (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))

    def _away(self) -> Unavailable:
        return Unavailable(f"The service does not answer at {self._base_url}. Start it with `parvis up`.")


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream up to its end. Raises Failure for an error among them, and when the end never came."""
    for line in lines:
        data = line.removeprefix("data: ")
        if data == line:
            continue
        if data == "[DONE]":
            return
        event = _read(data)
        if "error" in event:
            raise Failure(str(event["error"].get("message")))
        yield event
    raise Failure(_CUT)


def _read(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Failure("The service sent an event that is no JSON object. `parvis doctor` may know why.")
    return event


def base_url_of(settings: Settings) -> str:
    """Where the inference listener of these settings answers."""
    scheme = "https" if settings.inference.tls_cert else "http"
    return f"{scheme}://{reachable(settings.inference)}/v1/"
