"""A sealed value opens at its own place under its own key, whole, or not at all."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parvis.domain.vault.sealing import (
    Place,
    SealBroken,
    derive_key,
    open_sealed,
    seal,
    unwrap_data_key,
    wrap_data_key,
)

keys = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=12, max_size=12)
names = st.text(max_size=12)
places = st.builds(Place, names, names, names, names, st.integers(0, 2**31))
plains = st.binary(max_size=200)

PLACE = Place("t", "answers", "req_1", "body", 1)


@given(keys, plains, places, nonces)
def test_what_was_sealed_opens_at_its_place(key: bytes, plain: bytes, place: Place, nonce: bytes) -> None:
    sealed = seal(key, plain, place, nonce)
    assert open_sealed(key, sealed, place) == plain
    assert len(sealed) == 12 + len(plain) + 16


def test_a_sealed_value_does_not_show() -> None:
    assert b"canary" not in seal(b"k" * 32, b"canary", PLACE, b"n" * 12)


@given(keys, plains, places, places, nonces)
def test_a_value_that_was_moved_does_not_open(
    key: bytes, plain: bytes, place: Place, other: Place, nonce: bytes
) -> None:
    assume(place != other)
    with pytest.raises(SealBroken):
        open_sealed(key, seal(key, plain, place, nonce), other)


@given(keys, plains, places, nonces, st.integers(0, 4), names)
def test_no_part_of_a_place_may_change(
    key: bytes, plain: bytes, place: Place, nonce: bytes, part: int, other: str
) -> None:
    values = list(place)
    values[part] = place.version + 1 if part == 4 else place[part] + other  # type: ignore[operator]  # four are texts
    moved = Place(*values)  # type: ignore[arg-type]  # of the same kinds as before
    assume(moved != place)
    with pytest.raises(SealBroken):
        open_sealed(key, seal(key, plain, place, nonce), moved)


@given(places, places)
def test_two_places_never_read_as_the_same_bytes(place: Place, other: Place) -> None:
    assert (place.bytes() == other.bytes()) == (place == other)


def test_text_that_slides_from_one_part_to_the_next_is_another_place() -> None:
    assert Place("ab", "c", "", "", 1).bytes() != Place("a", "bc", "", "", 1).bytes()
    assert Place("a", "", "1", "", 1).bytes() != Place("a", "1", "", "", 1).bytes()


@given(keys, plains, nonces, st.data())
def test_a_flipped_bit_is_noticed(key: bytes, plain: bytes, nonce: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(key, plain, PLACE, nonce))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        open_sealed(key, bytes(sealed), PLACE)


@given(keys, plains, nonces, st.data())
def test_a_shortened_or_lengthened_value_is_noticed(
    key: bytes, plain: bytes, nonce: bytes, data: st.DataObject
) -> None:
    sealed = seal(key, plain, PLACE, nonce)
    length = data.draw(st.integers(0, len(sealed) - 1))
    for altered in (sealed[:length], sealed + b"\0"):
        with pytest.raises(SealBroken):
            open_sealed(key, altered, PLACE)


@given(keys, keys, nonces)
def test_another_key_does_not_open(key: bytes, other: bytes, nonce: bytes) -> None:
    assume(key != other)
    with pytest.raises(SealBroken):
        open_sealed(other, seal(key, b"plain", PLACE, nonce), PLACE)


@pytest.mark.parametrize("length", [0, 8, 11, 13, 16])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        seal(b"k" * 32, b"plain", PLACE, b"n" * length)


# ------------------------------------------------------------------------------------------------------- keys


@given(keys, keys, nonces, names, names, st.integers(1, 1000))
def test_a_data_key_unwraps_for_its_tenant_purpose_and_version_only(
    kek: bytes, data_key: bytes, nonce: bytes, tenant_id: str, purpose: str, version: int
) -> None:
    wrapped = wrap_data_key(kek, data_key, tenant_id, purpose, version, nonce)
    assert unwrap_data_key(kek, wrapped, tenant_id, purpose, version) == data_key
    for elsewhere in (
        (tenant_id + "x", purpose, version),
        (tenant_id, purpose + "x", version),
        (tenant_id, purpose, version + 1),
    ):
        with pytest.raises(SealBroken):
            unwrap_data_key(kek, wrapped, *elsewhere)


@given(keys)
def test_each_purpose_and_version_has_a_key_of_its_own(root: bytes) -> None:
    derived = [derive_key(root, purpose, version) for purpose in ("kek", "pepper") for version in (1, 2, 12)]
    assert len({root, *derived}) == 7
    assert {len(key) for key in derived} == {32}
    assert derived[0] == derive_key(root, "kek", 1)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_root_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        derive_key(b"r" * length, "kek", 1)
