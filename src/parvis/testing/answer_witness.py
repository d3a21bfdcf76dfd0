"""An administration application whose every answer is compared with what its description says of it."""

import json
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parvis.api.console.organization.answers_reports import AuditFacts, AuditLines, AuditObject
from parvis.api.web.guarded import GuardedRoute
from parvis.api.web.routes import Route

SUCCESSES = range(200, 300)


class AnswerWitness:
    """Stands before an application. Of a success in JSON, `told` says what differs, and `seen` which route it was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.told: list[str] = []
        self.seen: set[Route] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 0, bytearray()

        async def heard(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            body.extend(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._compare(scope.get("route"), status, bytes(body))
            await send(message)

        await self._app(scope, receive, heard)

    def _compare(self, served: object, status: int, body: bytes) -> None:
        if not isinstance(served, GuardedRoute) or served.declared.shows is None or status not in SUCCESSES:
            return
        route = served.declared
        self.seen.add(route)
        if difference := difference_of(route, body):
            self.told.append(f"{route.method} {route.path}: {difference}")


def difference_of(route: Route, body: bytes) -> str:
    """What is in the answer and not in its type, or the other way round; empty when they agree."""
    try:
        msgspec.json.decode(body, type=route.shows)
        if route.shows is AuditLines:
            _read_lines(json.loads(body))
    except msgspec.ValidationError as problem:
        return str(problem)
    return ""


def _read_lines(listed: dict[str, Any]) -> None:
    """The one field of a line whose name no type can say. Raises ValidationError."""
    for line in listed["data"]:
        others = {name: value for name, value in line.items() if name not in AuditFacts.__struct_fields__}
        if others.keys() != {line["type"]}:
            raise msgspec.ValidationError(f"Object contains unknown fields beside {line['type']}: {sorted(others)}")
        msgspec.convert(others[line["type"]], AuditObject)
