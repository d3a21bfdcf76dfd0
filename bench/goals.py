"""What the product is to reach, and whether a run shows that it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from figures import Figure, Measured
from targets import PRODUCT, ROUTERS, TLS

CPU_ANSWER, CPU_EVENT = "cpu_us_per_request", "cpu_us_per_event"
MB_PER_MIB = 1.048576
SOAK_S_MIN = 600
"""Memory rises and falls with each run of the interpreter's collector: a minute may look like growth, or hide it."""


@dataclass(frozen=True)
class Verdict:
    """One goal beside what was measured. `met` is None when it was not measured."""

    promise: str
    measured: str
    goal: str
    met: bool | None

    @property
    def word(self) -> str:
        """For a table cell."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


@dataclass(frozen=True)
class Goal:
    """`figure` must be at most `limit` (at least, with `floor`); both are written with `unit` and `digits`."""

    promise: str
    figure: Callable[[Measured], Figure]
    limit: float
    unit: str
    digits: int = 2
    floor: bool = False

    def judge(self, measured: Measured) -> Verdict:
        """What this run says of it."""
        figure = self.figure(measured)
        goal = f"{'≥' if self.floor else '≤'} {self.limit:,.{self.digits}f} {self.unit}"
        if figure.value is None:
            return Verdict(self.promise, "-", goal, met=None)
        met = figure.value >= self.limit if self.floor else figure.value <= self.limit
        return Verdict(self.promise, f"{figure.text(self.digits)} {self.unit}", goal, met)


def answer(measured: Measured) -> Figure:
    """Processor time of a whole answer, in microseconds."""
    return measured.least(PRODUCT, "sat", CPU_ANSWER)


def cheapest_router(measured: Measured) -> Figure:
    """The same of the router of language models that takes least. None when one of them was not measured."""
    found = [measured.least(name, "sat", CPU_ANSWER) for name in ROUTERS]
    return min(found, key=lambda figure: figure.value or 0.0)


def start_p99_over_nginx(measured: Measured) -> Figure:
    """What is added to the first event's 99th percentile, beyond what nginx adds, in microseconds."""
    first = "first_event_us_p99"
    return measured.added(PRODUCT, "starts", first).minus(measured.added("nginx", "starts", first))


def at_rest(measured: Measured) -> Figure:
    """MB of one gateway process that waits for work, shared pages counted whole."""
    return measured.steady(PRODUCT, "sat", "rss_idle_mib").times(MB_PER_MIB)


def growth(measured: Measured) -> Figure:
    """Percent from the first to the last quarter of a soak that was long enough to tell."""
    long = [row["growth_percent"] for row in measured.soaks if row["seconds"] >= SOAK_S_MIN]
    return Figure(long[-1]) if long else Figure()


def big_prompt(measured: Measured) -> Figure:
    """Microseconds of processor time that a prompt of 200 kB takes beyond one of 1 kB."""
    return measured.least(PRODUCT, "big", CPU_ANSWER).minus(answer(measured))


GOALS = (
    Goal("Processor time of an answer, of nginx's", lambda m: m.ratio(PRODUCT, "sat", CPU_ANSWER), 2.8, "x"),
    Goal("The same, of the cheapest LLM router's", lambda m: answer(m).over(cheapest_router(m)), 1, "x"),
    Goal("The same, of Envoy's", lambda m: answer(m).over(m.least("envoy", "sat", CPU_ANSWER)), 0.75, "x"),
    Goal("Of an event, 100 streams, of nginx's", lambda m: m.ratio(PRODUCT, "sse100", CPU_EVENT), 1.5, "x"),
    Goal("Of an event, 500 streams, of nginx's", lambda m: m.ratio(PRODUCT, "sse500", CPU_EVENT), 1.3, "x"),
    Goal(
        "Added to the first event, 1,000 starts a second, p50",
        lambda m: m.added(PRODUCT, "starts", "first_event_us_p50").times(1e-3),
        0.4,
        "ms",
    ),
    Goal("The same, p99, beyond nginx", lambda m: start_p99_over_nginx(m).times(1e-3), 2, "ms"),
    Goal(
        "Whole answers on one core",
        lambda m: m.median(PRODUCT, "sat", "requests_per_s"),
        12_000,
        "a second",
        digits=0,
        floor=True,
    ),
    Goal(
        "Longest stall of 1,000 calm streams",
        lambda m: m.most(PRODUCT, "calm1000", "stall_us").times(1e-3),
        100,
        "ms",
        digits=1,
    ),
    Goal("Memory of a worker at rest", at_rest, 70, "MB", digits=0),
    Goal("Growth of its memory over a soak of ten minutes or more", growth, 5, "%", digits=1),
    Goal("A prompt of 200 kB takes more than one of 1 kB", big_prompt, 500, "µs", digits=0),
    Goal("An answer with TLS, of one without", lambda m: with_tls(m, "sat", CPU_ANSWER), 2, "x"),
    Goal("An event with TLS, of one without", lambda m: with_tls(m, "sse100", CPU_EVENT), 2, "x"),
)


def with_tls(measured: Measured, phase: str, column: str) -> Figure:
    """Processor time with TLS in units of that without."""
    return measured.least(PRODUCT + TLS, phase, column).over(measured.least(PRODUCT, phase, column))


def verdicts(measured: Measured) -> Iterator[Verdict]:
    """All goals."""
    for goal in GOALS:
        yield goal.judge(measured)
