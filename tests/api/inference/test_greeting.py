"""A client that asks for a dear key exchange is refused before it costs anything; all others are let through."""

import socket
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.api.inference.greeting import HANDSHAKE_FAILURE, is_affordable
from parvis.testing.client_hello import (
    FFDHE_2048,
    FFDHE_8192,
    GREASE,
    P_256,
    P_384,
    X448,
    X25519,
    ClientHello,
    alert,
    greeted,
    modern,
    old_variants,
)
from parvis.testing.listening import listening

HEAD = 5
ILLEGAL_PARAMETER = 47


@pytest.mark.parametrize(
    "hello",
    [
        modern(),
        modern(groups=(P_256,), shares=(P_256,)),
        modern(groups=(P_384,), shares=(P_384,)),
        modern(groups=(X448,), shares=(X448,)),
        modern(groups=(GREASE, X25519), shares=()),
        modern(groups=(FFDHE_8192, X25519, FFDHE_2048), shares=(X25519,)),
        modern(groups=(0x11EC, X25519, P_256), shares=(0x11EC, X25519)),
        ClientHello(),
    ],
)
def test_curves_are_let_through(hello: ClientHello) -> None:
    assert is_affordable(hello.message())


@pytest.mark.parametrize(
    "hello",
    [
        modern(groups=(FFDHE_8192,), shares=(FFDHE_8192,)),
        modern(groups=(X25519, FFDHE_8192), shares=(FFDHE_8192,)),
        modern(groups=(X25519, FFDHE_2048), shares=(X25519, FFDHE_2048)),
        modern(groups=(GREASE, FFDHE_8192), shares=()),
        modern(groups=(FFDHE_2048,), shares=()),
        modern(groups=(X448, FFDHE_2048), shares=()),
    ],
)
def test_finite_fields_are_not(hello: ClientHello) -> None:
    assert not is_affordable(hello.message())


def test_old_ones_are_openssls_to_refuse() -> None:
    assert all(is_affordable(one.data[HEAD:]) for one in old_variants(400) if one.data[0] == 22)


@given(st.integers(0, 600), st.integers(0, 255))
def test_what_is_cut_or_altered_raises_nothing(place: int, byte: int) -> None:
    message = modern().message()
    cut = message[:place]
    assert is_affordable(cut) == (cut == message)
    is_affordable(message[:place] + bytes([byte]) + message[place + 1 :])


@given(st.binary(max_size=200))
def test_noise_raises_nothing_and_ends(noise: bytes) -> None:
    is_affordable(b"\x01" + len(noise).to_bytes(3) + noise)


ASKED = {
    "X25519": True,
    "P-256": True,
    "P-384": True,
    "P-521": True,
    "X448": True,
    "X25519:ffdhe8192": True,
    "ffdhe2048": False,
    "ffdhe8192": False,
    "ffdhe8192:X25519": False,  # its key is for the first
}


def speaks(port: int, groups: str) -> bool:
    """Whether OpenSSL's own client comes to an agreement."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-groups", groups]
    seen = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    return b"New, TLSv1.3, Cipher is" in seen.stdout


def test_openssls_client_is_judged_by_what_it_asks(tls: Any) -> None:
    with listening(tls=tls.server) as running:
        assert {groups: speaks(running.port, groups) for groups in ASKED} == ASKED


def said(port: int, *parts: bytes) -> list[bytes]:
    """What came back of each part."""
    answers = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        for part in parts:
            peer.sendall(part)
            answers.append(peer.recv(1 << 16))
    return answers


def test_it_is_told_why(tls: Any) -> None:
    dear = modern(groups=(FFDHE_8192,), shares=(FFDHE_8192,))
    with listening(tls=tls.server) as running:
        assert said(running.port, dear.record()) == [HANDSHAKE_FAILURE]
        assert alert(HANDSHAKE_FAILURE) == 40
        assert said(running.port, dear.record(pieces=3)) == [HANDSHAKE_FAILURE]
        [answer] = said(running.port, modern().record())
        assert greeted(answer)


def test_a_second_greeting_cannot_change_its_mind(tls: Any) -> None:
    """The server asks for a key on a curve; whoever sends another one is refused by OpenSSL, at once."""
    first, second = (modern(groups=(X25519, FFDHE_8192), shares=shares) for shares in ((), (FFDHE_8192,)))
    with listening(tls=tls.server) as running:
        asked, refused = said(running.port, first.record(), second.record())
        assert greeted(asked)
        assert (
            alert(refused) == ILLEGAL_PARAMETER
        )  # a key that was computed with would be noise, which is another alert
