"""Declarations as a story: applied in an order that works, twice without a change, and resumed after a refusal."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.identity.changes import OWNABLE, Change, Kind, Sheet, Sign
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import operator
from parvis.domain.identity.role import Role
from parvis.domain.identity.rotation import DAY_MS
from parvis.flows.apply import Applied, Declaration, apply, difference
from parvis.flows.invitations import list_invitations
from parvis.flows.keys import Mint, create_key, tenant_named
from parvis.flows.organisations import tenant_of

OPERATOR = operator()
MODEL = Model(
    id="small", engine="e", engine_model="e", context_tokens=100, capabilities=(Capability.CHAT,), aliases=("s",)
)
PRICES = PriceList("p", "*", 0, 1, 1, 1, 1)
SHEETS = (
    Sheet(Kind.ORGANISATION, ("acme",), {"name": "Acme", "second_factor": False}),
    Sheet(Kind.TENANT, ("acme", "prod"), {"name": "P", "models_allowed": ("small*",), "addresses": ("192.0.2.0/24",)}),
    Sheet(Kind.PROJECT, ("acme", "prod", "search"), {"name": "Search"}),
    Sheet(
        Kind.KEY,
        ("acme", "prod", "backend"),
        {"models": ("s",), "endpoints": ("chat",), "project": "search", "tags": ("a", "a"), "rotation_ms": None},
    ),
    Sheet(Kind.PERSON, ("acme", "ada@acme.example"), {"name": "Ada", "sign_in": "openid", "language": "fr"}),
    Sheet(Kind.GRANT, ("acme", "ada@acme.example", Role.ORGANISATION_OWNER, "")),
    Sheet(Kind.PERSON, ("acme", "bob@acme.example"), {"name": "Bob"}),
    Sheet(Kind.GRANT, ("acme", "bob@acme.example", Role.DEVELOPER, "prod")),
)
WHOLE = Declaration(SHEETS, (MODEL,), (PRICES,), OWNABLE)


async def do(store: SqlStore, mint: Mint, wanted: Declaration = WHOLE, *, prune: bool = False) -> Applied:
    return await apply(store, mint, OPERATOR, wanted, prune=prune, show_secrets=True)


def signs(changes: list[Change]) -> set[Sign]:
    return {change.sign for change in changes}


async def test_everything_is_made_in_an_order_that_works(store: SqlStore, mint: Mint) -> None:
    done = await do(store, mint)
    assert done.stopped is None
    assert signs(done.changes) == {Sign.ADD}
    assert {made.change.kind for made in done.made} == {Kind.KEY, Kind.INVITATION}
    [key] = await store.keys()
    assert (key.scope.models_allowed, key.project_id, key.tags) == (("small",), "search", ("a",))
    ada = await store.people(Realm.CUSTOMER).person_by_email("ada@acme.example")
    assert ada
    assert ada.language == "fr"
    [invited] = await list_invitations(store, "acme")
    assert [(role, target.tenant_id) for role, target in invited.roles] == [(Role.DEVELOPER, "prod")]
    tenant = await tenant_of(store, "prod")
    assert (tenant.models_allowed, tenant.addresses) == (("small*",), ("192.0.2.0/24",))


async def test_applying_twice_changes_nothing_the_second_time(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    before = (await store.changes(-1)).version
    again = await do(store, mint, prune=True)
    assert signs(again.changes) == {Sign.SAME}
    assert again.made == []
    assert (await store.changes(-1)).version == before


async def test_a_dry_run_changes_nothing(store: SqlStore, mint: Mint) -> None:
    changes = await difference(store, mint, WHOLE, prune=True)
    assert signs(changes) == {Sign.ADD}
    assert await store.organisations() == []
    assert await store.models() == []
    assert [change.kind for change in changes[:5]] == [
        Kind.ORGANISATION,
        Kind.TENANT,
        Kind.PROJECT,
        Kind.MODEL,
        Kind.PRICE,
    ]


async def test_secrets_are_made_only_when_somebody_sees_them(store: SqlStore, mint: Mint) -> None:
    with pytest.raises(BadRequest, match="--show-new-keys-to") as refused:
        await apply(store, mint, OPERATOR, WHOLE)
    assert refused.value.code == "secrets_not_shown"
    assert await store.organisations() == []
    await do(store, mint)
    assert signs((await apply(store, mint, OPERATOR, WHOLE)).changes) == {Sign.SAME}


async def test_what_a_file_does_not_say_stays(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    little = Declaration((Sheet(Kind.ORGANISATION, ("acme",)), Sheet(Kind.TENANT, ("acme", "prod"), {"name": "Q"})))
    done = await do(store, mint, little, prune=True)
    assert [(c.sign, c.kind) for c in done.changes if c.sign is not Sign.SAME] == [(Sign.CHANGE, Kind.TENANT)]
    tenant = await tenant_of(store, "prod")
    assert (tenant.name, tenant.models_allowed) == ("Q", ("small*",))


async def test_what_a_file_owns_is_taken_away(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    kept = tuple(s for s in SHEETS if s.kind in (Kind.ORGANISATION, Kind.PERSON) or s.path[-1] == "")
    done = await do(store, mint, Declaration(kept, owned=OWNABLE), prune=True)
    gone = {(change.kind, change.path[-1]) for change in done.changes if change.sign is Sign.REMOVE}
    assert gone == {(Kind.TENANT, "prod")}  # of which nothing is named, so that what is in it stays
    assert (await tenant_of(store, "prod")).standing == "suspended"
    assert signs((await do(store, mint, Declaration(kept, owned=OWNABLE), prune=True)).changes) == {Sign.SAME}


async def test_what_is_suspended_is_resumed_by_saying_so(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    for standing in ("suspended", "active"):
        said = {"standing": standing}
        both = (Sheet(Kind.ORGANISATION, ("acme",), said), Sheet(Kind.TENANT, ("acme", "prod"), said))
        await do(store, mint, Declaration(both))
        assert (await store.organisations())[0].standing == (await tenant_of(store, "prod")).standing == standing


async def test_a_keys_terms_are_changed_and_its_secret_stays(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    [before] = await store.keys()
    facts = {
        "models": ("small",),
        "models_denied": ("*-beta",),
        "addresses": ("192.0.2.0/25",),
        "project": "",
        "tags": (),
        "ends_unix_ms": mint.clock.unix_ms() + DAY_MS,
        "rotation_ms": (90 * DAY_MS, 7 * DAY_MS, 14 * DAY_MS, 14 * DAY_MS),
    }
    wanted = Declaration((*SHEETS[:3], Sheet(Kind.KEY, ("acme", "prod", "backend"), facts)))
    assert Sign.CHANGE in signs((await do(store, mint, wanted)).changes)
    [after] = await store.keys()
    assert [secret.digest for secret in after.secrets] == [secret.digest for secret in before.secrets]
    assert (after.scope.addresses, after.project_id, after.tags) == (("192.0.2.0/25",), "", ())
    assert after.schedule is not None
    assert after.scope.endpoints == before.scope.endpoints
    assert signs((await do(store, mint, wanted)).changes) == {Sign.SAME}


async def test_what_is_said_twice_or_unclear_is_refused(store: SqlStore, mint: Mint) -> None:
    with pytest.raises(BadRequest, match="declared twice"):
        await do(store, mint, Declaration((SHEETS[0], SHEETS[0])))
    await do(store, mint)
    await create_key(store, mint, await tenant_named(store, "prod"), "backend")
    with pytest.raises(Conflict, match="Two keys are called"):
        await do(store, mint)
    owning = Declaration(SHEETS[:3], owned=(Kind.KEY,))
    gone = [c for c in (await do(store, mint, owning, prune=True)).changes if c.sign is Sign.REMOVE]
    assert len(gone) == 2
    assert not any(key.active for key in await store.keys())


async def test_prices_never_change(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    with pytest.raises(Conflict, match="never change"):
        await do(store, mint, Declaration(prices=(replace(PRICES, input_microeuro_per_mtoken=9),)))


async def test_a_user_of_elsewhere_is_not_taken(store: SqlStore, mint: Mint) -> None:
    await do(store, mint)
    other = Declaration(
        (
            Sheet(Kind.ORGANISATION, ("zeta",), {"name": "Zeta"}),
            Sheet(Kind.PERSON, ("zeta", "ada@acme.example"), {"name": "Ada", "sign_in": "openid"}),
        )
    )
    with pytest.raises(Conflict):
        await do(store, mint, other)


async def test_what_was_made_is_handed_over_though_the_rest_is_refused(store: SqlStore, mint: Mint) -> None:
    wrong = Sheet(Kind.KEY, ("acme", "prod", "wrong"), {"models": ("nothing-like-this",)})
    done = await do(store, mint, replace(WHOLE, sheets=(*SHEETS, wrong)))
    assert isinstance(done.stopped, BadRequest | NotFound)
    assert [made.change.path[-1] for made in done.made] == ["backend"]
    right = await do(store, mint)
    assert {made.change.kind for made in right.made} == {Kind.INVITATION}
    assert signs((await do(store, mint)).changes) == {Sign.SAME}


TENANTS = st.dictionaries(
    st.sampled_from(["t1", "t2"]),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["A", "B"]),
            "models_allowed": st.sampled_from([("*",), ("small", "s*"), ()]),
            "standing": st.sampled_from(["active", "suspended"]),
            "credit_unlimited": st.booleans(),
        },
    ),
    max_size=2,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TENANTS, second=TENANTS, owned=st.booleans())
async def test_whatever_was_there_the_second_time_nothing_changes(
    store: SqlStore,
    mint: Mint,
    first: dict[str, dict[str, object]],
    second: dict[str, dict[str, object]],
    *,
    owned: bool,
) -> None:
    for said in (first, second):
        sheets = [Sheet(Kind.ORGANISATION, ("org",), {"name": "O"})]
        sheets += [Sheet(Kind.TENANT, ("org", tenant_id), facts) for tenant_id, facts in said.items()]
        wanted = Declaration(tuple(sheets), owned=(Kind.TENANT, Kind.PROJECT) if owned else ())
        await do(store, mint, wanted, prune=owned)
        assert signs((await do(store, mint, wanted, prune=owned)).changes) == {Sign.SAME}
