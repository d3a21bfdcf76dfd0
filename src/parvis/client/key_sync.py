"""A key that renews itself where its application reads it.

    with httpx.Client(base_url="https://console.example.eu:8001", trust_env=False) as api:
        sync_key(api, KeyFile(Path("openai.key")), reload=restart_my_application)

At whichever point this dies, the application's key works: the old one does for the overlap, and what was fetched and
never used is replaced by the next run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from parvis.client.key_places import Errand, KeyPlace, errand
from parvis.core.errors import Conflict, Failure, NotAuthenticated, NotPermitted, Unavailable
from parvis.core.secret import Secret
from parvis.domain.identity.key_text import read_key

ROUTE = "/v1/keys/sync"
SETTLED_S = 1.0
"""By then every gateway knows a secret that was just made."""
VERIFY_S_MAX = 30.0
VERIFY_EVERY_S = 1.0
Json = dict[str, Any]
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Synced:
    """What came of one sync."""

    rotated: bool
    reloaded: bool
    state: Json
    """What the service says of the key, without any secret: `phase`, `due_at`, `ends_at`, `secrets`."""


def nothing() -> None:
    """The reload of an application that reads its key for every call."""


def sync_key(
    api: httpx.Client,
    place: KeyPlace,
    *,
    rotate: bool = False,
    reload: Callable[[], None] = nothing,
    sleep: Sleep = time.sleep,
) -> Synced:
    """Fetch the next secret if it is due (or now, with `rotate`), and put the new key in the place of the old one.

    `api` leads to the customers' API. `reload` tells the application, and is asked again by the next sync when it
    raised. Raises Failure: NotAuthenticated when the key works no more, Unavailable when nobody answers, Misconfigured
    when the place cannot be read or written, Conflict when another sync of it runs.
    """
    with errand(place) as task:
        current = place.read()
        state = _ask(api, "GET", current)
        rotated = False
        if rotate or state["next_wanted"]:
            state, fetched = _fetch(api, current, rotate=rotate)
            if fetched is not None:
                sleep(SETTLED_S)
                _exchange(api, place, task, current, fetched, sleep)
                rotated = True
        reloaded = task.reload_owed
        if reloaded:
            reload()
            task.owe(reload=False)
        return Synced(rotated, reloaded, state)


def _fetch(api: httpx.Client, current: Secret, *, rotate: bool) -> tuple[Json, Secret | None]:
    answer = _ask(api, "POST", current, {"rotate": rotate})
    text = answer.pop("key", None)
    if text is not None and (not isinstance(text, str) or read_key(text) is None):
        raise Unavailable("The service's answer holds no whole key. The old one stays.")
    return answer, None if text is None else Secret(text, "the next key")


def _exchange(api: httpx.Client, place: KeyPlace, task: Errand, current: Secret, fetched: Secret, sleep: Sleep) -> None:
    """The old key is put back only when the service says that the new one is wrong: no answer says nothing."""
    task.owe(reload=True)
    place.write(fetched)
    try:
        _verify(api, fetched, sleep)
    except NotAuthenticated:
        place.write(current)
        task.owe(reload=False)
        raise


def _verify(api: httpx.Client, fetched: Secret, sleep: Sleep) -> None:
    """Use it once. From then on the service knows that it has arrived."""
    waited_s = 0.0
    while True:
        try:
            _ask(api, "GET", fetched)
            return
        except Unavailable:
            if waited_s >= VERIFY_S_MAX:
                raise
        sleep(VERIFY_EVERY_S)
        waited_s += VERIFY_EVERY_S


def _ask(api: httpx.Client, method: str, key: Secret, body: Json | None = None) -> Json:
    headers = {"authorization": f"Bearer {key.reveal()}"}
    try:
        response = api.request(method, ROUTE, headers=headers, json=body)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as problem:
        raise Unavailable(f"{api.base_url.netloc.decode()} does not answer ({type(problem).__name__}).") from None
    if response.is_success and isinstance(answer, dict) and "next_wanted" in answer:
        return answer
    raise _refusal(response.status_code, answer)


def _refusal(status: int, answer: object) -> Failure:
    error = answer.get("error") if isinstance(answer, dict) else None
    said = error if isinstance(error, dict) else {}
    message, code = str(said.get("message", f"It answers with status {status}."))[:500], said.get("code")
    kinds: dict[int, type[Failure]] = {
        HTTPStatus.UNAUTHORIZED: NotAuthenticated,
        HTTPStatus.FORBIDDEN: NotPermitted,
        HTTPStatus.CONFLICT: Conflict,
    }
    return kinds.get(status, Unavailable)(message, code=code if isinstance(code, str) else None)
