"""Whether this key may ask this of this model, and the most that it can take."""

from parvis.core.errors import BadRequest, NotFound
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import EngineProfile
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.scope import names_match
from parvis.domain.metering.records import Operation
from parvis.domain.quota.admission import WorstCase, worst_case
from parvis.flows.ports import Directory, InferenceRequest

NAME_CHARS_MAX = 128
"""How much of a name that nobody knows an error may say again."""
_NEEDS = {
    Operation.CHAT: Capability.CHAT,
    Operation.COMPLETION: Capability.CHAT,
    Operation.EMBEDDING: Capability.EMBEDDINGS,
}


def authorize(directory: Directory, key: ApiKey, request: InferenceRequest) -> Model:
    """Resolve the name and check the right to it. A model that the key may not use does not exist for it."""
    model = directory.model(request.model)
    if model is None or not covers(key, model):
        raise NotFound(
            f"The model '{request.model[:NAME_CHARS_MAX]}' does not exist or you do not have access to it. "
            "GET /v1/models lists yours.",
            code="model_not_found",
            param="model",
        )
    for needed in (_NEEDS[request.operation], *request.capabilities):
        if needed not in model.capabilities:
            raise BadRequest(
                f"The model '{model.id}' cannot do '{needed}'. GET /v1/models lists what each model can do.",
                code="unsupported_parameter",
                param="model",
            )
    if model.control_tokens:
        for text in request.body.texts():
            _refuse_control_tokens(model, text)
    return model


def covers(key: ApiKey, model: Model) -> bool:
    """Whether the scope of a key reaches a model, by its id or an alias."""
    return names_match((model.id, *model.aliases), key.scope.models_allowed, key.scope.models_denied)


def bounds(request: InferenceRequest, model: Model) -> WorstCase:
    """The request's worst case. Raises BadRequest when it asks for more than the model's context."""
    asked = request.output_tokens_max
    if asked is not None and asked > model.context_tokens:
        raise BadRequest(
            f"max_tokens is too large: {asked}. The context of '{model.id}' is {model.context_tokens} tokens.",
            param="max_tokens",
        )
    return worst_case(
        input_bytes=request.input_bytes,
        template_tokens=model.template_tokens,
        context_tokens=model.context_tokens,
        output_tokens_max=0 if request.operation is Operation.EMBEDDING else asked,
        choices=request.choices,
        prompts=request.prompts,
    )


def allow_extras(request: InferenceRequest, profile: EngineProfile) -> None:
    """Engine parameters pass only where the engine of this model understands them."""
    for name in request.extras:
        if name not in profile.extras:
            raise BadRequest(
                f"The parameter '{name}' is not supported by the engine of '{request.model}'. Remove it.",
                code="unsupported_parameter",
                param=name,
            )


def _refuse_control_tokens(model: Model, text: str) -> None:
    for token in model.control_tokens:
        if token in text:
            raise BadRequest(
                f"The input contains '{token}', which '{model.id}' reads as a control token. Remove or split it.",
                code="control_token_in_input",
                param="messages",
            )
