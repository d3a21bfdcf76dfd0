"""Limits as customers set and see them: who may, on what, and what is shown around a key."""

from typing import Any

import httpx
import openai
import pytest

from parvis.core.money import Money
from parvis.domain.identity.principal import operator
from parvis.domain.quota.limit import FIRST_TIERS, Limits
from parvis.flows.limits import put_tier, set_contract

FIVE = {"monthly_euro": "5", "notice_percents": [50, 100]}
Json = dict[str, Any]


def subjects(town: Any) -> dict[str, str]:
    """One of each kind that lies in `acme-a`."""
    key = town.keys["acme-a"].key
    return {
        "contract": "contract:acme-a",
        "organisation": "organisation:acme",
        "tenant": "tenant:acme-a",
        "project": f"project:{key.project_id}",
        "user": f"user:{town.users['developer']}",
        "key": f"key:{key.key_id}",
    }


async def done(asked: Any) -> Json:
    response: httpx.Response = await asked
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


@pytest.mark.parametrize(
    ("who", "read", "written"),
    [
        ("owner", 200, {"contract": 403}),
        ("boss", 200, {"contract": 403, "organisation": 403}),
        ("developer", 200, dict.fromkeys(("contract", "organisation", "tenant", "project", "user", "key"), 403)),
        ("payer", 200, dict.fromkeys(("contract", "organisation", "tenant", "project", "user", "key"), 403)),
        ("sibling", 404, dict.fromkeys(("contract", "tenant", "project", "user", "key"), 404) | {"organisation": 403}),
        ("foreigner", 404, dict.fromkeys(("contract", "organisation", "tenant", "project", "user", "key"), 404)),
    ],
)
async def test_who_sets_limits_on_what(town: Any, who: str, read: int, written: dict[str, int]) -> None:
    client = town.http(who)
    for kind, named in subjects(town).items():
        if kind != "organisation":
            assert (await client.get(f"/v1/limits/{named}")).status_code == read, kind
        put = await client.put(f"/v1/limits/{named}", json=FIVE)
        assert put.status_code == written.get(kind, 200), (kind, put.text)
        cleared = await client.delete(f"/v1/limits/{named}")
        assert cleared.status_code == written.get(kind, 200), (kind, cleared.text)


async def test_what_is_put_is_what_is_shown(town: Any) -> None:
    boss, named = town.http("boss"), subjects(town)["project"]
    wanted = {"requests_per_minute": 60, "output_tokens_per_day": 9, "concurrent_requests": 2, **FIVE}
    shown = await done(boss.put(f"/v1/limits/{named}", json=wanted))
    assert shown["set"] == shown["in_force"] == wanted
    assert (shown["level"], shown["tenant_id"], shown["tier"]) == ("project", "acme-a", None)
    month = shown["budget"]
    assert month["limit"] == month["left"] == {"text": "5 €", "pico_euro": 5 * 10**12}
    assert month["spent"]["pico_euro"] == month["leased"]["pico_euro"] == month["expected"]["pico_euro"] == 0
    assert town.announced
    listed = await done(boss.get("/v1/limits"))
    assert [(one["subject"], one["set"]) for one in listed["data"]] == [(named, wanted)]
    assert (await done(town.http("sibling").get("/v1/limits")))["data"] == []
    assert (await done(boss.delete(f"/v1/limits/{named}")))["set"] == {}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"requests_per_week": 1}, "requests_per_week"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 1.5}, "requests_per_minute"),
        ({"monthly_euro": "5 €"}, "monthly_euro"),
        ({"monthly_euro": "99000000"}, "monthly_euro"),
        ({"monthly_euro": "5", "notice_percents": [2000]}, "notice_percents"),
    ],
)
async def test_what_cannot_be_is_named(town: Any, wrong: Json, param: str) -> None:
    refused = await town.http("boss").put("/v1/limits/tenant:acme-a", json=wrong)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_around_a_key_all_limits_are_shown_to_people_and_to_the_key(town: Any) -> None:
    store, key = town.desk.store, town.keys["acme-a"]
    await put_tier(store, FIRST_TIERS[0])
    await set_contract(store, operator(), "acme-a", FIRST_TIERS[0].tier_id)
    await done(town.http("boss").put(f"/v1/limits/key:{key.key.key_id}", json={**FIVE, "requests_per_minute": 6}))
    shown = await done(town.http("developer").get(f"/v1/keys/{key.key.key_id}/limits"))
    by_level = {one["level"]: one for one in shown["data"]}
    assert list(by_level)[:4] == ["contract", "organisation", "tenant", "project"]
    assert by_level["contract"]["tier"] == FIRST_TIERS[0].tier_id
    assert by_level["contract"]["in_force"]["requests_per_minute"] == 300
    met = {one["name"]: (one["subject"].partition(":")[0], one["amount"]) for one in shown["tightest"]}
    assert met["requests_per_minute"] == ("key", 6)
    assert met["output_tokens_per_hour"] == ("contract", 150_000)
    assert [one["left"]["text"] for one in shown["tightest"] if one["left"]] == ["5 €"]
    headers = {"authorization": f"Bearer {key.text.reveal()}"}
    async with httpx.AsyncClient(base_url=town.address, headers=headers, trust_env=False) as itself:
        assert await done(itself.get("/v1/me/limits")) == shown


async def test_a_key_has_its_limits_from_the_beginning(town: Any) -> None:
    developer = town.http("developer")
    made = await developer.post("/v1/tenants/acme-a/keys", json={"name": "small", "limits": FIVE})
    assert (made.status_code, made.json()["limits"]) == (201, FIVE)
    key_id = made.json()["id"]
    assert await town.desk.store.limits_set([f"key:{key_id}"]) == {
        f"key:{key_id}": Limits(monthly=Money.euro(5), notice_percents=(50, 100))
    }
    listed = await done(developer.get("/v1/tenants/acme-a/keys"))
    assert {one["id"]: one["limits"] for one in listed["data"]}[key_id] == FIVE
    later = await developer.patch(f"/v1/keys/{key_id}", json={"limits": {}})
    assert later.status_code == 400  # who makes a key may narrow it; who limits is another question
    project_id = town.keys["acme-a"].key.project_id
    account = {"name": "robot", "limits": {"concurrent_requests": 1}}
    robot = await done(developer.post(f"/v1/organization/projects/{project_id}/service_accounts", json=account))
    held = await town.desk.store.limits_set([f"key:{robot['id']}"])
    assert list(held.values()) == [Limits(concurrent_max=1)]


async def test_the_official_client_sets_budgets_in_cents(town: Any) -> None:
    project_id = town.keys["acme-a"].key.project_id
    boss, owner = town.admin("boss"), town.admin("owner")
    with pytest.raises(openai.NotFoundError):
        await boss.projects.spend_limit.retrieve(project_id)
    wanted = {"currency": "EUR", "interval": "month", "threshold_amount": 525}
    limit = await boss.projects.spend_limit.update(project_id, **wanted)
    assert (limit.currency, limit.threshold_amount, limit.enforcement.status) == ("EUR", 525, "inactive")
    assert (await boss.projects.spend_limit.retrieve(project_id)) == limit
    zero = await owner.spend_limit.update(**{**wanted, "threshold_amount": 0})
    assert (zero.object, zero.enforcement.status) == ("organization.spend_limit", "enforcing")
    assert (await owner.spend_limit.delete()).deleted
    with pytest.raises(openai.BadRequestError, match="EUR"):
        await boss.projects.spend_limit.update(project_id, **{**wanted, "currency": "USD"})
    with pytest.raises(openai.PermissionDeniedError):
        await boss.spend_limit.update(**wanted)
    assert (await boss.projects.spend_limit.delete(project_id)).deleted
    assert await town.desk.store.limits_in_force() == {}


async def test_the_month_is_forecast_where_costs_may_be_read(town: Any) -> None:
    found = await done(town.http("payer").get("/v1/forecast?limit=1"))
    assert [one["tenant_id"] for one in found["data"]] == ["acme-a"]
    assert found["next"] == "acme-a"
    assert set(found["data"][0]) == {"object", "tenant_id", "month", "spent", "expected"}
    assert (await town.http("developer").get("/v1/forecast")).status_code == 403
