"""Counting in a gateway: plain dictionaries, handed to control once a second."""

from collections import Counter

Sample = tuple[str, tuple[str, ...], int]


class Tally:
    """The `Meters` port. Nothing is lost between two takes; what dies with the process was only statistics."""

    def __init__(self) -> None:
        self._counters: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._observations: list[Sample] = []

    def count(self, name: str, labels: tuple[str, ...], amount: int = 1) -> None:
        self._counters[name, labels] += amount

    def observe_ms(self, name: str, labels: tuple[str, ...], value_ms: int) -> None:
        self._observations.append((name, labels, value_ms))

    def take(self) -> tuple[list[Sample], list[Sample]]:
        """(counters, observations) since the last take."""
        counters = [(name, labels, amount) for (name, labels), amount in self._counters.items()]
        observations, self._observations = self._observations, []
        self._counters.clear()
        return counters, observations
