"""The operator API as commands use it: JSON in and out, and a `Failure` with the service's own sentence."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import httpx

from parvis.cli.place import reachable, settings_of
from parvis.core.errors import Failure, Misconfigured, Unavailable
from parvis.core.secret import Secret
from parvis.settings import Settings

CALL_S_MAX = 60.0
CHECK_S_MAX = 900.0
TOKEN_FILE = "operator.token"  # noqa: S105 - the name of the file, not what is in it
PAGE = 1000
Json = dict[str, Any]


class OperatorApi:
    """One command's connection. Raises Unavailable when nobody answers, Failure for every refusal."""

    def __init__(self, settings: Settings) -> None:
        self._where = reachable(settings.operator)
        token = read_token(settings.home)
        self._client = httpx.Client(
            base_url=f"http://{self._where}",
            headers={"authorization": f"Bearer {token.reveal()}"},
            timeout=CALL_S_MAX,
            trust_env=False,  # a proxy of the environment must never see the token
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, timeout_s: float = CALL_S_MAX, **query: str | int | None) -> Json:
        said = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path, params=said, timeout=timeout_s)

    def post(self, path: str, body: Json) -> Json:
        return self._call("POST", path, json=body)

    def delete(self, path: str) -> Json:
        return self._call("DELETE", path)

    def every(self, path: str) -> Iterator[Json]:
        """The items of all pages of a list."""
        after: str | None = None
        while True:
            page = self.get(path, after=after, limit=PAGE)
            yield from page["data"]
            after = page["next"]
            if after is None:
                return

    def _call(self, method: str, path: str, **sent: Any) -> Json:
        try:
            response = self._client.request(method, path, **sent)
        except httpx.HTTPError:
            raise Unavailable(f"The service does not answer at {self._where}. Start it with `parvis up`.") from None
        return answer_of(response)


def answer_of(response: httpx.Response) -> Json:
    """The JSON object of a good answer. Raises Failure with the sentence of a bad one."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and response.status_code < HTTPStatus.BAD_REQUEST:
        return body
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        raise Failure(error["message"], code=error.get("code"))
    raise Unavailable(f"What answers at {response.url.host}:{response.url.port} is not Parvis.")


def read_token(home: Path) -> Secret:
    """The operator's credential. Raises Misconfigured."""
    path = home / TOKEN_FILE
    try:
        return Secret(path.read_text().strip(), "operator token")
    except FileNotFoundError:
        raise Misconfigured(f"There is no {path}. Start the service with `parvis up`, or say --home.") from None
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be read: {problem.strerror}.") from None


def operator_api(ctx: click.Context) -> OperatorApi:
    """The operator API of this command's data folder."""
    return OperatorApi(settings_of(ctx))
