"""What the service gives with its embedded engines, through the whole gateway with everything on.

    make bench-engine                                            # all but the soak, some twelve minutes
    make bench-engine ARGS="--only soak --minutes 30"            # 128 streams for long; the other rows of today stay
    make bench-engine ARGS="--only start,prefix --layouts 'openvino 2x1'"
    make bench-engine ARGS="--rounds 1 --seconds 2 --out /tmp/trial"

The load generator shares the cores with all of it. Layouts take turns within a round, each on a home that was started
before. The page goes to docs/reference/engine-room.md, the raw rows to bench/results, a few figures to the READMEs.
"""

import argparse
import datetime as dt
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bench
import engine_page
import engine_readme
import engine_stages as stages
from conditions import engine_conditions
from layouts import DEFAULT, LAYOUTS, Kitchen, NotUp, Running, kitchens
from peers import say
from places import RESULTS, Stage
from rows import Rows, read_rows
from run import use_the_wheel, words

PARTS = ("throughput", "share", "prefix", "embeddings", "start", "soak")
USUAL = ("throughput", "prefix", "embeddings", "start")
"""The share is found in the windows of the throughput; alone it takes a longer one."""
Keep = Callable[[dict[str, Any]], None]


def options() -> argparse.Namespace:
    """What was asked on the command line."""
    today = dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d")
    parser = argparse.ArgumentParser(description="Measure the service with its embedded engines.")
    parser.add_argument("--only", type=words, default=USUAL, help=f"some of {','.join(PARTS)}; other rows stay")
    parser.add_argument("--layouts", type=words, default=DEFAULT, help=f"some of {','.join(LAYOUTS)}")
    parser.add_argument("--streams", type=numbers, default=stages.OPEN_STREAMS, help="open at once, of throughput")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each window")
    parser.add_argument("--starts", type=int, default=2, help="of each layout, beside those of the rounds")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak, on the first of the layouts")
    parser.add_argument("--interpreted", action="store_true", help="measure the sources instead of the wheel")
    parser.add_argument("--name", default=f"{today}-engine-room", help="of the file with the raw rows")
    parser.add_argument("--out", type=Path, help="folder for page and rows [docs/reference and bench/results]")
    asked = parser.parse_args()
    for known, said in ((PARTS, asked.only), (tuple(LAYOUTS), asked.layouts)):
        for word in said:
            if word not in known:
                parser.error(f"'{word}' is unknown; there are {', '.join(known)}")
    return asked


def numbers(text: str) -> tuple[int, ...]:
    """A comma-separated option."""
    return tuple(int(word) for word in text.split(","))


# One service


def measured(running: Running, asked: argparse.Namespace, *, embeds: bool) -> Iterator[dict[str, Any]]:
    """All that is asked of one running service in a round."""
    if "throughput" in asked.only:
        for users in asked.streams:
            yield {"part": "throughput", **stages.steady(running, users, asked.seconds)}
            running.rest()
            if users <= running.layout.burst_max:
                yield {"part": "throughput", **stages.burst(running, users)}
                running.rest()
    if "share" in asked.only:
        yield {"part": "share", **stages.steady(running, stages.SHARE_STREAMS, 2 * asked.seconds)}
        running.rest()
    if "prefix" in asked.only:
        yield {"part": "prefix", **stages.prefix(running)}
    if "embeddings" in asked.only and embeds:
        yield from ({"part": "embeddings", **row} for row in stages.embeddings(running, asked.seconds))


def rounds(ready: Sequence[Kitchen], asked: argparse.Namespace, keep: Keep) -> None:
    """Each layout in turn, so many times."""
    for number in range(asked.rounds):
        for kitchen in ready:
            if number >= kitchen.layout.rounds_max:
                continue
            say(f"round {number + 1} of {asked.rounds}: {kitchen.layout.name}")
            with kitchen.up() as running:
                if "start" in asked.only:
                    keep({**started(running), "round": number})
                for row in measured(running, asked, embeds=kitchen is ready[0]):
                    keep({**row, "round": number})


def started(running: Running) -> dict[str, Any]:
    """How long a start took, and the memory of a service that has just begun to answer."""
    return {
        "kind": "start",
        "part": "start",
        "layout": running.layout.name,
        "seconds": round(running.started_s, 2),
        "told": running.told,
        "rss_mib": running.memory_mib(),
    }


def starts(ready: Sequence[Kitchen], asked: argparse.Namespace, keep: Keep) -> None:
    """Some more starts, one layout after the other."""
    for number in range(asked.starts):
        for kitchen in ready:
            with kitchen.up() as running:
                keep({**started(running), "round": asked.rounds + number})


def soak(kitchen: Kitchen, asked: argparse.Namespace, keep: Keep) -> None:
    """The long crowd on one layout."""
    with kitchen.up() as running:
        keep({"part": "soak", **stages.soak(running, max(stages.OPEN_STREAMS), asked.minutes, say), "round": 0})


# The whole


def measure(asked: argparse.Namespace, keep: Keep) -> bool:
    """All parts, in order; whether every layout started."""
    short = [part for part in asked.only if part not in ("start", "soak")]
    try:
        with bench.scratch() as folder:
            ready = kitchens(asked.layouts, Stage(folder, (0, 0)))
            if short and ready:
                rounds(ready, asked, keep)
            if "start" in asked.only:
                starts(ready, asked, keep)
            if "soak" in asked.only and ready:
                soak(ready[0], asked, keep)
    except NotUp as problem:
        say(f"ENDED EARLY: {problem}")
        return False
    return len(ready) == len(asked.layouts)


def told(row: dict[str, Any]) -> str:
    """One row as a line of progress."""
    names = ("users", "way", "tokens_per_s", "first_token_ms_p50", "repeat_ms_p50", "texts_per_s", "seconds", "failure")
    return f"{row['layout']}: {row['kind']}, " + ", ".join(f"{name} {row[name]}" for name in names if row.get(name))


def main() -> int:
    """Measure, then write page and charts; status 1 when an answer failed or a layout did not start."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    asked = options()
    if not asked.interpreted:
        use_the_wheel()
    results = (asked.out or RESULTS) / f"{asked.name}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    file = Rows(results, asked.only)
    file.add({"kind": "conditions", "parts": list(asked.only), **engine_conditions(), "rounds": asked.rounds})
    failed = 0

    def keep(row: dict[str, Any]) -> None:
        nonlocal failed
        failed += row.get("failed", 0)
        file.add(row)
        say(told(row))

    good = measure(asked, keep)
    rows = read_rows(results)
    page = engine_page.write(rows, results, (asked.out or engine_page.FOLDER) / "engine-room.md")
    print(page.read_text())
    if asked.out is None and engine_readme.complete(rows):
        engine_readme.write(results)
        say("README.md and README.fr.md have these figures")
    return int(not good or failed > 0)


if __name__ == "__main__":
    sys.exit(main())
