"""The operator API as commands use it: JSON in and out, and a `Failure` with the service's own sentence."""

import os
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import click
import httpx

from parvis.app.tls import pinning_context
from parvis.cli.place import base_of, settings_of
from parvis.cli.remote import Remote, base_url, read_secret, remote_of, trust
from parvis.core.errors import (
    BadRequest,
    Conflict,
    Failure,
    Misconfigured,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Unavailable,
)
from parvis.core.secret import Secret
from parvis.settings import Settings, WebListener

CALL_S_MAX = 60.0
CHECK_S_MAX = 900.0
SAVE_S_MAX = 900.0
TOKEN_FILE = "operator.token"  # noqa: S105 - the name of the file, not what is in it
PAGE = 1000
Json = dict[str, Any]
_KINDS: dict[int, type[Failure]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.UNAUTHORIZED: NotAuthenticated,
    HTTPStatus.FORBIDDEN: NotPermitted,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}


class NobodyAnswers(Unavailable):
    """There is no service at that address, or none that we trust."""


class OperatorApi:
    """One command's connection. Raises NobodyAnswers, and the failure that each refusal was."""

    def __init__(self, settings: Settings, remote: Remote | None = None) -> None:
        remote = remote or Remote()
        self._where = base_url(remote.url) if remote.url else base_of(settings.operator)
        token = _token(settings, remote)
        self._client = httpx.Client(
            base_url=self._where,
            headers={"authorization": f"Bearer {token.reveal()}", "accept-language": language_of(os.environ)},
            timeout=CALL_S_MAX,
            verify=_verified(settings.operator, remote, self._where),
            trust_env=False,  # a proxy of the environment must never see the token
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, timeout_s: float = CALL_S_MAX, **query: str | int | None) -> Json:
        said = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path, params=said, timeout=timeout_s)

    def file(self, path: str, **query: str | int | None) -> bytes:
        """An answer as it is, to its last byte."""
        said = {name: value for name, value in query.items() if value is not None}
        response = self._asked("GET", path, params=said)
        answer_of(response)
        return response.content

    def download(self, path: str, **query: str | int | None) -> bytes:
        """A file that is no JSON, as it is."""
        said = {name: value for name, value in query.items() if value is not None}
        response = self._asked("GET", path, params=said)
        if not response.is_success:
            answer_of(response)
        return response.content

    def save(self, path: str, into: IO[bytes], **query: str | int | None) -> None:
        """An answer of any size, written where it is wanted while it comes."""
        said = {name: value for name, value in query.items() if value is not None}
        try:
            with self._client.stream("GET", path, params=said, timeout=SAVE_S_MAX) as response:
                if not response.is_success:
                    response.read()
                    answer_of(response)
                for part in response.iter_bytes():
                    into.write(part)
        except httpx.HTTPError as problem:
            raise NobodyAnswers(_away(self._where, problem)) from None

    def post(self, path: str, body: Json, timeout_s: float = CALL_S_MAX) -> Json:
        return self._call("POST", path, json=body, timeout=timeout_s)

    def patch(self, path: str, body: Json) -> Json:
        return self._call("PATCH", path, json=body)

    def put(self, path: str, body: Json) -> Json:
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Json:
        return self._call("DELETE", path)

    def some(self, path: str, limit: int | None, **query: str | int | None) -> list[Json]:
        """The first items of a list, or all of them, whatever the size of a page."""
        return list(islice(self.every(path, **query), limit))

    def every(self, path: str, **query: str | int | None) -> Iterator[Json]:
        """The items of all pages of a list."""
        after: str | None = None
        while True:
            page = self.get(path, CALL_S_MAX, **{**query, "after": after, "limit": PAGE})
            yield from page["data"]
            after = page["next"]
            if after is None:
                return

    def _call(self, method: str, path: str, **sent: Any) -> Json:
        return answer_of(self._asked(method, path, **sent))

    def _asked(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **sent)
        except httpx.HTTPError as problem:
            raise NobodyAnswers(_away(self._where, problem)) from None


def language_of(environ: Mapping[str, str]) -> str:
    """Of the terminal (`fr_FR.UTF-8` is `fr`): refusals and reasons come in it, as far as the service speaks it."""
    said = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = next(filter(None, said), "").partition("_")[0].lower()
    return language if language.isascii() and language.isalpha() else "en"


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
        kind = _KINDS.get(response.status_code, Failure)
        raise kind(error["message"], code=error.get("code"), param=error.get("param"))
    raise NobodyAnswers(f"What answers at {response.url.host}:{response.url.port} is not Parvis.")


def _away(where: str, problem: httpx.HTTPError) -> str:
    """Why nobody answered."""
    place = where.partition("://")[2]
    if "CERTIFICATE_VERIFY_FAILED" in str(problem):
        return f"The certificate of {place} was not signed by anybody who is trusted here. Say --ca."
    return f"The service does not answer at {place}. Start it with `parvis up`."


def _verified(operator: WebListener, remote: Remote, where: str) -> ssl.SSLContext:
    """Whose certificate is believed: of this machine's own service, the one in the settings and no other."""
    if not where.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody's: reading this machine's trust takes 70 ms
    ours = operator.tls_cert if not remote.url and remote.ca is None else ""
    return pinning_context(ours, "operator") if ours else trust(remote.ca)


def _token(settings: Settings, remote: Remote) -> Secret:
    """Whose rights the command has. The operator's token never leaves for another machine."""
    if remote.token_file is not None:
        return read_secret(remote.token_file, "personal token")
    if remote.url:
        raise Misconfigured("--url needs --token-file (or PARVIS_TOKEN_FILE): the file of your personal token.")
    return read_token(settings.home)


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
    """The operator API of this command's data folder, or the one that `--url` names."""
    return OperatorApi(settings_of(ctx), remote_of(ctx))
