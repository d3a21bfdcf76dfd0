"""What every store must keep of sign-in by OpenID Connect. Each promise gets an open store in which nothing is."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from parvis.core.errors import NotFound, Unavailable
from parvis.domain.identity.openid import VISIT_MS, Provider, RoleMapping, Visit
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.flows.store import Store

NOW = 1_784_000_000_000
ACME = Provider(
    "acme",
    "https://login.acme.example",
    "parvis",
    ("openid", "email"),
    "realm.roles",
    (RoleMapping("dev", Role.DEVELOPER, Target("acme", "t")), RoleMapping("é", Role.MEMBER, Target("acme"))),
    ("acme.example",),
    vouches_for_factor=True,
    acr_values=("gold",),
    required=True,
)
VISIT = Visit(b"state", b"browser", "acme", "nonce", b"sealed", "/", "192.0.2.1", NOW + VISIT_MS)


async def _settle_in(store: Store) -> None:
    await store.create_organisation("acme", "Acme")
    await store.create_organisation("beta", "Beta")


async def _fails(awaited: Awaitable[object], kind: type[Exception]) -> None:
    try:
        await awaited
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


async def a_provider_is_given_back_as_it_was(store: Store) -> None:
    """With all of its rules; other organisations have none, and nobody has one of nobody."""
    await _settle_in(store)
    assert await store.provider("acme") is None
    await store.put_provider(ACME, b"secret")
    assert await store.provider("acme") == (ACME, b"secret")
    assert await store.provider("beta") is None
    await _fails(store.put_provider(replace(ACME, organisation_id="nobody"), b""), NotFound)


async def a_secret_stays_unless_another_is_given(store: Store) -> None:
    """Rules change without it."""
    await _settle_in(store)
    await store.put_provider(ACME, b"secret")
    changed = replace(ACME, required=False)
    await store.put_provider(changed, None)
    assert await store.provider("acme") == (changed, b"secret")
    await store.put_provider(changed, b"")
    assert await store.provider("acme") == (changed, b"")


async def a_subject_is_one_user_and_a_user_one_subject(store: Store) -> None:
    """The last word counts, at one issuer of one organisation."""
    await _settle_in(store)
    await store.put_link("acme", ACME.issuer, "s1", "u1")
    await store.put_link("acme", ACME.issuer, "s2", "u2")
    await store.put_link("acme", ACME.issuer, "s1", "u2")
    assert await store.link("acme", ACME.issuer, "s1") == "u2"
    assert await store.link("acme", ACME.issuer, "s2") is None
    assert await store.link("beta", ACME.issuer, "s1") is None
    assert await store.subject("acme", ACME.issuer, "u2") == "s1"
    assert await store.subject("acme", ACME.issuer, "u1") is None
    assert await store.link("acme", "https://other.example", "s1") is None
    await store.unlink("acme", "u2")
    await store.unlink("acme", "u2")
    assert await store.link("acme", ACME.issuer, "s1") is None


async def links_are_of_one_issuer(store: Store) -> None:
    """With another issuer, or without a provider, they go."""
    await _settle_in(store)
    await store.put_provider(ACME, b"")
    await store.put_link("acme", ACME.issuer, "s", "u")
    await store.put_provider(replace(ACME, client_id="other"), None)
    assert await store.link("acme", ACME.issuer, "s") == "u"
    await store.put_provider(replace(ACME, issuer="https://new.example"), None)
    assert await store.link("acme", ACME.issuer, "s") is None
    await store.put_link("acme", "https://new.example", "s", "u")
    await store.remove_provider("acme")
    await store.remove_provider("acme")
    assert await store.provider("acme") is None
    assert await store.link("acme", "https://new.example", "s") is None


async def a_visit_ends_once_and_in_time(store: Store) -> None:
    """Who comes twice, or late, comes from nowhere."""
    await _settle_in(store)
    await store.put_visit(VISIT, NOW)
    assert await store.take_visit(b"other", NOW) is None
    assert await store.take_visit(b"state", NOW + 1) == VISIT
    assert await store.take_visit(b"state", NOW + 1) is None
    await store.put_visit(VISIT, NOW)
    assert await store.take_visit(b"state", VISIT.ends_unix_ms) is None


async def visits_are_bounded_and_forgotten(store: Store) -> None:
    """For each address; those whose time is over make room."""
    await _settle_in(store)
    for number in range(100):
        await store.put_visit(replace(VISIT, state_digest=str(number).encode()), NOW)
    await _fails(store.put_visit(replace(VISIT, state_digest=b"more"), NOW), Unavailable)
    await store.put_visit(replace(VISIT, state_digest=b"elsewhere", address="192.0.2.2"), NOW)
    later = NOW + VISIT_MS
    await store.put_visit(replace(VISIT, state_digest=b"later", ends_unix_ms=later + VISIT_MS), later)
    assert await store.take_visit(b"later", later) is not None


PROMISES: tuple[Callable[[Store], Awaitable[None]], ...] = (
    a_provider_is_given_back_as_it_was,
    a_secret_stays_unless_another_is_given,
    a_subject_is_one_user_and_a_user_one_subject,
    links_are_of_one_issuer,
    a_visit_ends_once_and_in_time,
    visits_are_bounded_and_forgotten,
)
