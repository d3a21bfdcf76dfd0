"""What a tenant does who fears a loop: a hard budget, a loop that is stopped at it, the reason, more of it, and on.

At level C the budget is one cent, for speed; at level N 5 €. Two gateways serve, and four loops run at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyotp
import pytest
from openai import AsyncOpenAI, RateLimitError

from parvis.core.money import Money
from parvis.testing.browser import Browser, browser
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, planted, served_by, service

MODEL = "fake-8b"
PASSWORD = "a long phrase that nobody else would think of"
LOOPS, WORKERS = 4, 2
CALLS_MAX = 200
"""Of each loop; the budget is gone before."""
STEP_S_MAX = 120.0
BELIEVED_S = 0.5
"""A gateway that was refused believes it for a quarter of a second, whatever is freed meanwhile."""
SOURCES = Path(__file__).parents[2] / "src"
NO_BUDGETS = {
    "parvis/flows/quota.py": (
        "accounts = charged if len(charged) == 1 else self._accounts_of(charged)",
        "accounts = charged[:1]",
    )
}
"""The planted bug: a purse that ignores budgets."""


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine() as one:
        yield one


class Amount(NamedTuple):
    """The budget, what it is raised to, and how many tokens each answer has: visible ones and reasoning."""

    euro: str
    raised_euro: str
    visible: int
    reasoning: int


AMOUNTS = {"C": Amount("0.01", "0.02", 40, 10), "N": Amount("5", "10", 3_000, 500)}


class Loops:
    """An application that has lost its mind."""

    def __init__(self, base_url: str, key: str, amount: Amount) -> None:
        self.ids: list[str] = []
        self.cut: list[str] = []
        """How answers were shortened, and why."""
        self.refusals: list[str] = []
        self._amount = amount
        self._base_url = base_url
        self._key = key

    async def run(self) -> None:
        """Until each was refused, or has called often enough to see that nobody will be. Retries are the client's."""
        async with asyncio.timeout(STEP_S_MAX), AsyncOpenAI(base_url=self._base_url, api_key=self._key) as client:
            await asyncio.gather(*[self._loop(client) for _ in range(LOOPS)])
            await asyncio.sleep(BELIEVED_S)
            await self._loop(client)  # what others held when these were refused is free now

    async def _loop(self, client: AsyncOpenAI) -> None:
        for _ in range(CALLS_MAX):
            try:
                await self._call(client)
            except RateLimitError as refused:
                self.refusals.append(str(refused.message))
                return

    async def _call(self, client: AsyncOpenAI) -> None:
        _, _, visible, reasoning = self._amount
        messages: Any = [{"role": "user", "content": f"@tokens={visible} @reason={reasoning} On and on and on."}]
        most = visible + reasoning
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, max_tokens=most)
        self.ids.append(raw.headers["x-request-id"])
        if why := raw.headers.get("x-parvis-clipped"):
            self.cut.append(why)


def spent_by(running: Service, key_id: str, ids: list[str]) -> Money:
    """What the ledger has booked for this key, row by row, when all of these requests are there."""
    rows = running.usage_rows(of=ids)
    assert set(ids) <= {row["id"] for row in rows}
    assert running.check() == []
    return Money(sum(row["billed"]["pico_euro"] for row in rows if row["key_id"] == key_id))


@asynccontextmanager
async def owner_of_acme(running: Service) -> AsyncIterator[Browser]:
    """Signed in at the console, with a second factor."""
    acme = "/v1/organisations/acme"
    email = "ada@example.org"
    for path, form in (
        ("/v1/organisations", {"name": "Acme", "organisation_id": "acme"}),
        (f"{acme}/tenants", {"name": "Research", "tenant_id": "research", "credit_unlimited": True}),
        (f"{acme}/invitations", {"email": email, "roles": [{"role": "organisation_owner"}]}),
    ):
        made = running.operator.post(path, json=form)
        assert made.status_code == 201, made.text
    async with browser(f"http://{running.environ['PARVIS_CONSOLE__LISTEN']}") as page:
        await page.post("/v1/invitations/accept", token=made.json()["link"], name="Ada", password=PASSWORD)
        await page.sign_in(email, PASSWORD)
        app: pyotp.TOTP = await page.enrol_app(int(time.time() * 1000))
        assert app.digits == 6
        yield page


async def test_a_loop_is_stopped_at_a_budget_and_goes_on_when_it_is_raised(
    engine: FakeEngineProcess, tmp_path: Path, level: Literal["C", "N"]
) -> None:
    amount = AMOUNTS[level]
    workers = {"PARVIS_INFERENCE__WORKERS": str(WORKERS)}
    with service(tmp_path / "home", engines={"one": served_by(engine, model=MODEL)}, env=workers) as running:
        async with owner_of_acme(running) as ada:
            made = (await ada.post("/v1/tenants/research/keys", name="loop")).json()
            subject = f"key:{made['id']}"
            set_ = await ada.put(f"/v1/limits/{subject}", monthly_euro=amount.euro)
            assert set_.status_code == 200, set_.text

            loops = Loops(running.base_url, made["key"], amount)
            await loops.run()
            stopped = spent_by(running, made["id"], loops.ids)
            nearly = Money.euro(amount.euro).pico_euro * 95 // 100
            assert Money(nearly) <= stopped <= Money.euro(amount.euro)
            assert len(loops.refusals) == LOOPS + 1
            assert all(why.endswith("; budget of key") for why in loops.cut)
            assert loops.cut

            why = loops.refusals[-1]
            assert f"monthly budget of {amount.euro} € of this key" in why
            assert f"('{subject}' at /v1/limits)" in why
            state = (await ada.get(f"/v1/limits/{subject}")).json()["budget"]
            assert state["spent"]["pico_euro"] == stopped.pico_euro

            raised = await ada.put(f"/v1/limits/{subject}", monthly_euro=amount.raised_euro)
            assert raised.status_code == 200, raised.text
            await asyncio.sleep(BELIEVED_S)
            before = len(loops.ids)
            await loops.run()
            assert len(loops.ids) > before + LOOPS
            assert stopped < spent_by(running, made["id"], loops.ids) <= Money.euro(amount.raised_euro)


async def test_control_a_purse_that_ignores_budgets_is_found(engine: FakeEngineProcess, tmp_path: Path) -> None:
    engines, amount = {"one": served_by(engine, model=MODEL)}, AMOUNTS["C"]
    with planted(SOURCES, NO_BUDGETS) as source, service(tmp_path / "home", engines=engines, source=source) as running:
        made = running.operator.post("/v1/keys", json={"name": "loop", "tenant_id": "first"}).json()
        told = running.operator.put(f"/v1/limits/key:{made['id']}", json={"monthly_euro": amount.euro})
        told.raise_for_status()
        loops = Loops(running.base_url, made["key"], amount)
        await loops.run()
        assert loops.refusals == []
        assert spent_by(running, made["id"], loops.ids) > Money.euro(amount.euro)
