"""The product under a moderate mixed load for a long time: does its memory grow, does an answer go wrong.

Whole answers and streams run together at fixed rates. Memory is sampled every second; the first third, at most thirty
seconds, is warm-up and does not count: until the interpreter's collector has run for the first time what it will find
piles up. Growth is that of the mean from the first to the last quarter of the rest.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import staged, started
from ledger import lag, settled
from load import Load, Row
from peers import say
from phases import HUNDRED, WHOLE, Phase
from processes import memory
from running import Running
from targets import PRODUCT

ANSWERS_PER_S, STREAMS_PER_S = 600, 60
WARM_UP_S_MAX = 30
TELL_EVERY_S = 60


def loads(seconds: float) -> list[Phase]:
    """The two parts of the load."""
    return [
        Phase("soak", "", WHOLE, 64, seconds, rate_per_s=ANSWERS_PER_S),
        Phase("soak", "", HUNDRED, 128, seconds, rate_per_s=STREAMS_PER_S),
    ]


def sampled(running: Running, generators: Sequence[Load], seconds: float) -> tuple[list[float], list[float]]:
    """Rss of gateway and control in MiB, each second until the load ends."""
    samples: tuple[list[float], list[float]] = ([], [])
    start = time.monotonic()
    while not any(generator.ended for generator in generators) and time.monotonic() < start + seconds:
        for pids, into in zip(running.pids(), samples, strict=True):
            into.append(round(memory(pids).rss_mib, 2))
        if len(samples[0]) % TELL_EVERY_S == 0:
            say(f"soak: {len(samples[0])} of {seconds:.0f} s, gateway {samples[0][-1]:.1f} MiB")
        time.sleep(max(0.0, start + len(samples[0]) - time.monotonic()))
    return samples


def growth_percent(samples: Sequence[float]) -> float:
    """From the mean of the first quarter to that of the last, of what is no warm-up."""
    warm = samples[min(WARM_UP_S_MAX, len(samples) // 3) :]
    quarter = max(1, len(warm) // 4)
    first, last = sum(warm[:quarter]) / quarter, sum(warm[-quarter:]) / quarter
    return round((last / first - 1) * 100, 2)


def soak(running: Running, seconds: float, folder: Path) -> Row:
    """One soak; `wrong` counts answers that were refused, broken, cut or never finished."""
    booked = running.target.booked
    wanted = settled(booked) if booked else 0
    with ExitStack() as stack:
        generators = [Load(running, phase, folder) for phase in loads(seconds)]
        for generator in generators:
            stack.callback(generator.stop)
        gateway, control = sampled(running, generators, seconds)
        answers, streams = (generator.result() for generator in generators)
    together = {name: answers[name] + streams[name] for name in ("requests", "events", "bad_status", "broken", "cut")}
    late = lag(booked, wanted + together["requests"] - together["bad_status"]) if booked else {}
    return {
        "target": running.name,
        "seconds": seconds,
        **together,
        "wrong": sum(row[name] for row in (answers, streams) for name in ("bad_status", "broken", "cut", "unfinished")),
        "growth_percent": growth_percent(gateway),
        "control_growth_percent": growth_percent(control),
        "answers": answers,
        "streams": streams,
        "rss_mib": gateway,
        "control_rss_mib": control,
        **late,
    }


def run(seconds: float) -> list[Row]:
    """The product alone on the machine, under its load."""
    with staged() as (stage, _), started([PRODUCT], stage) as ready:
        return [{"kind": "soak", "part": "soak", **soak(running, seconds, stage.folder)} for running in ready]
