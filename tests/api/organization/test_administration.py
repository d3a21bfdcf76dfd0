"""Our own routes of a customer's administration: tenants, keys with all their terms, grants, access and its review."""

from typing import Any

import httpx
import pytest

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
KEYS = "/v1/tenants/acme-a/keys"


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


# --------------------------------------------------------------------------------------------------- tenants


async def test_tenants_are_those_that_one_may_read(town: Any) -> None:
    for who, seen in (
        ("owner", ["acme-a", "acme-b"]),
        ("payer", ["acme-a", "acme-b"]),
        ("developer", ["acme-a"]),
        ("sibling", ["acme-b"]),
        ("foreigner", ["rival-a"]),
    ):
        listed = (await town.http(who).get("/v1/tenants")).json()
        assert [tenant["id"] for tenant in listed["data"]] == seen
    page = (await town.http("owner").get("/v1/tenants?limit=1")).json()
    assert (page["has_more"], page["next"]) == (True, "acme-a")


async def test_an_owner_narrows_and_never_widens(town: Any) -> None:
    boss = town.http("boss")
    changed = (await boss.patch("/v1/tenants/acme-a", json={"models_allowed": ["smol*"], "name": "A"})).json()
    assert (changed["models_allowed"], changed["name"], changed["models_denied"]) == (["smol*"], "A", [])
    assert town.announced
    wider = await boss.patch("/v1/tenants/acme-a", json={"models_allowed": ["*"]})
    assert refusal(wider)[:2] == (403, "permission_denied")
    unknown = await boss.patch("/v1/tenants/acme-a", json={"credit_unlimited": True})
    assert refusal(unknown) == (400, "unknown_parameter", "credit_unlimited")


@pytest.mark.parametrize(
    ("who", "status"), [("developer", 403), ("auditor", 403), ("sibling", 404), ("foreigner", 404)]
)
async def test_others_change_no_tenant(town: Any, who: str, status: int) -> None:
    response = await town.http(who).patch("/v1/tenants/acme-a", json={"name": "Mine"})
    assert response.status_code == status


# ------------------------------------------------------------------------------------------------------ keys


async def test_a_key_has_all_its_terms(town: Any) -> None:
    developer = town.http("developer")
    wanted = {
        "name": "narrow",
        "models": [CHAT],
        "models_denied": ["secret-*"],
        "endpoints": ["chat"],
        "addresses": ["192.0.2.0/24"],
        "ends_at": "2999-01-01T00:00:00.000Z",
        "schedule": {"every_s": 86_400, "overlap_s": 3600, "notice_s": 7200, "grace_s": 600},
        "project_id": "proj-acme-a",
        "tags": ["blue"],
    }
    response = await developer.post(KEYS, json=wanted)
    assert response.status_code == 201
    made = response.json()
    assert made.pop("key").startswith(f"sk-parvis_{made['id']}_")
    assert {name: made[name] for name in wanted} == wanted
    assert (made["owner_id"], made["tenant_id"], made["active"]) == (town.users["developer"], "acme-a", True)
    assert made["rotation"]["phase"] == "current"
    assert (await developer.get(f"/v1/keys/{made['id']}")).json() == made
    changed = (await developer.patch(f"/v1/keys/{made['id']}", json={"tags": [], "schedule": None})).json()
    assert (changed["tags"], changed["schedule"], changed["models"]) == ([], None, [CHAT])
    listed = (await developer.get(KEYS)).json()["data"]
    assert {key["id"] for key in listed} == {made["id"], town.keys["acme-a"].key.key_id}


async def test_a_key_that_cannot_be_is_refused_by_name(town: Any) -> None:
    developer = town.http("developer")
    for form, param in (
        ({"name": "x", "models": ["gpt-17"]}, "models"),
        ({"name": "x", "addresses": ["here"]}, "addresses"),
        ({"name": "x", "ends_at": "yesterday"}, "ends_at"),
        ({"name": "x", "project_id": "proj-acme-b"}, "project_id"),
        ({"name": "x", "colour": "green"}, "colour"),
        ({"name": ""}, "name"),
    ):
        response = await developer.post(KEYS, json=form)
        assert response.json()["error"]["param"] == param


async def test_a_key_is_rotated_by_its_owners(town: Any) -> None:
    developer, key = town.http("developer"), town.keys["acme-a"].key.key_id
    place = f"/v1/keys/{key}/rotation"
    started = (await developer.post(place, json={"act": "start"})).json()
    assert (started["rotation"]["phase"], len(started["rotation"]["secrets"])) == ("due", 1)
    later = "2027-06-01T00:00:00.000Z"
    extended = (await developer.post(place, json={"act": "extend", "ends_at": later})).json()
    assert extended["rotation"]["ends_at"] == later
    assert refusal(await developer.post(place, json={"act": "extend"}))[2] == "ends_at"
    assert refusal(await developer.post(place, json={"act": "end_old"}))[:2] == (409, "conflict")


async def test_the_key_of_another_needs_a_fresh_proof(town: Any) -> None:
    key = (await town.http("developer").post(KEYS, json={"name": "mine"})).json()["id"]
    for client, allowed in (
        (town.http("boss"), False),
        (await town.browser("owner", proven_s_ago=3600), False),
        (await town.browser("boss"), True),
    ):
        response = await client.patch(f"/v1/keys/{key}", json={"name": "ours"})
        assert (response.status_code == 200) is allowed
        assert allowed or refusal(response)[:2] == (403, "step_up_required")
    assert (await town.http("boss").delete(f"/v1/keys/{key}")).json() == {"object": "key", "id": key, "active": False}
    assert refusal(await town.http("developer").patch(f"/v1/keys/{key}", json={"name": "x"}))[:2] == (409, "conflict")


@pytest.mark.parametrize(("who", "status"), [("payer", 403), ("sibling", 404), ("foreigner", 404)])
async def test_keys_of_others_are_out_of_reach(town: Any, who: str, status: int) -> None:
    client, key = town.http(who), f"/v1/keys/{town.keys['acme-a'].key.key_id}"
    answers = [
        await client.get(KEYS),
        await client.post(KEYS, json={"name": "mine"}),
        await client.get(key),
        await client.patch(key, json={"name": "mine"}),
        await client.delete(key),
        await client.post(f"{key}/rotation", json={"act": "start"}),
    ]
    assert {answer.status_code for answer in answers} == {status}
    if status == 404:
        missing = await client.get("/v1/keys/nothing")
        assert {answer.text for answer in answers} == {missing.text}


# ---------------------------------------------------------------------------------------------------- grants


async def test_grants_are_given_and_taken(town: Any) -> None:
    boss, payer = town.http("boss"), town.users["payer"]
    form = {"user_id": payer, "role": "developer", "tenant_id": "acme-a"}
    made = (await boss.post("/v1/grants", json=form)).json()
    assert {name: made[name] for name in form} == form
    assert made["granted_by"] == f"user {town.users['boss']}"
    assert refusal(await boss.post("/v1/grants", json=form))[:2] == (409, "already_granted")
    listed = (await boss.get("/v1/grants", params={"user_id": payer})).json()["data"]
    assert [grant["id"] for grant in listed] == [made["id"]]
    assert (await boss.delete(f"/v1/grants/{made['id']}")).json()["deleted"] is True
    assert (await boss.delete(f"/v1/grants/{made['id']}")).status_code == 404


async def test_nobody_gives_what_they_have_not(town: Any) -> None:
    boss = await town.browser("boss")
    for form, status in (
        ({"user_id": town.users["payer"], "role": "organisation_owner"}, 403),
        ({"user_id": town.users["payer"], "role": "auditor", "tenant_id": "acme-a"}, 403),
        ({"user_id": town.users["payer"], "role": "developer", "tenant_id": "acme-b"}, 404),
        ({"user_id": town.users["payer"], "role": "developer", "tenant_id": "rival-a"}, 404),
        ({"user_id": town.users["foreigner"], "role": "developer", "tenant_id": "acme-a"}, 404),
        ({"user_id": town.users["payer"], "role": "operator"}, 403),
    ):
        assert (await boss.post("/v1/grants", json=form)).status_code == status, form


async def test_ownership_needs_a_fresh_proof(town: Any) -> None:
    form = {"user_id": town.users["payer"], "role": "organisation_owner"}
    assert refusal(await town.http("owner").post("/v1/grants", json=form))[1] == "step_up_required"
    stale = await town.browser("owner", proven_s_ago=3600)
    assert refusal(await stale.post("/v1/grants", json=form))[1] == "step_up_required"


async def test_an_owner_with_a_fresh_proof_makes_and_unmakes_owners(town: Any) -> None:
    owner, payer = await town.browser("owner"), town.users["payer"]
    changed = (await owner.post(f"/v1/organization/users/{payer}", json={"role": "owner"})).json()
    assert (changed["role"], [role["role"] for role in changed["parvis_roles"]]) == ("owner", ["organisation_owner"])
    changed = (await owner.post(f"/v1/organization/users/{payer}", json={"role": "reader"})).json()
    assert changed["role"] == "reader"
    last = await owner.post(f"/v1/organization/users/{town.users['owner']}", json={"role": "reader"})
    assert refusal(last)[:2] == (409, "last_owner")
    made = (
        await owner.post("/v1/organization/admin_api_keys", json={"name": "robot", "expires_in_seconds": 60})
    ).json()
    assert (made["object"], made["value"][:11]) == ("organization.admin_api_key", "pat-parvis_")
    headers = {"authorization": f"Bearer {made['value']}"}
    assert (await town.http("payer").get("/v1/tenants", headers=headers)).json()["data"][0]["id"] == "acme-a"
    assert (await town.http("payer").get("/v1/grants", headers=headers)).status_code == 200


# ---------------------------------------------------------------------------------------------------- access


async def test_access_says_who_may_do_what(town: Any) -> None:
    listed = (await town.http("boss").get("/v1/access?tenant_id=acme-a")).json()["data"]
    people = {line["who"]: line["what"] for line in listed if line["means"] == "grant"}
    assert people == {
        "owner@example.org": "organisation_owner",
        "boss@example.org": "tenant_owner",
        "developer@example.org": "developer",
        "payer@example.org": "billing_reader",
        "auditor@example.org": "auditor",
    }
    [key] = [line for line in listed if line["means"] == "key"]
    assert (key["id"], key["tenant_id"]) == (town.keys["acme-a"].key.key_id, "acme-a")
    of_model = (await town.http("boss").get(f"/v1/access?tenant_id=acme-a&model={CHAT}")).json()["data"]
    assert {line["who"] for line in of_model} == {
        "owner@example.org",
        "boss@example.org",
        "developer@example.org",
        "key of acme-a",
    }
    paged = (await town.http("boss").get("/v1/access?tenant_id=acme-a&limit=4")).json()
    rest = (await town.http("boss").get(f"/v1/access?tenant_id=acme-a&after={paged['next']}")).json()
    assert (len(paged["data"]), len(rest["data"]), rest["has_more"]) == (4, len(listed) - 4, False)
    idle = (await town.http("boss").get("/v1/access?tenant_id=acme-a&unused_days=1")).json()["data"]
    assert idle == []


async def test_a_review_is_opened_answered_and_closed(town: Any) -> None:
    boss = town.http("boss")
    form = {"name": "Autumn", "due_at": "2027-06-01", "tenant_id": "acme-a"}
    review = (await boss.post("/v1/reviews", json=form)).json()
    assert (review["tenant_id"], review["undecided"]) == ("acme-a", 3)
    place = f"/v1/reviews/{review['id']}"
    items = (await boss.get(f"{place}/items")).json()["data"]
    by_what = {item["what"]: item["id"] for item in items}
    decided = await boss.post(
        f"{place}/items/{by_what['developer']}", json={"decision": "withdraw", "reason": "has left"}
    )
    assert decided.status_code == 200, decided.text
    assert (decided.json()["decision"], decided.json()["decided_by"]) == ("withdraw", f"user {town.users['boss']}")
    assert (await town.http("developer").get(KEYS)).status_code == 404
    own = await boss.post(f"{place}/items/{by_what['tenant_owner']}", json={"decision": "keep", "reason": "me"})
    assert own.status_code == 403
    closed = (await boss.post(f"{place}/close")).json()
    assert (closed["undecided"], closed["withdrawn"], closed["closed_at"] is None) == (2, 1, False)
    assert [one["id"] for one in (await town.http("auditor").get("/v1/reviews")).json()["data"]] == [review["id"]]


@pytest.mark.parametrize("who", ["sibling", "foreigner"])
async def test_reviews_of_others_do_not_exist(town: Any, who: str) -> None:
    form = {"name": "Autumn", "due_at": "2027-06-01", "tenant_id": "acme-a"}
    review = (await town.http("boss").post("/v1/reviews", json=form)).json()["id"]
    client = town.http(who)
    answers = [
        await client.get("/v1/access?tenant_id=acme-a"),
        await client.post("/v1/reviews", json=form),
        await client.get(f"/v1/reviews/{review}"),
        await client.get(f"/v1/reviews/{review}/items"),
        await client.post(f"/v1/reviews/{review}/close"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert (await client.get("/v1/reviews")).json()["data"] == []
