"""What a gateway knows: keys by secrets, models by names, prices by the date; and when it knows too little."""

from dataclasses import replace

import pytest

from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Capability, Model, ModelState
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import write_key
from parvis.domain.identity.scope import KeyScope
from parvis.flows.directory import STALE_S_MAX, SnapshotDirectory
from parvis.flows.ports import Snapshot

PEPPER = b"pepper"
KEY_ID = "0" * 16
SECRETS = [Secret(letter * 40) for letter in "abc"]
DIGESTS = [secret_digest(PEPPER, KEY_ID, secret) for secret in SECRETS]
KEY = ApiKey(KEY_ID, "org", "t", "mine", tuple(map(KeySecret, DIGESTS[:2])))
OLD = PriceList("old", "*", 0, 1, 1, 1, 1)
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


SNAPSHOT = Snapshot(1, PEPPER, {KEY_ID: KEY}, (model("b", "default"), model("a")), (OLD, NEW), ())


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


# -------------------------------------------------------------------------------------------------------- keys


def test_each_live_secret_opens_its_key(directory: SnapshotDirectory) -> None:
    for _ in range(2):
        assert [directory.key(presented(secret)) for secret in SECRETS[:2]] == [KEY, KEY]


@pytest.mark.parametrize(
    "credential",
    [
        None,
        "",
        "sk-parvis",
        "sk-other",
        presented(SECRETS[2]),
        presented(SECRETS[0])[:-1],
        write_key("1" * 16, SECRETS[0]).reveal(),
    ],
)
def test_anything_else_opens_nothing(directory: SnapshotDirectory, credential: str | None) -> None:
    for _ in range(2):
        with pytest.raises(NotAuthenticated) as refused:
            directory.key(credential)
        assert not credential or credential not in str(refused.value)


def test_a_revoked_key_opens_nothing_from_the_next_snapshot_on(directory: SnapshotDirectory) -> None:
    assert directory.key(presented(SECRETS[0])) == KEY
    directory.load(replace(SNAPSHOT, keys={KEY_ID: replace(KEY, active=False)}))
    with pytest.raises(NotAuthenticated):
        directory.key(presented(SECRETS[0]))


def test_a_key_that_changed_in_place_is_looked_at_again(clock: HandClock) -> None:
    keys = {KEY_ID: KEY}
    directory = SnapshotDirectory(clock)
    directory.load(replace(SNAPSHOT, keys=keys))
    assert directory.key(presented(SECRETS[0])) == KEY
    keys[KEY_ID] = rotated = replace(KEY, secrets=KEY.secrets[1:])
    with pytest.raises(NotAuthenticated):
        directory.key(presented(SECRETS[0]))
    assert directory.key(presented(SECRETS[1])) == rotated
    del keys[KEY_ID]
    with pytest.raises(NotAuthenticated):
        directory.key(presented(SECRETS[1]))


def test_another_pepper_makes_every_secret_another(directory: SnapshotDirectory) -> None:
    assert directory.key(presented(SECRETS[0])) == KEY
    directory.load(replace(SNAPSHOT, pepper=b"other"))
    with pytest.raises(NotAuthenticated):
        directory.key(presented(SECRETS[0]))


def test_before_the_first_snapshot_nothing_is_known(clock: HandClock) -> None:
    with pytest.raises(Unavailable):
        SnapshotDirectory(clock).key(presented(SECRETS[0]))


def test_what_is_known_is_believed_for_a_minute_after_control_was_lost(
    directory: SnapshotDirectory, clock: HandClock
) -> None:
    directory.lose_control()
    clock.now_ms += STALE_S_MAX * 1000 - 1
    directory.lose_control()  # lost again is lost since the first time
    assert directory.key(presented(SECRETS[0])) == KEY
    clock.now_ms += 1
    for secret in SECRETS:  # a known one, and one that may be right by now
        with pytest.raises(Unavailable) as refused:
            directory.key(presented(secret))
        assert refused.value.retry_after_s


def test_a_new_snapshot_ends_the_doubt(directory: SnapshotDirectory, clock: HandClock) -> None:
    directory.lose_control()
    clock.now_ms += 10**9
    directory.load(SNAPSHOT)
    assert directory.key(presented(SECRETS[0])) == KEY


# ------------------------------------------------------------------------------------------------------ models


def test_a_model_answers_to_its_id_and_its_aliases(directory: SnapshotDirectory) -> None:
    assert [found and found.id for found in map(directory.model, ("a", "b", "default", "c"))] == ["a", "b", "b", None]


def test_models_are_listed_once_sorted_and_only_if_the_key_may_use_them(directory: SnapshotDirectory) -> None:
    assert [m.id for m in directory.models(KEY)] == ["a", "b"]
    assert [m.id for m in directory.models(replace(KEY, scope=KeyScope(("b",))))] == ["b"]
    assert directory.models(replace(KEY, scope=KeyScope(()))) == []


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
