"""What a reload may change, and what it may not."""

from pathlib import Path

import msgspec
import pytest

from parvis.api.inference.limits import ListenerLimits
from parvis.app.changes import FIXED, compare
from parvis.settings import Inference, Settings, load

TLS = {"tls_cert", "tls_key", "plain_beyond_loopback"}


def settings(home: Path, toml: str) -> Settings:
    (home / "parvis.toml").write_text(toml)
    return load(home, {})


def changes(home: Path, before: str, after: str) -> tuple[Settings, tuple[str, ...], tuple[str, ...]]:
    found = compare(settings(home, before), settings(home, after))
    return found.settings, found.live, found.later


def test_nothing_is_nothing(tmp_path: Path) -> None:
    same = settings(tmp_path, "[inference]\nworkers = 3\n")
    found = compare(same, same)
    assert (found.settings, found.live, found.later) == (same, (), ())


def test_the_listener_changes_but_for_its_sockets(tmp_path: Path) -> None:
    new = "[inference]\nlisten = '127.0.0.1:1'\nworkers = 2\ndrain_s_max = 9\nidle_s_max = 8\n"
    now, live, later = changes(tmp_path, "[inference]\nworkers = 4\n", new)
    assert live == ("inference.drain_s_max", "inference.idle_s_max")
    assert later == ("inference.listen", "inference.workers")
    assert now.inference == Inference(workers=4, drain_s_max=9, idle_s_max=8)


def test_engines_change_one_by_one(tmp_path: Path) -> None:
    one = "[engines.a]\nmodel = 'a'\naddresses = ['http://127.0.0.1:1']\n"
    two = "[engines.b]\nmodel = 'b'\naddresses = ['http://127.0.0.1:2']\n"
    now, live, later = changes(tmp_path, one + two, two.replace("127.0.0.1:2", "127.0.0.1:3"))
    assert (live, later) == (("engines.a", "engines.b"), ())
    assert list(now.engines) == ["b"]
    assert now.engines["b"].addresses == ("http://127.0.0.1:3",)


@pytest.mark.parametrize(
    "toml", ["[store]\nurl = 'sqlite:////x'", "[money]\nlease_euro = 3", "[console]\nlisten = '[::1]:9'"]
)
def test_everything_else_stays(tmp_path: Path, toml: str) -> None:
    before = settings(tmp_path, "")
    now, live, later = changes(tmp_path, "", toml)
    assert (now, live) == (before, ())
    assert [name.partition(".")[0] for name in later] == [toml[1 : toml.index("]")]]


def test_the_administration_changes_but_for_its_sockets(tmp_path: Path) -> None:
    new = "[console]\nlisten = '[::1]:9'\nhosts = ['a.example']\n[openid]\nhosts = ['b.example:443']\n"
    now, live, later = changes(tmp_path, "", new + "[operator]\nbeyond_loopback = true\npublic_url = 'https://c'\n")
    assert live == ("console.hosts", "openid.hosts", "operator.public_url")
    assert later == ("console.listen", "operator.beyond_loopback")
    assert (now.console.listen, now.console.hosts, now.openid.hosts) == (
        "127.0.0.1:8001",
        ("a.example",),
        ("b.example:443",),
    )


def test_routing_and_queue_change_but_for_the_size_of_the_index(tmp_path: Path) -> None:
    new = "[routing]\nprefix = 0.5\nindex_mb = 8\nfrozen_s_max = 9\n[queue]\nwait_s_max = 7\n"
    now, live, later = changes(tmp_path, "", new)
    assert live == ("queue.wait_s_max", "routing.frozen_s_max", "routing.prefix")
    assert later == ("routing.index_mb",)
    assert (now.routing.prefix, now.routing.index_mb, now.queue.wait_s_max) == (0.5, 64, 7)


def test_all_that_is_said_to_change_live_is_followed() -> None:
    """A setting of the listener is one of its limits, or of those that the gateway looks at anew."""
    names = {field.name for field in msgspec.structs.fields(Inference)}
    limits = set(ListenerLimits.__dataclass_fields__)
    told = {"drain_s_max", "forbidden_model"}
    assert names - {name.partition(".")[2] for name in FIXED} - TLS - told <= limits
