"""One entry of the catalogue. Users name models, never machines."""

from dataclasses import dataclass
from enum import StrEnum


class ModelState(StrEnum):
    """Where a model stands in its life."""

    PLANNED = "planned"
    EVALUATION = "evaluation"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Track(StrEnum):
    """What its users may rely on: a version fixed for 12 months or more, or an early look."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"


class Capability(StrEnum):
    """What a model can be asked for."""

    CHAT = "chat"
    TOOLS = "tools"
    VISION = "vision"
    REASONING = "reasoning"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class AutoCandidate:
    """One of the models among which an `auto` entry chooses."""

    model: str
    """Its id."""
    difficulty_max: float = 1.0
    """Of the hardest task that it is chosen for: 0 to 1. What is too hard for all goes to the last that can do it."""


@dataclass(frozen=True, slots=True)
class AutoPolicy:
    """How an `auto` entry chooses a model for each request: see `domain.catalog.auto`."""

    candidates: tuple[AutoCandidate, ...]
    """From the smallest (or cheapest) to the largest: the first that fits is chosen."""
    language: str = ""
    """What its callers write, as `fr`. Empty: guessed from each request."""
    answer_tokens: int = 256
    """Room that a context must have for an answer whose length nobody named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as customers see it and engines serve it. Dates are ISO 8601; unknown facts are None, never guessed."""

    id: str
    engine: str
    """The name of the engine in the settings that serves it."""
    engine_model: str
    """What that engine calls it."""
    context_tokens: int
    capabilities: tuple[Capability, ...]
    state: ModelState = ModelState.PRODUCTION
    track: Track = Track.STABLE
    aliases: tuple[str, ...] = ()
    editor: str = ""
    country: str = ""
    parameters: int | None = None
    speed_tokens_per_s: int | None = None
    energy_wh_per_mtoken: int | None = None
    licence: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    production_on: str | None = None
    end_of_support_on: str | None = None
    long_term_support: bool = False
    successor: str | None = None
    weights_digest: str | None = None
    provenance: str = ""
    card_url: str = ""
    dimensions: int | None = None
    """Length of an embedding, for models that make them."""
    template_tokens: int = 64
    """The most tokens that the model's chat template adds by itself."""
    control_tokens: tuple[str, ...] = ()
    """Texts that the tokenizer reads as control tokens; refused in what a caller sends."""
    begins_in_reasoning: bool = False
    """Its template opens the reasoning, and its engine leaves that in the text: answers begin without `<think>`."""
    created_unix_s: int = 0
    auto: AutoPolicy | None = None
    """Of an entry that is no model itself, and chooses one. Engine, context and capabilities are not said of it."""


SERVED = frozenset({ModelState.EVALUATION, ModelState.PRODUCTION, ModelState.DEPRECATED})
LISTED = frozenset({ModelState.PRODUCTION, ModelState.DEPRECATED})


def name_table(models: list[Model]) -> dict[str, Model]:
    """Every name a request may use for a model that is served: ids win over aliases."""
    served = [model for model in models if model.state in SERVED]
    table = {alias: model for model in served for alias in model.aliases}
    table.update({model.id: model for model in served})
    return table
