"""The tables of a report, as Markdown."""

from collections.abc import Sequence

from figures import Measured
from goals import CPU_ANSWER, CPU_EVENT, verdicts
from phases import phase_of
from targets import PRODUCT, TLS

MS = 1e-3  # from microseconds


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(measured: Measured, phase: str) -> list[str]:
    """The targets of a phase that were asked without TLS."""
    return [name for name in measured.takers(phase) if not name.endswith(TLS)]


def added(measured: Measured, target: str, phase: str, column: str) -> str:
    """Milliseconds that a target adds to the mock alone; of the mock itself, in brackets, its own."""
    if target == "direct":
        return f"({measured.median(target, phase, column).text(2, MS)})"
    return measured.added(target, phase, column).text(2, MS)


def verdict_table(measured: Measured) -> str:
    """Each goal, what was measured, and whether it was met."""
    rows = [[v.promise, v.measured, v.goal, v.word if v.met else f"**{v.word}**"] for v in verdicts(measured)]
    return table(["the product", "measured", "goal", ""], rows)


def spread(measured: Measured, target: str, phase: str, column: str) -> str:
    """From the least to the greatest of all rounds, disturbed ones too."""
    values = [row[column] for row in measured.rounds(target, phase) if row.get(column)]
    return f"{min(values):,.1f} to {max(values):,.1f}" if values else "-"


def answers(measured: Measured, phase: str) -> str:
    """One phase of whole answers. Latency is what the gateway adds to the mock alone."""
    head = ["target", "answers/s", "µs CPU", "nginx = 1", "all rounds", "+ p50 ms", "+ p99 ms", "Rss MiB", "wrong"]
    rows = [
        [
            name,
            measured.median(name, phase, "requests_per_s").text(),
            measured.least(name, phase, CPU_ANSWER).text(1),
            measured.ratio(name, phase, CPU_ANSWER).text(2),
            spread(measured, name, phase, CPU_ANSWER),
            added(measured, name, phase, "latency_us_p50"),
            added(measured, name, phase, "latency_us_p99"),
            measured.steady(name, phase, "rss_mib").text(),
            measured.wrong(name, phase),
        ]
        for name in plain(measured, phase)
    ]
    return table(head, rows)


def streams(measured: Measured, phase: str) -> str:
    """One phase of streams. First event and delay are what the gateway adds to the mock alone."""
    head = ["target", "events/s", "µs CPU/event", "nginx = 1", "all rounds", "µs CPU/stream"]
    head += ["first event + p50 ms", "+ p99", "an event + p50 ms", "+ p99", "longest stall ms", "Rss MiB", "wrong"]
    rows = [
        [
            name,
            measured.median(name, phase, "events_per_s").text(),
            measured.least(name, phase, CPU_EVENT).text(1),
            measured.ratio(name, phase, CPU_EVENT).text(2),
            spread(measured, name, phase, CPU_EVENT),
            measured.least(name, phase, CPU_ANSWER).text(),
            added(measured, name, phase, "first_event_us_p50"),
            added(measured, name, phase, "first_event_us_p99"),
            added(measured, name, phase, "event_delay_us_p50"),
            added(measured, name, phase, "event_delay_us_p99"),
            measured.most(name, phase, "stall_us").text(1, MS),
            measured.steady(name, phase, "rss_mib").text(),
            measured.wrong(name, phase),
        ]
        for name in plain(measured, phase)
    ]
    return table(head, rows)


def phase_table(measured: Measured, phase: str) -> str:
    """The table of one phase."""
    return streams(measured, phase) if phase_of(phase).streamed else answers(measured, phase)


def over_tls(measured: Measured) -> str:
    """What TLS costs: processor time with it, and in units of the same target without, in the same rounds."""
    head = ["target", "µs CPU/answer", "with TLS", "of that without", "nginx = 1"]
    head += ["µs CPU/event", "with TLS", "of that without", "nginx = 1"]
    rows = []
    for secure in (name for name in measured.targets if name.endswith(TLS)):
        row = [secure.removesuffix(TLS)]
        for phase, column in (("sat", CPU_ANSWER), ("sse100", CPU_EVENT)):
            without = measured.least(secure.removesuffix(TLS), phase, column)
            with_it = measured.least(secure, phase, column)
            reference = measured.least(f"nginx{TLS}", phase, column)
            row += [without.text(1), with_it.text(1), with_it.over(without).text(2), with_it.over(reference).text(2)]
        rows.append(row)
    return table(head, rows)


def prompts(measured: Measured) -> str:
    """What a large prompt costs beyond a small one."""
    rows = []
    for name in plain(measured, "big"):
        small, big = (measured.least(name, phase, CPU_ANSWER) for phase in ("sat", "big"))
        wait = added(measured, name, "big", "latency_us_p50")
        rows.append([name, small.text(1), big.text(1), big.minus(small).text(), big.over(small).text(1), wait])
    return table(["target", "µs CPU, 1 kB", "200 kB", "more", "ratio", "200 kB, + p50 ms"], rows)


def steps(measured: Measured) -> str:
    """Where the product spends it."""
    rows = [
        [row["step"], f"{row['small_us']:.1f}", f"{row['big_us']:.1f}", f"{row['big_us'] - row['small_us']:.1f}"]
        for row in measured.steps
    ]
    sums = [sum(row[size] for row in measured.steps) for size in ("small_us", "big_us")]
    rows.append(["together", f"{sums[0]:.1f}", f"{sums[1]:.1f}", f"{sums[1] - sums[0]:.1f}"])
    return table(["step of the product", "µs, 1 kB", "200 kB", "more"], rows)


def ledger(measured: Measured) -> str:
    """How far the product's ledger is behind its answers when a load ends."""
    head = ["phase", "requests not booked at the end, at most", "seconds until booked, at most", "control, µs/request"]
    rows = []
    for phase in measured.phases:
        rounds = [row for row in measured.rounds(PRODUCT, phase) if "backlog" in row]
        if rounds:
            drained = [row["drained_s"] for row in rounds]
            slowest = "over 60" if None in drained else f"{max(drained):.2f}"
            cost = measured.least(PRODUCT, phase, "control_us_per_request").text(1)
            rows.append([phase, f"{max(row['backlog'] for row in rounds):,}", slowest, cost])
    return table(head, rows)


def memory(measured: Measured) -> str:
    """Gateway memory: as it waits for work at the start, and under loads."""
    loads = [phase for phase in ("sat", "sse500", "calm1000") if phase in measured.phases]
    at = loads[0] if loads else measured.phases[0]
    head = ["target", "at rest, Rss MiB", "Pss", *(f"{phase_of(phase).connections} ({phase}), Rss" for phase in loads)]
    rows = []
    for name in plain(measured, at):
        if name != "direct":
            rest = [measured.steady(name, at, column).text() for column in ("rss_idle_mib", "pss_idle_mib")]
            rows.append([name, *rest, *(measured.steady(name, phase, "rss_mib").text() for phase in loads)])
    return table(head, rows)


def soaks(measured: Measured) -> str:
    """The long runs."""
    head = ["seconds", "requests", "events", "wrong", "worker, first and last MiB", "growth", "control", "growth"]
    rows = []
    for row in measured.soaks:
        worker, control = row["rss_mib"], row["control_rss_mib"]
        rows.append(
            [
                f"{row['seconds']:,.0f}",
                f"{row['requests']:,}",
                f"{row['events']:,}",
                str(row["wrong"]),
                f"{worker[0]:.1f}, {worker[-1]:.1f}",
                f"{row['growth_percent']:.1f} %",
                f"{control[0]:.1f}, {control[-1]:.1f}",
                f"{row['control_growth_percent']:.1f} %",
            ]
        )
    return table(head, rows)
