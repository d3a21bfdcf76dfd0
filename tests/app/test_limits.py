"""What the operator sets is what the listener of each worker bounds."""

from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from parvis.api.inference.limits import ListenerLimits
from parvis.app.limits import listener_limits
from parvis.core.errors import Misconfigured
from parvis.settings import Inference, load

SHARED = ("connections_max", "connections_per_address_max", "bodies_bytes_max")


def named_alike() -> set[str]:
    return {field.name for field in fields(ListenerLimits)} & set(Inference.__struct_fields__)


def test_the_defaults_of_one_worker_are_those_of_the_listener() -> None:
    assert listener_limits(Inference()) == ListenerLimits()


def test_every_setting_that_a_limit_is_named_after_reaches_it() -> None:
    assert named_alike() >= {"head_s_max", "body_s_max", "idle_s_max", "stall_s_max", "handshake_s_max", *SHARED}
    for name in named_alike():
        other = getattr(ListenerLimits(), name) * 2
        assert getattr(listener_limits(msgspec.structs.replace(Inference(), **{name: other})), name) == other


@pytest.mark.parametrize(("workers", "share"), [(1, 8192), (2, 4096), (3, 2731), (64, 128)])
def test_caps_are_shared_and_rounded_up(workers: int, share: int) -> None:
    limits = listener_limits(Inference(workers=workers))
    assert limits.connections_max == share
    assert limits.connections_max * workers >= 8192
    assert limits.connections_per_address_max == -(-2048 // workers)
    assert limits.head_s_max == ListenerLimits().head_s_max


def test_what_bounds_nothing_bounds_nothing_in_a_worker_either() -> None:
    limits = listener_limits(Inference(workers=3, connections_max=1000, connections_per_address_max=1000))
    assert limits.connections_per_address_max == limits.connections_max


def test_one_body_always_fits() -> None:
    limits = listener_limits(Inference(workers=64, body_bytes_max=64 << 20))
    assert limits.bodies_bytes_max == 64 << 20


@pytest.mark.parametrize("name", ["connections_max", "head_s_max", "body_s_max", "stall_s_max", "body_bytes_max"])
def test_no_bound_can_be_turned_off(tmp_path: Path, name: str) -> None:
    for text in ("0", "-1", str(1 << 62)):
        with pytest.raises(Misconfigured, match=rf"\$\.inference\.{name}"):
            load(tmp_path, {f"PARVIS_INFERENCE__{name.upper()}": text})
