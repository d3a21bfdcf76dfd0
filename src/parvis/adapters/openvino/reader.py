"""Long prompts are read in pieces, in turns, so that nobody's answer stops while they are read.

OpenVINO reads as much of a new prompt in each step as its batch has room for, and a step with 200 tokens of a prompt
takes several times as long as one without. So a long prompt comes to it as growing beginnings: the prefix cache keeps
each, and the next one goes on from there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import openvino_genai

from parvis.adapters.openvino.pace import ALONE_TOKENS, BLOCK_TOKENS, Known, allowance

DIRECT_TOKENS = 64
"""Of a prompt that need not be read before: it comes with its answer."""
Begin = Callable[[Sequence[int], openvino_genai.GenerationConfig], Any]
"""Have the pipeline begin an answer to these tokens; gives its handle."""


@dataclass(slots=True, eq=False)
class Prompt:
    """One that is to be read before its answers begin."""

    tokens: Sequence[int]
    answers: int
    then: Callable[[], None]
    """What follows when it has been read, but for its end."""
    is_over: Callable[[], bool]
    """Whether nobody waits for it any more."""
    fail: Callable[[], None]
    """What follows when it cannot be read."""
    read: int = 0


class Reader:
    """The prompts that wait for their next turn, and the piece that is being read."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._known = Known()
        self._prompts: deque[Prompt] = deque()
        self._reading: tuple[Prompt, Any] | None = None
        self._credit = 0
        self._one_token = openvino_genai.GenerationConfig()
        self._one_token.max_new_tokens = 1

    @property
    def waiting(self) -> int:
        """Answers whose prompts are not read yet."""
        return sum(prompt.answers for prompt in self._prompts if not prompt.is_over())

    def is_short(self, tokens: Sequence[int], writing: int) -> bool:
        """Whether what is new in it can come with the next step, beside so many answers."""
        return len(tokens) - self._known.length(tokens) <= max(DIRECT_TOKENS, allowance(writing))

    def wait(self, prompt: Prompt) -> None:
        """Read it in its turns, and then do what follows."""
        self._prompts.append(prompt)

    def learn(self, tokens: Sequence[int]) -> None:
        """These have been computed."""
        self._known.add(tokens)

    def before_step(self, writing: int) -> None:
        """Begin answers whose prompts have been read, and the next piece if it is time for one."""
        self._credit = min(self._credit + allowance(writing), ALONE_TOKENS)
        for _ in range(len(self._prompts)):
            if self._reading is not None:
                return
            prompt = self._prompts.popleft()
            if prompt.is_over():
                continue
            read = max(prompt.read, self._known.length(prompt.tokens))
            if len(prompt.tokens) - read <= DIRECT_TOKENS:
                prompt.then()
            elif self._credit < BLOCK_TOKENS:
                self._prompts.appendleft(prompt)
                return
            else:
                self._prompts.append(prompt)
                self._read_on(prompt, read)

    def after_step(self) -> None:
        """See what became of the piece."""
        if self._reading is None:
            return
        prompt, handle = self._reading
        if handle.can_read():
            handle.read()
            self._known.add(prompt.tokens[: prompt.read])
            self._reading = None
        elif handle.get_status() == openvino_genai.GenerationStatus.IGNORED:
            self._reading = None
            prompt.fail()  # it does not fit into the cache
        elif prompt.is_over():
            self.drop_piece()

    def drop_piece(self) -> None:
        """What was being read has to be read again."""
        if self._reading is not None:
            prompt, handle = self._reading
            handle.cancel()
            prompt.read, self._reading = 0, None

    def _read_on(self, prompt: Prompt, read: int) -> None:
        blocks = min(self._credit, len(prompt.tokens) - read - 1) // BLOCK_TOKENS
        self._credit -= blocks * BLOCK_TOKENS
        prompt.read = read + blocks * BLOCK_TOKENS
        self._reading = prompt, self._begin(prompt.tokens[: prompt.read], self._one_token)
