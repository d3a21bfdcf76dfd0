"""Sends attacks, many side by side, and after each the proper request of somebody else: its victim."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException

from parvis.testing.fake_engine.record import Record
from parvis.testing.hostile.attack import CHAT_PATH, Attack
from parvis.testing.hostile.strict import read
from parvis.testing.hostile.verdict import Exchanged
from parvis.testing.raw_http import request, responses

AT_ONCE = 32
ANSWER_S_MAX = 20.0
SILENCE_S_MAX = 0.4
"""How long a request that is rightly incomplete is waited for."""
BETWEEN_PIECES_S = 0.002
PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Victim:
    """A request of somebody who did nothing, and what came back."""

    marker: str
    received: bytes

    def complaint(self, records: dict[str, Record]) -> str | None:
        """What is wrong with its answer, if it is not the one to this very request."""
        try:
            [answer] = responses(self.received)
        except (HTTPException, ValueError):
            return f"{self.marker}: not one answer: {self.received[:200]!r}"
        record = records.get(answer.headers.get("x-request-id", ""))
        if answer.status == HTTPStatus.OK and record is not None and self.marker in str(record.body):
            return None
        return f"{self.marker}: {answer.status}, the answer to {record and record.body}"


@dataclass(frozen=True, slots=True)
class Sender:
    """One port, one key."""

    port: int
    key: str
    model: str

    async def attack_all(self, attacks: Sequence[Attack]) -> list[Exchanged]:
        """Both directions of every attack's connection. Raises TimeoutError for one that nobody ends."""
        return [exchanged for exchanged, _ in await self._all(attacks, victims=False)]

    async def attack_others(self, attacks: Sequence[Attack]) -> list[Victim]:
        """What became of one victim behind each attack."""
        return [victim for _, victim in await self._all(attacks, victims=True) if victim]

    async def _all(self, attacks: Sequence[Attack], *, victims: bool) -> list[tuple[Exchanged, Victim | None]]:
        side_by_side = asyncio.Semaphore(AT_ONCE)

        async def one(attack: Attack) -> tuple[Exchanged, Victim | None]:
            async with side_by_side:
                exchanged = await self._attack(attack)
                return exchanged, await self._victim(attack.number) if victims else None

        return await asyncio.gather(*(one(attack) for attack in attacks))

    async def _attack(self, attack: Attack) -> Exchanged:
        reading = read(attack.data)

        def over(received: bytes) -> bool:
            """Whether nothing more is to be expected of a request that is incomplete."""
            if reading.end != "incomplete":
                return False
            return not reading.requests or received.count(b"x-request-id") >= len(reading.requests)

        received = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in attack.split():
                writer.write(piece)
                await asyncio.sleep(BETWEEN_PIECES_S if attack.pieces > 1 else 0)
            while True:
                async with asyncio.timeout(SILENCE_S_MAX if over(received) else ANSWER_S_MAX):
                    data = await reader.read(PIECE_BYTES)
                if not data:
                    break
                received += data
        except TimeoutError:
            if not over(received):
                raise TimeoutError(f"nobody ended {attack}") from None
        except ConnectionError:
            pass  # a server that closes while we still send is normal here
        finally:
            writer.transport.abort()
        return Exchanged(attack.data, received)

    async def _victim(self, number: int) -> Victim:
        marker = f"v{number}v"
        body = {"model": self.model, "max_tokens": 1, "messages": [{"role": "user", "content": marker}]}
        path = f"{CHAT_PATH.decode()}?{marker}"
        data = request("POST", path, "Connection: close", body=json.dumps(body).encode(), key=self.key)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        received = b""
        try:
            writer.write(data)
            with suppress(ConnectionError):
                async with asyncio.timeout(ANSWER_S_MAX):
                    received = await reader.read(-1)
        finally:
            writer.transport.abort()
        return Victim(marker, received)
