"""A head that comes again is known by its bytes, and by nothing less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.api.inference.call import Call
from parvis.api.inference.familiar import HEAD_BYTES_MAX, FamiliarHead, familiar


def request(body: bytes, length: int | None = None, more: bytes = b"") -> bytes:
    said = len(body) if length is None else length
    return b"POST /v1 HTTP/1.1\r\nhost: here\r\nContent-Length: %d\r\nx: y\r\n%b\r\n%b" % (said, more, body)


def read(body: bytes) -> Call:
    call = Call("req_1", address="192.0.2.1")
    call.method, call.path, call.hosts, call.credential = "POST", "/v1", 1, "sk"
    call.body, call.length = body, len(body)
    return call


def known(body: bytes = b"{}") -> FamiliarHead:
    head = familiar(read(body), request(body))
    assert head is not None
    return head


@given(st.binary(min_size=1, max_size=1200))
def test_any_other_body_under_the_same_head_is_found(body: bytes) -> None:
    assert known().body(request(body)) == body


@given(st.integers(1, 1200), st.integers(0, 1300))
def test_a_length_that_is_not_the_bodys_is_the_parsers(size: int, said: int) -> None:
    body = b"x" * size
    assert known().body(request(body, said)) == (body if said == size else b"")


@given(st.integers(0, 80), st.binary(min_size=1, max_size=1))
def test_no_other_byte_may_differ(at: int, byte: bytes) -> None:
    usual = request(b"{}")
    at %= len(usual) - len(b"{}")
    changed = usual[:at] + byte + usual[at + 1 :]
    assert known().body(changed) == (b"{}" if changed == usual else b"")


@pytest.mark.parametrize("cut", [1, 2, 3, 20, len(request(b"{}"))])
def test_what_is_not_whole_or_goes_on_is_the_parsers(cut: int) -> None:
    usual = request(b"{}")
    assert known().body(usual[:-cut]) == b""
    assert known().body(usual + usual[:cut]) == b""


def test_what_it_says_is_said_again() -> None:
    again = known().said.again("req_2", 3.0, b"[1]")
    assert (again.request_id, again.started_s, again.body, again.length) == ("req_2", 3.0, b"[1]", 3)
    assert (again.method, again.path, again.credential, again.address) == ("POST", "/v1", "sk", "192.0.2.1")


def test_what_is_unusual_is_not_remembered() -> None:
    usual = request(b"{}")
    assert familiar(read(b""), request(b"")) is None
    assert familiar(read(b"{}"), usual + usual) is None
    assert familiar(read(b"{}"), request(b"{}", more=b"z: %b\r\n" % (b"z" * HEAD_BYTES_MAX))) is None
    for name in ("chunked", "closes", "http_1_0", "expects_continue"):
        call = read(b"{}")
        setattr(call, name, True)
        assert familiar(call, usual) is None
    call = read(b"{}")
    call.idempotency_key = b"k"
    assert familiar(call, usual) is None
