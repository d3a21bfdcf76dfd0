"""From chats and texts to tokens, as the model's own template and tokenizer have it."""

from typing import Any

from parvis.adapters.openvino.errors import Refused
from parvis.adapters.openvino.vocabulary import Vocabulary

TOKENS_MAX = 1 << 22
"""The bound of the tokenizer where the file of the model has none."""


class Prompts:
    """The tokenizer of the model, for prompts that fit its context.

    It holds Python's lock while it works: 1 ms for 10,000 characters of words, and at worst (500,000 spaces) 0.2 s. So
    what cannot fit by its length alone never reaches it.
    """

    def __init__(self, tokenizer: Any, context_tokens: int) -> None:
        self._tokenizer = tokenizer
        numbers: dict[bytes, int] = tokenizer.get_vocab()
        self.vocabulary = Vocabulary(numbers, frozenset(self._marks(numbers)))
        self._cut = self._cuts_at(context_tokens)
        self.context_tokens = min(context_tokens, self._cut)
        """Of a prompt and its answer together."""
        self._bytes_max = self.context_tokens * max(map(len, numbers))

    def of_text(self, text: str) -> list[int]:
        """Its tokens alone, without marks. Raises Refused when it is longer than the context."""
        if not text:
            return []
        if len(text) > self._bytes_max or len(text.encode(errors="replace")) > self._bytes_max:
            raise self.too_long(f"over {self.context_tokens}")
        tokens = self._encode(text)
        if len(tokens) >= self._cut:
            raise self.too_long(f"{self._cut} or more")
        return tokens

    def of_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        """Of all that the model reads, up to where its answer begins. Raises Refused."""
        plain = [_plain(message) for message in messages]
        try:
            prompt: str = self._tokenizer.apply_chat_template(plain, add_generation_prompt=True)
        except RuntimeError as error:
            raise Refused("The model's template cannot write these messages.", param="messages") from error
        return self.of_text(prompt)

    def too_long(self, tokens: str | int) -> Refused:
        """The refusal of a prompt with so many tokens."""
        return Refused(
            f"This model's maximum context length is {self.context_tokens} tokens, and the prompt has {tokens}. "
            "Shorten it.",
            code="context_length_exceeded",
        )

    def _encode(self, text: str) -> list[int]:
        encoded = self._tokenizer.encode(text, add_special_tokens=False, max_length=TOKENS_MAX)
        tokens: list[int] = encoded.input_ids.data[0].tolist()
        return tokens

    def _cuts_at(self, context_tokens: int) -> int:
        """Whatever is longer than the model's own context the tokenizer shortens to that, in silence."""
        many = len(self._encode("a b " * context_tokens))
        return many if many <= context_tokens else TOKENS_MAX

    def _marks(self, numbers: dict[bytes, int]) -> set[int]:
        """Tokens that write nothing: they look like one, and the tokenizer leaves them out."""
        like = [number for text, number in numbers.items() if text[:1] in b"<[" and text[-1:] in b">]"]
        return {number for number in like if not self._tokenizer.decode([number])}


def _plain(message: dict[str, Any]) -> dict[str, str]:
    """What templates know: a role, and text. Raises Refused."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str | None):
        raise Refused("Each message needs a 'role' and a 'content', both texts.", param="messages")
    return {"role": role, "content": content or ""}
