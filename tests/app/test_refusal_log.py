"""What the log tells of refused credentials, and how much of it."""

import json
import logging

import pytest

from parvis.adapters.telemetry.logs import JsonLines
from parvis.adapters.telemetry.refusals import BURST, LINES_PER_S, RefusalLog
from parvis.core.errors import NotAuthenticated


class HandClock:
    """Time that the test moves."""

    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s


def refusal(reason: str = "", key_id: str = "") -> NotAuthenticated:
    made = NotAuthenticated("Incorrect API key provided.")
    made.reason, made.key_id = reason, key_id
    return made


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    return [json.loads(JsonLines().format(record)) for record in caplog.records]


def test_a_line_has_the_reason_the_address_and_the_id_of_a_key_that_may_exist(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RefusalLog(HandClock().monotonic_s)
    log.tell(refusal("revoked", "k1"), "req_1", "192.0.2.1")
    log.tell(refusal(), "req_2", "")
    first, second = lines(caplog)
    assert {name: first[name] for name in ("level", "message", "request_id", "reason", "address", "key_id")} == {
        "level": "warning",
        "message": "credential refused",
        "request_id": "req_1",
        "reason": "revoked",
        "address": "192.0.2.1",
        "key_id": "k1",
    }
    assert second["reason"] == "no key"
    assert "key_id" not in second
    assert "left_out" not in second


def test_nobody_fills_a_disk_by_being_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = HandClock()
    log = RefusalLog(clock.monotonic_s)
    for _ in range(BURST + 500):
        log.tell(refusal("unknown id", "k1"), "req_1", "192.0.2.1")
    assert len(caplog.records) == BURST
    clock.now_s += 1
    for _ in range(500):
        log.tell(refusal("unknown id", "k1"), "req_1", "192.0.2.1")
    assert len(caplog.records) == BURST + LINES_PER_S
    assert lines(caplog)[BURST]["left_out"] == "500"
    assert "left_out" not in lines(caplog)[BURST + 1]
