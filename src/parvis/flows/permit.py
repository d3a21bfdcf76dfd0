"""Whether this key may ask this of this model, and the most that it can take."""

from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import EngineProfile
from parvis.domain.identity.scope import Endpoint
from parvis.domain.metering.records import Operation
from parvis.domain.quota.admission import WorstCase, worst_case
from parvis.flows.ports import Directory
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest

NAME_CHARS_MAX = 128
"""How much of a name that nobody knows an error may say again."""
_WRITING = (Operation.CHAT, Operation.COMPLETION)
"""What is answered with tokens."""
_NEEDS = {
    Operation.CHAT: Capability.CHAT,
    Operation.COMPLETION: Capability.CHAT,
    Operation.EMBEDDING: Capability.EMBEDDINGS,
    Operation.RERANK: Capability.RERANK,
    Operation.TRANSCRIPTION: Capability.AUDIO,
    Operation.TRANSLATION: Capability.AUDIO,
    Operation.SPEECH: Capability.AUDIO,
}
_STANDS_IN: dict[str, Capability] = {Capability.RERANK: Capability.EMBEDDINGS}
"""What may be missing, and what does it then: documents are compared with a query by their embeddings."""
_ENDPOINTS = {
    Operation.CHAT: Endpoint.CHAT,
    Operation.COMPLETION: Endpoint.COMPLETIONS,
    Operation.EMBEDDING: Endpoint.EMBEDDINGS,
    Operation.RERANK: Endpoint.RERANK,
    Operation.TRANSCRIPTION: Endpoint.AUDIO,
    Operation.TRANSLATION: Endpoint.AUDIO,
    Operation.SPEECH: Endpoint.AUDIO,
}


def authorize(directory: Directory, prepared: PreparedKey, request: InferenceRequest) -> Model:
    """Resolve the name and check the right to the endpoint and the model, before anything costs.

    Raises NotPermitted, NotFound; BadRequest for what the model cannot do.
    """
    allow_endpoint(prepared, _ENDPOINTS[request.operation])
    model = find_model(directory, prepared, request.model)
    for needed in (_NEEDS[request.operation], *request.capabilities):
        if needed not in model.capabilities and _STANDS_IN.get(needed) not in model.capabilities:
            raise BadRequest(
                f"The model '{model.id}' cannot do '{needed}'. GET /v1/models lists what each model can do.",
                code="unsupported_parameter",
                param="model",
            )
    refuse_control_tokens(model, request)
    return model


def allow_endpoint(prepared: PreparedKey, endpoint: Endpoint) -> None:
    """Raises NotPermitted, naming the endpoint, when the key is for others."""
    if endpoint not in prepared.endpoints:
        raise NotPermitted(
            f"This key may not be used at the endpoint '{endpoint}'. Use one that has it among its endpoints."
        )


def find_model(directory: Directory, prepared: PreparedKey, name: str) -> Model:
    """The model of an id or an alias. One that the key may not use does not exist for it, unless the operator tells.

    Raises NotFound, NotPermitted.
    """
    model = directory.model(name)
    if model is not None and model.id in prepared.model_ids:
        return model
    if model is not None and directory.tells_forbidden:
        raise NotPermitted(
            f"This key may not use the model '{name[:NAME_CHARS_MAX]}'. GET /v1/models lists those that it may.",
            param="model",
        )
    raise no_model(name)


def no_model(name: str) -> NotFound:
    """What is said of a model that is not there, or not for this key."""
    return NotFound(
        f"The model '{name[:NAME_CHARS_MAX]}' does not exist or you do not have access to it. "
        "GET /v1/models lists yours.",
        code="model_not_found",
        param="model",
    )


def bounds(request: InferenceRequest, model: Model) -> WorstCase:
    """The request's worst case. Raises BadRequest when it asks for more than the model's context."""
    asked = request.output_tokens_max
    if asked is not None and asked > model.context_tokens:
        raise BadRequest(
            f"max_tokens is too large: {asked}. The context of '{model.id}' is {model.context_tokens} tokens.",
            param="max_tokens",
        )
    worst = worst_case(
        input_bytes=request.input_bytes,
        template_tokens=model.template_tokens,
        context_tokens=model.context_tokens,
        output_tokens_max=asked if request.operation in _WRITING else 0,
        choices=request.choices,
        prompts=request.prompts,
    )
    return worst if request.quantities is None else worst._replace(quantities=request.quantities)


def allow_extras(request: InferenceRequest, profile: EngineProfile) -> None:
    """Engine parameters pass only where the engine of this model understands them."""
    for name in request.extras:
        if name not in profile.extras:
            raise BadRequest(
                f"The parameter '{name}' is not supported by the engine of '{request.model}'. Remove it.",
                code="unsupported_parameter",
                param=name,
            )


def refuse_control_tokens(model: Model, request: InferenceRequest) -> None:
    """Raises BadRequest for an input that this model would read as more than a text."""
    if not model.control_tokens:
        return
    for text in request.body.texts():
        for token in model.control_tokens:
            if token[0] in text and token in text:  # a single sign is found ten times as fast
                raise BadRequest(
                    f"The input contains '{token}', which '{model.id}' reads as a control token. Remove or split it.",
                    code="control_token_in_input",
                    param="messages",
                )
