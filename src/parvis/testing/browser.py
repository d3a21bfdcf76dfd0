"""A page of ours in a browser, and a person before it: what the tests of sign-in type and click."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pyotp

from parvis.testing.authenticator import Authenticator

Json = dict[str, Any]


@asynccontextmanager
async def browser(address: str) -> AsyncIterator["Browser"]:
    """One with an empty jar of cookies, whose page came from this address."""
    headers = {"origin": address, "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
        yield Browser(client)


class Browser:
    """Keeps cookies, and sends Origin and JSON as a page of ours does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def put(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.put(path, json=body)

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(path)

    @property
    def cookie(self) -> str:
        """What the jar holds; empty for nothing."""
        return next((cookie.value or "" for cookie in self.client.cookies.jar), "")

    async def sign_in(self, email: str, password: str, code: str | None = None) -> httpx.Response:
        """By password, with a code if there is one."""
        more = {} if code is None else {"code": code}
        return await self.post("/v1/session", email=email, password=password, **more)

    async def enrol_app(self, unix_ms: int) -> pyotp.TOTP:
        """Scan and confirm. Raises AssertionError when it is refused."""
        begun = (await self.post("/v1/profile/factors/totp/begin")).json()
        app = pyotp.TOTP(begun["seed"])
        done = await self.post("/v1/profile/factors/totp", challenge_id=begun["id"], code=app.at(unix_ms // 1000))
        assert done.status_code == httpx.codes.CREATED, done.text
        return app

    async def enrol_passkey(self, authenticator: Authenticator, name: str = "key") -> httpx.Response:
        """Touch a new authenticator."""
        begun = (await self.post("/v1/profile/factors/passkeys/begin")).json()
        made = authenticator.create(begun["public_key"])
        return await self.post("/v1/profile/factors/passkeys", challenge_id=begun["id"], name=name, credential=made)

    async def sign_in_by_passkey(self, authenticator: Authenticator) -> httpx.Response:
        """Without a password."""
        begun = (await self.post("/v1/session/passkey/begin")).json()
        shown = authenticator.get(begun["public_key"])
        return await self.post("/v1/session/passkey", challenge_id=begun["id"], credential=shown)

    async def show_passkey(
        self, authenticator: Authenticator, path: str = "/v1/session/second_factor"
    ) -> httpx.Response:
        """As a second factor, or to prove oneself again."""
        begun = (await self.post("/v1/session/challenge")).json()
        return await self.post(path, challenge_id=begun["id"], credential=authenticator.get(begun["public_key"]))
