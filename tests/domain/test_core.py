"""Money that is exact, ids that sort by time, secrets that never show."""

import copy
import logging
import pickle
from dataclasses import dataclass
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, MethodNotAllowed, QuotaExhausted, TooLarge
from parvis.core.ids import ALPHABET, RandomPool, new_id
from parvis.core.money import PICO_PER_EURO, ZERO, Money
from parvis.core.secret import Secret

amounts = st.integers(-(10**24), 10**24)


# ----------------------------------------------------------------------------------------------------- Money


@given(amounts, amounts, st.integers(0, 10**6))
def test_money_adds_subtracts_and_multiplies_as_whole_numbers(a: int, b: int, count: int) -> None:
    assert Money(a) + Money(b) == Money(a + b)
    assert Money(a) - Money(b) == Money(a - b)
    assert Money(a) * count == Money(a * count)
    assert (Money(a) < Money(b)) == (a < b)


@given(amounts)
def test_money_prints_every_digit_that_counts_and_reads_back(pico: int) -> None:
    text = str(Money(pico))
    assert text.endswith(" €")
    assert Fraction(text.removesuffix(" €")) == Fraction(pico, PICO_PER_EURO)
    assert Money.euro(text.removesuffix(" €")) == Money(pico)


def test_money_prints_without_idle_zeros() -> None:
    shown = {n: str(Money(n)) for n in (0, 90_000, PICO_PER_EURO, -1, 150 * PICO_PER_EURO)}
    assert shown == {
        0: "0 €",
        90_000: "0.00000009 €",
        PICO_PER_EURO: "1 €",
        -1: "-0.000000000001 €",
        150 * PICO_PER_EURO: "150 €",
    }


@pytest.mark.parametrize("inexact", [1.0, True, "1", None, Fraction(1)])
def test_money_counts_nothing_but_whole_numbers(inexact: int) -> None:
    with pytest.raises(TypeError, match="whole pico-euro"):
        Money(inexact)


@pytest.mark.parametrize("inexact", [0.5, 1.0])
def test_money_times_a_float_is_refused(inexact: int) -> None:
    with pytest.raises(TypeError):
        Money(10) * inexact


@pytest.mark.parametrize(
    "text", ["0.0000000000001", "1e-13", "12345678901234567890.1234567890123", "1." + "0" * 40 + "1"]
)
def test_an_amount_finer_than_a_pico_euro_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="finer"):
        Money.euro(text)


@pytest.mark.parametrize("text", ["", "one", "1,5", "nan", "inf", "-inf", "sNaN", "1e999999999", "1e100000"])
def test_what_is_no_amount_of_euro_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an amount|or too long"):
        Money.euro(text)


def test_euro_are_read_exactly_however_many() -> None:
    assert Money.euro(50) == Money(50 * PICO_PER_EURO)
    assert Money.euro("99999999999999.000000000001") == Money(99_999_999_999_999_000_000_000_001)
    assert Money.euro("-0") == ZERO


# ------------------------------------------------------------------------------------------------------- ids

moments = st.integers(0, 2**48 - 1)
randoms = st.binary(min_size=16, max_size=16)


@given(moments, moments, randoms, randoms)
def test_ids_sort_by_time(early: int, late: int, a: bytes, b: bytes) -> None:
    early, late = sorted((early, late))
    first, second = new_id("req", early, lambda _: a), new_id("req", late, lambda _: b)
    assert early == late or first < second
    assert (first == second) == (early == late and letters(a) == letters(b))


def letters(random: bytes) -> list[int]:
    """Of each byte, five bits count."""
    return [byte % 32 for byte in random]


@given(moments, randoms)
def test_an_id_is_a_prefix_and_26_characters(now: int, random: bytes) -> None:
    prefix, _, text = new_id("gw", now, lambda _: random).partition("_")
    assert prefix == "gw"
    assert len(text) == 26
    assert set(text) <= set(ALPHABET)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_id("req", 1) for _ in range(5000)}) == 5000


@given(st.lists(st.integers(0, 9000), max_size=8))
def test_pooled_randomness_gives_as_much_as_was_asked_and_nothing_twice(counts: list[int]) -> None:
    pool = RandomPool()
    drawn = [pool(count) for count in counts]
    assert [len(random) for random in drawn] == counts
    long = [random for random in drawn if len(random) >= 16]
    assert len(set(long)) == len(long)


# ---------------------------------------------------------------------------------------------------- Secret


@dataclass(frozen=True)
class Holder:
    secret: Secret


@given(st.text(min_size=8))
def test_a_secret_shows_its_label_only(value: str) -> None:
    secret = Secret(value, "key 1")
    shown = {str(secret), repr(secret), f"{secret}", f"{secret!r}", "{}".format(secret), "%s" % secret}  # noqa: UP031, UP032 - each way of printing
    assert shown == {"<key 1>"}
    assert repr(Holder(secret)).endswith("secret=<key 1>)")
    assert secret.reveal() == value


def test_a_secret_does_not_reach_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("key %s of %r", Secret("canary"), [Secret("canary")])
    assert "canary" not in caplog.text


def test_a_secret_is_not_serialised() -> None:
    secret = Secret("canary")
    for serialise in (pickle.dumps, copy.deepcopy, copy.copy, msgspec.json.encode):
        with pytest.raises(TypeError):
            serialise(secret)


# ---------------------------------------------------------------------------------------- failures and clock


def test_a_failure_has_its_class_code_unless_it_says_another() -> None:
    assert QuotaExhausted("no").code == "insufficient_quota"
    assert TooLarge("no", code="body_too_large", param="x", retry_after_s=3).code == "body_too_large"
    assert str(Failure("A sentence.")) == "A sentence."
    assert MethodNotAllowed("no", allow="GET").allow == "GET"


def test_every_kind_of_failure_has_a_code_of_its_own() -> None:
    kinds = [Failure]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = [kind for kind in kinds if kind.__module__ == "parvis.core.errors"]
    assert len({kind.code for kind in ours}) == len(ours)


def test_the_clock_of_the_machine_runs() -> None:
    clock = SystemClock()
    assert clock.unix_ms() > 1_700_000_000_000
    assert clock.monotonic_s() <= clock.monotonic_s()
