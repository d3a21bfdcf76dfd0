"""One request, as stories read it. Read in many places for each, so a plain class: cheap where it is compiled."""

from collections.abc import Iterable
from typing import Protocol

from parvis.core.quantities import Quantities
from parvis.domain.metering.records import Operation


class Body(Protocol):
    """The validated request body, in the shape of its protocol. Stories look at its texts only; engines at all."""

    def texts(self) -> Iterable[str]:
        """Every text of the caller's that the model will read."""


class InferenceRequest:
    """What policy reads of a request, and the body that an engine will be given. Nobody changes it."""

    __slots__ = (
        "address",
        "body",
        "capabilities",
        "choices",
        "credential",
        "extras",
        "include_cost",
        "include_usage",
        "input_bytes",
        "model",
        "operation",
        "output_tokens_max",
        "prompts",
        "quantities",
        "request_id",
        "stream",
    )

    def __init__(  # noqa: PLR0913 - all that policy reads, by name
        self,
        *,
        request_id: str,
        operation: Operation,
        credential: str | None,
        model: str,
        body: Body,
        input_bytes: int,
        address: str = "",
        stream: bool = False,
        include_usage: bool = False,
        include_cost: bool = False,
        choices: int = 1,
        prompts: int = 1,
        output_tokens_max: int | None = None,
        extras: tuple[str, ...] = (),
        capabilities: tuple[str, ...] = (),
        quantities: Quantities | None = None,
    ) -> None:
        self.request_id = request_id
        self.operation = operation
        self.credential = credential
        self.address = address
        """Of the peer of the connection; empty when nobody knows it."""
        self.model = model
        self.body = body
        self.stream = stream
        self.include_usage = include_usage
        """The caller asked for the usage event of a stream."""
        self.include_cost = include_cost
        """And for the cost in it."""
        self.choices = choices
        self.prompts = prompts
        """Independent inputs in one request (embeddings, lists of prompts)."""
        self.output_tokens_max = output_tokens_max
        self.input_bytes = input_bytes
        """UTF-8 bytes of every text that the engine will see, injected ones included."""
        self.extras = extras
        """Parameters beyond OpenAI's that the caller sent."""
        self.capabilities = capabilities
        """What the model must be able to do, beyond what the operation says."""
        self.quantities = quantities
        """The most that it can use beside tokens."""

    def part(self, body: Body, prompts: int, input_bytes: int) -> "InferenceRequest":
        """A question of the same request that an engine is asked by itself."""
        return InferenceRequest(
            request_id=self.request_id,
            operation=self.operation,
            credential=self.credential,
            model=self.model,
            body=body,
            prompts=prompts,
            input_bytes=input_bytes,
        )
