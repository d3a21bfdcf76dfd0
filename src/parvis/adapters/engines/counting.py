"""How many tokens a stream has brought so far: the engine's own count where it gives one that can be, else ours."""

from msgspec import Raw, Struct

from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.metering.plausible import SILENT_TOKENS_EACH, Ceiling, fault, is_plausible
from parvis.wire.chunk_shapes import Chunk, ChunkChoice, Running, count_so_far
from parvis.wire.chunks import has_text, is_reasoning
from parvis.wire.usage import Usage, claim_text

LOOK_EVERY_EVENTS = 32
"""How often an engine's running count is compared with what was asked for."""
EVENTS_OVER_EACH = 8
"""Events of one answer beyond its tokens that an honest engine may send: what it held back, and the marks of a call."""


class Counts:
    """Fed with every event; asked now and then. `choices` is the number of answers to each prompt."""

    __slots__ = (
        "_answers",
        "_beside_bytes",
        "_ceiling",
        "_choices",
        "_countdown",
        "_latest",
        "_output",
        "_reasoning",
        "_reported",
        "_running",
        "_text",
        "beside",
        "claim",
        "finished",
        "tells_reasoning",
        "texts",
        "thoughts",
    )

    def __init__(self, choices: int, prompts: int, ceiling: Ceiling) -> None:
        self._choices = choices
        self._answers = choices * prompts
        self._ceiling = ceiling
        self._reported: TokenCount | None = None
        self._running: dict[int, TokenCount] = {}
        self._output = 0
        self._reasoning: dict[int, int] = {}
        self._latest: Running | None = None
        self._beside_bytes = 0
        self._countdown = self._events_left()
        self._text = bytearray()
        self.texts: dict[int, bytearray] = {0: self._text}
        """What each choice has said."""
        self.thoughts: dict[int, bytearray] = {}
        """Its reasoning, where that came apart."""
        self.beside = 0
        """Events of calls, whose arguments are no text."""
        self.finished: set[int] = set()
        self.tells_reasoning = False
        """The engine's own report has reasoning in it."""
        self.claim = ""
        """What the engine claimed and cannot be. From then on its counts are not looked at."""

    def take(self, chunk: Chunk) -> None:
        """One event with choices in it."""
        for choice in chunk.choices:
            self._look_at(choice)
        usage = chunk.usage
        if chunk.timings is not None or (usage is not None and usage.prompt_tokens):  # Ollama tells noughts
            self._take_running(chunk)

    def take_plain(self, running: Running | None, text: bytes) -> bool:
        """One more event of the only choice, with text in it; its counts are looked at when they are asked for.

        Gives whether it is time to ask `too_many`.
        """
        self._output += 1
        self._countdown -= 1
        self._text += text
        if running is not None:
            self._latest = running
        return self._countdown <= 0

    def take_last(self, chunk: Chunk) -> None:
        """The event without choices: the engine's report of the whole request."""
        usage = chunk.usage
        if usage is None:
            return
        reported, before = usage.tokens(sum(self._reasoning.values())), self._by_running()
        if reported is not None and before is not None and reported.completion_total < before.completion_total:
            self.doubt("a_count_that_fell", usage)
        elif why := self._fault(reported):
            self.doubt(why, usage)
        else:
            self._reported = reported
            self.tells_reasoning = usage.tells_reasoning

    def doubt(self, why: str, claimed: Struct | Raw) -> None:
        """Note what cannot be; the first such claim is kept."""
        self.claim = self.claim or claim_text(why, claimed)

    def by_engine(self) -> TokenCount | None:
        """The engine's own count behind the last event; None when it gives none that can be."""
        counted = self._reported if self._reported is not None else self._by_running()
        if counted is None or self.claim:
            return None
        if not is_plausible(counted, self._ceiling, self._delivered_max()):
            self.doubt(self._fault(counted), Usage(counted.prompt_total, counted.completion_total, counted.total))
            return None
        return counted

    def by_events(self) -> TokenCount:
        """One token for each event with text: our own count, never above what came or what was asked for."""
        output = min(self._output, self._ceiling.completion_tokens_max)
        reasoning = min(sum(self._reasoning.values()), self._ceiling.completion_tokens_max - output)
        return TokenCount(0, 0, output, reasoning)

    @property
    def came(self) -> int:
        """Events with text or reasoning in them so far."""
        return self._output + sum(self._reasoning.values())

    @property
    def tells_running(self) -> bool:
        """Whether the engine counted while it ran, so that what grew with each piece of reasoning is known."""
        return bool(self._running)

    def too_many(self) -> bool:
        """Whether more came than was asked for. Most of the time this is one comparison."""
        if self._countdown > 0:
            return False
        left = self._events_left()
        self._countdown = min(left, LOOK_EVERY_EVENTS)
        running = self._by_running()
        claimed = 0 if running is None or self.claim else running.completion_total
        return left <= 0 or self._ceiling.completion_tokens_max < claimed <= self._delivered_max()

    def _events_left(self) -> int:
        """Events with text that may still come."""
        return self._ceiling.completion_tokens_max + EVENTS_OVER_EACH * self._answers + 1 - self.came

    def _delivered_max(self) -> int:
        """Tokens that what came can be."""
        said = sum(map(len, self.texts.values())) + sum(map(len, self.thoughts.values()))
        return said + self._beside_bytes + SILENT_TOKENS_EACH * self._answers

    def _fault(self, counted: TokenCount | None) -> str:
        return fault(counted, self._ceiling, self._delivered_max())

    def _look_at(self, choice: ChunkChoice) -> None:
        index = choice.index
        if has_text(choice):
            self._output += 1
            self._countdown -= 1
            self._keep_text(choice)
        elif is_reasoning(choice):
            self._reasoning[index] = self._reasoning.get(index, 0) + 1
            self._countdown -= 1
        delta = choice.delta
        if delta is not None and (thought := delta.reasoning_content or delta.reasoning):
            self.thoughts.setdefault(index, bytearray()).extend(thought.encode())
        if choice.finish_reason:  # TGI writes an empty one until the end
            self.finished.add(index)

    def _keep_text(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        said = choice.text or (delta.content if delta is not None else None)
        if said:
            self.texts.setdefault(choice.index, bytearray()).extend(said.encode())
        if delta is not None and delta.tool_calls:
            self._beside_bytes += sum(len(bytes(part)) for part in delta.tool_calls)
            self.beside += not said

    # Running counts

    def _by_running(self) -> TokenCount | None:
        self._look_at_latest()
        counts = self._running.values()
        if len(counts) <= 1:
            return next(iter(counts), None)
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

    def _look_at_latest(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._note(0, latest, count_so_far(latest, self._reasoning.get(0, 0)))

    def _take_running(self, chunk: Chunk) -> None:
        """Note the engine's count so far of this chunk's choice. A busy engine sends several tokens in one event."""
        self._look_at_latest()
        choice = chunk.choices[0]
        reasoning = self._reasoning.get(choice.index, 0)
        running = count_so_far(chunk, reasoning)
        if running is not None:
            before = self._running.get(choice.index, NO_TOKENS).completion_total
            more = running.completion_total - before - 1
            if more > 0 and is_reasoning(choice) and not has_text(choice):
                self._reasoning[choice.index] = reasoning + more
                running = count_so_far(chunk, reasoning + more) or running
        self._note(choice.index, chunk, running)

    def _note(self, index: int, told: Chunk | Running, running: TokenCount | None) -> None:
        """A count that contradicts itself, or is less than before, is a claim and no count."""
        claimed = told.timings if told.timings is not None else told.usage
        if claimed is None:
            return
        if running is None:
            self.doubt("contradiction", claimed)
        elif running.completion_total < self._running.get(index, NO_TOKENS).completion_total:
            self.doubt("a_count_that_fell", claimed)
        else:
            self._running[index] = running
