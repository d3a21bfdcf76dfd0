"""How many tokens a stream has brought so far: the engine's own count where it gives one."""

from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.wire.chunk_shapes import Chunk, ChunkChoice, Running, count_so_far
from parvis.wire.chunks import has_text, is_reasoning


class Counts:
    """Fed with every event; asked now and then. `choices` is the number of answers to each prompt."""

    __slots__ = ("_choices", "_latest", "_output", "_reasoning", "_reported", "_running")

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._reported: TokenCount | None = None
        self._running: dict[int, TokenCount] = {}
        self._output = 0
        self._reasoning: dict[int, int] = {}
        self._latest: Running | None = None

    def take(self, chunk: Chunk) -> None:
        """One event with choices in it."""
        choices = chunk.choices
        delta = choices[0].delta
        if len(choices) == 1 and delta is not None and delta.content:
            self._output += 1
        else:
            self._look_at(choices)
        if chunk.timings is not None or chunk.usage is not None:
            self._take_running(chunk)

    def take_plain(self, running: Running | None) -> None:
        """One more event of the only choice, with text in it; its counts are looked at when they are asked for."""
        self._output += 1
        if running is not None:
            self._latest = running

    def take_last(self, chunk: Chunk) -> None:
        """The event without choices: the engine's report of the whole request."""
        if chunk.usage is not None:
            self._reported = chunk.usage.tokens(sum(self._reasoning.values())) or self._reported

    def by_engine(self) -> TokenCount | None:
        """The engine's own count behind the last event; None when it gives none."""
        self._look_at_latest()
        if self._reported is not None or not self._running:
            return self._reported
        counts = self._running.values()
        if len(counts) == 1:
            return next(iter(counts))
        # A running count is of one choice and its prompt. Choices of one prompt share it; several prompts add up.
        prompts: dict[int, TokenCount] = {}
        for index, one in self._running.items():
            place = index // self._choices
            prompts[place] = max(one, prompts.get(place, one))
        return TokenCount(
            sum(one.input for one in prompts.values()),
            sum(one.cached for one in prompts.values()),
            sum(one.output for one in counts),
            sum(one.reasoning for one in counts),
        )

    def by_events(self) -> TokenCount:
        """One token for each event with text, when the engine does not count."""
        return TokenCount(0, 0, self._output, sum(self._reasoning.values()))

    def _look_at(self, choices: list[ChunkChoice]) -> None:
        for choice in choices:
            if is_reasoning(choice):
                self._reasoning[choice.index] = self._reasoning.get(choice.index, 0) + 1
            elif has_text(choice):
                self._output += 1

    def _look_at_latest(self) -> None:
        latest, self._latest = self._latest, None
        running = None if latest is None else count_so_far(latest, self._reasoning.get(0, 0))
        if running is not None:
            self._running[0] = running

    def _take_running(self, chunk: Chunk) -> None:
        """Note the engine's count so far of this chunk's choice. A busy engine sends several tokens in one event."""
        self._look_at_latest()
        choice = chunk.choices[0]
        reasoning = self._reasoning.get(choice.index, 0)
        running = count_so_far(chunk, reasoning)
        if running is None:
            return
        before = self._running.get(choice.index, NO_TOKENS).completion_total
        more = running.completion_total - before - 1
        if more > 0 and is_reasoning(choice) and not has_text(choice):
            self._reasoning[choice.index] = reasoning + more
            running = count_so_far(chunk, reasoning + more) or running
        self._running[choice.index] = running
