"""Counting in a gateway: plain dictionaries, handed to control once a second."""

from collections import Counter

from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import Operation, Outcome

Sample = tuple[str, tuple[str, ...], int]


class Tally:
    """The `Meters` port. What dies with the process before a take was only statistics."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[Operation, Outcome]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._tokens: dict[Operation, list[int]] = {}

    def answered(self, operation: Operation, outcome: Outcome, tokens: TokenCount) -> None:
        """See the port."""
        self._answers[operation, outcome] += 1
        sums = self._tokens.setdefault(operation, [0, 0, 0, 0])
        sums[0] += tokens[0]
        sums[1] += tokens[1]
        sums[2] += tokens[2]
        sums[3] += tokens[3]

    def refused(self, code: str) -> None:
        """See the port."""
        self._refusals[code] += 1

    def take(self) -> list[Sample]:
        """What was counted since the last take."""
        samples: list[Sample] = [("parvis_requests_total", labels, n) for labels, n in self._answers.items()]
        samples += [("parvis_refusals_total", (code,), n) for code, n in self._refusals.items()]
        for operation, sums in self._tokens.items():
            classes = zip(TokenCount._fields, sums, strict=True)
            samples += [("parvis_tokens_total", (operation, name), n) for name, n in classes if n]
        self._answers.clear()
        self._refusals.clear()
        self._tokens.clear()
        return samples
