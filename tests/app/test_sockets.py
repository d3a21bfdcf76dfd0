"""The listening sockets: given ones are used, missing ones are bound, and nobody in a queue is lost."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from parvis.app.sockets import Sockets, misplaced, take_sockets
from parvis.core.errors import Misconfigured
from parvis.settings import Console, Inference, Operator, Settings
from parvis.testing.service import free_port


def settings(*, workers: int = 1, host: str = "127.0.0.1") -> Settings:
    listen = f"{host}:{free_port()}"
    return Settings(
        home=Path("/nowhere"),
        inference=Inference(listen=listen, workers=workers),
        console=Console(listen=f"127.0.0.1:{free_port()}"),
        operator=Operator(listen=f"127.0.0.1:{free_port()}"),
    )


@pytest.fixture
def taken() -> Iterator[list[Sockets]]:
    """What a test takes is closed after it."""
    sockets: list[Sockets] = []
    yield sockets
    for one in sockets:
        one.close()


def given(sockets: Sockets) -> dict[str, list[socket.socket]]:
    named: dict[str, list[socket.socket]] = {}
    for name, sock in sockets.named:
        named.setdefault(name, []).append(sock)
    return named


def test_one_for_each_worker_and_two(taken: list[Sockets]) -> None:
    for workers in (1, 3):
        wanted = settings(workers=workers)
        taken.append(take_sockets(wanted, {}))
        assert len(taken[-1].inference) == workers
        assert {sock.getsockname()[1] for sock in taken[-1].inference} == {wanted.inference.port}
        assert taken[-1].operator.getsockname()[1] == wanted.operator.port
        assert not any(sock.getblocking() for _, sock in taken[-1].named)


def test_given_ones_are_used(taken: list[Sockets]) -> None:
    wanted = settings(workers=2)
    taken.append(take_sockets(wanted, {}))
    again = take_sockets(wanted, given(taken[0]))
    assert [sock for _, sock in again.named] == [sock for _, sock in taken[0].named]


def test_more_workers_get_more_sockets_beside_one_that_listens(taken: list[Sockets]) -> None:
    one = settings()
    taken.append(take_sockets(one, {}))
    taken[0].inference[0].listen()
    more = Settings(
        home=one.home,
        inference=Inference(listen=one.inference.listen, workers=3),
        console=one.console,
        operator=one.operator,
    )
    taken.append(take_sockets(more, given(taken[0])))
    assert len(taken[1].inference) == 3
    assert taken[1].inference[0] is taken[0].inference[0]


def test_fewer_workers_close_none(taken: list[Sockets]) -> None:
    three = settings(workers=3)
    taken.append(take_sockets(three, {}))
    one = Settings(
        home=three.home,
        inference=Inference(listen=three.inference.listen),
        console=three.console,
        operator=three.operator,
    )
    assert take_sockets(one, given(taken[0])).inference == taken[0].inference


def test_those_of_another_address_are_left_alone(taken: list[Sockets]) -> None:
    here, there = settings(), settings()
    taken.append(take_sockets(here, {}))
    taken.append(take_sockets(there, given(taken[0])))
    assert taken[1].inference[0].getsockname()[1] == there.inference.port
    assert misplaced(there, given(taken[0])) == [f"127.0.0.1:{sock.getsockname()[1]}" for _, sock in taken[0].named]
    assert misplaced(here, given(taken[0])) == []


def test_an_address_of_ipv6_is_the_same_however_it_is_written(taken: list[Sockets]) -> None:
    wanted = settings(host="[::1]")
    taken.append(take_sockets(wanted, {}))
    spelt = Settings(
        home=wanted.home,
        inference=Inference(listen=f"[0:0::1]:{wanted.inference.port}"),
        console=wanted.console,
        operator=wanted.operator,
    )
    assert misplaced(spelt, given(taken[0])) == []


def test_a_taken_port_leaves_nothing_bound() -> None:
    wanted = settings(workers=2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", wanted.operator.port))
        with pytest.raises(Misconfigured, match=f"{wanted.operator.listen} is taken.*PARVIS_OPERATOR__LISTEN"):
            take_sockets(wanted, {})
    with socket.socket() as again:
        again.bind(("127.0.0.1", wanted.inference.port))
