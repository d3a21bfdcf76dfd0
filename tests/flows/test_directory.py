"""What a gateway knows: keys by secrets, models by names, prices by the date; and when it knows too little."""

from dataclasses import replace

import pytest

from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.money import Money
from parvis.core.secret import Secret
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model, ModelState
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import write_key
from parvis.domain.identity.organisation import Standing, Tenant
from parvis.domain.identity.scope import KeyScope
from parvis.domain.quota.limit import Limits, Metric, Rate, Window
from parvis.flows.directory import STALE_S_MAX, KeysAtHand, SnapshotDirectory
from parvis.flows.ports import KeyUse, Snapshot
from parvis.flows.prepared import Doubt, prepare, reach
from parvis.flows.proofs import Proofs

PEPPER = b"pepper"
KEY_ID = "0" * 16
SECRETS = [Secret(letter * 40) for letter in "abc"]
DIGESTS = [secret_digest(PEPPER, KEY_ID, secret) for secret in SECRETS]
KEY = ApiKey(KEY_ID, "org", "t", "mine", tuple(map(KeySecret, DIGESTS[:2])))
OLD = PriceList("old", "*", 0, 1, 1, 1, 1)
BAD_KEY = "Incorrect API key provided. Check that it was copied whole, and that it has not been revoked."
NEW = PriceList("new", "*", 5_000, 2, 2, 2, 2)


class HandClock:
    """Time that the test moves."""

    now_ms = 1_000

    def unix_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


def model(model_id: str, *aliases: str, state: ModelState = ModelState.PRODUCTION) -> Model:
    return Model(
        id=model_id,
        engine="e",
        engine_model=model_id,
        context_tokens=100,
        capabilities=(Capability.CHAT,),
        aliases=aliases,
        state=state,
    )


TENANT = Tenant("t", "org", "Test", credit_unlimited=True)
SNAPSHOT = Snapshot(
    1, PEPPER, KeysAtHand({KEY_ID: KEY}), {"t": TENANT}, {}, (model("b", "default"), model("a")), (OLD, NEW), ()
)
HERE = "192.0.2.7"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def directory(clock: HandClock) -> SnapshotDirectory:
    known = SnapshotDirectory(clock)
    known.load(SNAPSHOT)
    return known


def presented(secret: Secret) -> str:
    return write_key(KEY_ID, secret).reveal()


def knowing(clock: HandClock, key: ApiKey = KEY, tenant: Tenant = TENANT) -> SnapshotDirectory:
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, keys=KeysAtHand({key.key_id: key}), tenants={tenant.tenant_id: tenant}))
    return directory


def doubt(directory: SnapshotDirectory, credential: str | None, address: str = HERE) -> tuple[str, str]:
    """The reason of a refusal, and the id that it names; the sentence has neither."""
    with pytest.raises(NotAuthenticated) as refused:
        directory.admit(credential, address)
    if credential:
        assert str(refused.value) == BAD_KEY
        assert refused.value.code == "invalid_api_key"
    return refused.value.reason, refused.value.key_id


# -------------------------------------------------------------------------------------------------------- keys


def test_each_live_secret_opens_its_key(directory: SnapshotDirectory) -> None:
    for _ in range(2):
        assert [directory.admit(presented(secret), HERE).key for secret in SECRETS[:2]] == [KEY, KEY]


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (None, ""),
        ("", Doubt.MALFORMED),
        ("sk-parvis", Doubt.MALFORMED),
        ("sk-other", Doubt.MALFORMED),
        (presented(SECRETS[0])[:-1], Doubt.MALFORMED),
        (presented(SECRETS[2]), Doubt.WRONG_SECRET),
        (write_key("1" * 16, SECRETS[0]).reveal(), Doubt.UNKNOWN),
    ],
)
def test_anything_else_opens_nothing(directory: SnapshotDirectory, credential: str | None, reason: str) -> None:
    for _ in range(2):
        told, key_id = doubt(directory, credential)
        assert told == reason
        assert bool(key_id) == (reason is Doubt.WRONG_SECRET)


@pytest.mark.parametrize(
    ("key", "tenant", "reason"),
    [
        (replace(KEY, active=False), TENANT, Doubt.REVOKED),
        (replace(KEY, ends_unix_ms=1_000), TENANT, Doubt.EXPIRED),
        (replace(KEY, secrets=(KeySecret(DIGESTS[0], 1, 1_000),)), TENANT, Doubt.ENDED),
        (KEY, replace(TENANT, standing=Standing.SUSPENDED), Doubt.NOT_ACTIVE),
        (KEY, replace(TENANT, standing=Standing.REMOVED), Doubt.NOT_ACTIVE),
        (KEY, replace(TENANT, tenant_id="another"), Doubt.NOT_ACTIVE),
        (KEY, replace(TENANT, addresses=("198.51.100.0/24",)), Doubt.ADDRESS),
        (replace(KEY, scope=KeyScope(addresses=("2001:db8::/32",))), TENANT, Doubt.ADDRESS),
        (replace(KEY, scope=KeyScope(addresses=("no network",))), TENANT, Doubt.ADDRESS),
    ],
)
def test_what_speaks_against_a_right_secret_is_told_to_the_log_alone(
    clock: HandClock, key: ApiKey, tenant: Tenant, reason: Doubt
) -> None:
    assert doubt(knowing(clock, key, tenant), presented(SECRETS[0])) == (reason, KEY_ID)


def test_a_caller_must_be_in_the_networks_of_tenant_and_key(clock: HandClock) -> None:
    key = replace(KEY, scope=KeyScope(addresses=("192.0.2.0/28", "2001:db8::/32")))
    directory = knowing(clock, key, replace(TENANT, addresses=("192.0.2.0/24", "2001:db8::/48")))
    for _ in range(2):
        for address in (HERE, "::ffff:192.0.2.7", "2001:db8::1"):
            assert directory.admit(presented(SECRETS[0]), address).key == key
        for address in ("192.0.2.16", "2001:db8:1::1", "203.0.113.1", ""):
            assert doubt(directory, presented(SECRETS[0]), address)[0] == Doubt.ADDRESS


def test_a_secret_that_was_proven_ends_at_its_instant(clock: HandClock) -> None:
    secrets = (KeySecret(DIGESTS[0], 2), KeySecret(DIGESTS[1], 1, 5_000))
    directory = knowing(clock, replace(KEY, secrets=secrets, ends_unix_ms=9_000))
    clock.now_ms = 4_999
    assert directory.admit(presented(SECRETS[1]), HERE).ends_unix_ms == 5_000
    assert directory.admit(presented(SECRETS[0]), HERE).ends_unix_ms == 9_000
    clock.now_ms = 5_000
    assert doubt(directory, presented(SECRETS[1]))[0] == Doubt.ENDED
    directory.admit(presented(SECRETS[0]), HERE)
    clock.now_ms = 9_000
    assert doubt(directory, presented(SECRETS[0]))[0] == Doubt.EXPIRED


def test_a_revoked_key_opens_nothing_from_the_next_snapshot_on(directory: SnapshotDirectory) -> None:
    assert directory.admit(presented(SECRETS[0]), HERE).key == KEY
    directory.load(replace(SNAPSHOT, keys=KeysAtHand({KEY_ID: replace(KEY, active=False)})))
    assert doubt(directory, presented(SECRETS[0]))[0] == Doubt.REVOKED


def test_a_key_that_changed_in_its_book_is_looked_at_again(clock: HandClock) -> None:
    other = replace(KEY, key_id="1" * 16, secrets=(KeySecret(secret_digest(PEPPER, "1" * 16, SECRETS[0])),))
    keys = {KEY_ID: KEY, other.key_id: other}
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, keys=KeysAtHand(keys)))
    before = directory.admit(write_key(other.key_id, SECRETS[0]).reveal(), HERE)
    assert [directory.admit(presented(secret), HERE).key for secret in SECRETS[:2]] == [KEY, KEY]
    keys[KEY_ID] = rotated = replace(KEY, secrets=KEY.secrets[1:])
    directory.forget([KEY_ID, "2" * 16])
    assert doubt(directory, presented(SECRETS[0]))[0] == Doubt.WRONG_SECRET
    assert directory.admit(presented(SECRETS[1]), HERE).key == rotated
    assert directory.admit(write_key(other.key_id, SECRETS[0]).reveal(), HERE) is before
    del keys[KEY_ID]
    directory.forget([KEY_ID])
    assert doubt(directory, presented(SECRETS[1]))[0] == Doubt.UNKNOWN


def test_a_tenant_that_changed_in_its_book_is_looked_at_again(clock: HandClock) -> None:
    tenants = {"t": TENANT}
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, tenants=tenants))
    assert directory.admit(presented(SECRETS[0]), HERE).model_ids == {"a", "b"}
    tenants["t"] = replace(TENANT, models_denied=("default",))
    directory.forget(None)
    assert directory.admit(presented(SECRETS[0]), HERE).model_ids == {"a"}
    tenants["t"] = replace(TENANT, standing=Standing.SUSPENDED)
    directory.forget(None)
    assert doubt(directory, presented(SECRETS[0]))[0] == Doubt.NOT_ACTIVE


def test_a_key_is_inside_the_limits_of_all_that_it_belongs_to(clock: HandClock) -> None:
    budget, rated = Limits(monthly=Money(7)), Limits((Rate(Metric.REQUESTS, Window.MINUTE, 10),))
    limits = {
        "contract:t": budget,
        f"key:{KEY_ID}": rated,
        "tenant:t": replace(rated, monthly=Money(9)),
        "key:x": rated,
    }
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, limits=limits))
    prepared = directory.admit(presented(SECRETS[0]), HERE)
    assert prepared.charged == ("tenant:t", "contract:t", "tenant:t")
    assert prepared.subjects == ("tenant:t", f"key:{KEY_ID}")
    assert prepared.clips
    limits["contract:t"] = Limits(concurrent_max=3)
    assert directory.admit(presented(SECRETS[0]), HERE) is prepared
    directory.forget(None)
    assert directory.admit(presented(SECRETS[0]), HERE).charged == ("tenant:t", "tenant:t")
    assert directory.admit(presented(SECRETS[0]), HERE).subjects[0] == "contract:t"


def test_another_pepper_makes_every_secret_another(directory: SnapshotDirectory) -> None:
    assert directory.admit(presented(SECRETS[0]), HERE).key == KEY
    directory.load(replace(SNAPSHOT, pepper=b"other"))
    assert doubt(directory, presented(SECRETS[0]))[0] == Doubt.WRONG_SECRET


def test_before_the_first_snapshot_nothing_is_known(clock: HandClock) -> None:
    with pytest.raises(Unavailable):
        SnapshotDirectory(clock).admit(presented(SECRETS[0]), HERE)


def test_what_is_known_is_believed_for_a_minute_after_control_was_lost(
    directory: SnapshotDirectory, clock: HandClock
) -> None:
    directory.lose_control()
    clock.now_ms += STALE_S_MAX * 1000 - 1
    directory.lose_control()  # lost again is lost since the first time
    assert directory.admit(presented(SECRETS[0]), HERE).key == KEY
    clock.now_ms += 1
    for secret in SECRETS:  # a known one, and one that may be right by now
        with pytest.raises(Unavailable) as refused:
            directory.admit(presented(secret), HERE)
        assert refused.value.retry_after_s
    assert doubt(directory, "sk-nobody's")[0] == Doubt.MALFORMED  # which it is for ever


def test_a_new_snapshot_ends_the_doubt(directory: SnapshotDirectory, clock: HandClock) -> None:
    directory.lose_control()
    clock.now_ms += 10**9
    directory.load(SNAPSHOT)
    assert directory.admit(presented(SECRETS[0]), HERE).key == KEY


def test_the_last_use_of_each_secret_is_told_once(clock: HandClock) -> None:
    secrets = (KeySecret(DIGESTS[0], 2), KeySecret(DIGESTS[1], 1))
    directory = knowing(clock, replace(KEY, secrets=secrets))
    for now in (2_000, 3_000):
        clock.now_ms = now
        directory.admit(presented(SECRETS[0]), HERE)
    doubt(directory, presented(SECRETS[2]))
    assert directory.take_uses() == [KeyUse(KEY_ID, 2, 3_000)]
    directory.admit(presented(SECRETS[1]), HERE)
    assert directory.take_uses() == [KeyUse(KEY_ID, 1, 3_000)]
    assert directory.take_uses() == []


def test_a_bounded_number_of_proofs_is_kept() -> None:
    proofs = Proofs(2)
    key = prepare(KEY, KEY.secrets[0], TENANT, frozenset())
    other = prepare(replace(KEY, key_id="1" * 16), KEY.secrets[0], TENANT, frozenset())
    for mark, prepared in ((b"1", key), (b"2", other), (b"2", other), (b"3", key)):
        proofs.keep(mark, prepared)
    assert proofs.by_mark == {b"2": other, b"3": key}
    proofs.forget([KEY_ID])
    assert proofs.by_mark == {b"2": other}
    proofs.keep(b"4", key)
    proofs.keep(b"5", key)
    proofs.clear()
    proofs.forget([KEY_ID])
    assert proofs.by_mark == {}


# ------------------------------------------------------------------------------------------------------ models


def test_a_model_answers_to_its_id_and_its_aliases(directory: SnapshotDirectory) -> None:
    assert [found and found.id for found in map(directory.model, ("a", "b", "default", "c"))] == ["a", "b", "b", None]


def test_models_are_listed_once_sorted_and_only_if_the_key_may_use_them(directory: SnapshotDirectory) -> None:
    assert [m.id for m in directory.models(KEY)] == ["a", "b"]
    assert [m.id for m in directory.models(replace(KEY, scope=KeyScope(("b",))))] == ["b"]
    assert directory.models(replace(KEY, scope=KeyScope(()))) == []
    assert directory.models(replace(KEY, tenant_id="nobody")) == []


def test_a_model_under_evaluation_is_served_and_not_listed(directory: SnapshotDirectory) -> None:
    directory.load(replace(SNAPSHOT, models=(model("a", state=ModelState.EVALUATION),)))
    assert directory.model("a") is not None
    assert directory.models(KEY) == []


# ------------------------------------------------------------------------------------------------------ prices


def test_a_price_list_begins_when_its_time_comes(directory: SnapshotDirectory, clock: HandClock) -> None:
    assert directory.prices(model("a")) is OLD
    clock.now_ms = NEW.valid_from_unix_ms - 1
    assert directory.prices(model("a")) is OLD
    clock.now_ms += 1
    assert directory.prices(model("a")) is NEW


def test_a_model_without_prices_is_not_served(clock: HandClock) -> None:
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, prices=(NEW, replace(OLD, model_id="b"))))
    assert directory.prices(model("b")).version == "old"
    with pytest.raises(Unavailable, match="'a' has no price list"):
        directory.prices(model("a"))
    clock.now_ms = NEW.valid_from_unix_ms
    assert directory.prices(model("a")) is NEW


# ------------------------------------------------------------------------------------------------------ reach


@pytest.mark.parametrize(
    ("of_tenant", "of_key", "reached"),
    [
        ((("*",), ()), (("*",), ()), {"small", "large", "embed"}),
        ((("*",), ()), (("small",), ()), {"small"}),
        ((("*",), ()), (("default",), ()), {"small"}),
        ((("*",), ()), (("*",), ("default", "emb*")), {"large"}),
        ((("large", "embed"), ()), (("*",), ("embed",)), {"large"}),
        ((("small",), ()), (("large",), ()), set()),
        ((("*",), ("l*",)), (("large", "small"), ()), {"small"}),
        ((("*",), ()), (("?mall", "[x]"), ()), {"small"}),
    ],
)
def test_a_key_reaches_what_its_tenant_and_itself_allow(
    of_tenant: tuple[tuple[str, ...], ...], of_key: tuple[tuple[str, ...], ...], reached: set[str]
) -> None:
    models = [model("small", "default"), model("large"), model("embed")]
    tenant = replace(TENANT, models_allowed=of_tenant[0], models_denied=of_tenant[1])
    assert reach(models, tenant, KeyScope(of_key[0], of_key[1])) == reached
