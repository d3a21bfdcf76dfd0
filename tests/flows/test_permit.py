"""Who may ask what of which model, and the most that it can take."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.domain.catalog.model import Capability, Model
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.scope import Endpoint, KeyScope
from parvis.domain.metering.records import Operation
from parvis.flows.directory import KeysAtHand, SnapshotDirectory
from parvis.flows.permit import allow_extras, authorize, bounds
from parvis.flows.ports import Snapshot
from parvis.flows.prepared import PreparedKey, prepare, reach
from parvis.flows.request import InferenceRequest

TENANT = Tenant("t", "org", "Test", credit_unlimited=True)
CHAT = Model(
    id="small",
    engine="e",
    engine_model="small",
    context_tokens=1000,
    capabilities=(Capability.CHAT, Capability.TOOLS),
    aliases=("default",),
    control_tokens=("<|end|>",),
)
EMBEDDER = replace(CHAT, id="embedder", aliases=(), capabilities=(Capability.EMBEDDINGS,), control_tokens=())


def key_with(scope: KeyScope) -> PreparedKey:
    key = ApiKey("k1", "org", "t", "mine", (), scope)
    return prepare(key, KeySecret(b""), TENANT, reach((CHAT, EMBEDDER), TENANT, scope))


KEY = key_with(KeyScope())


@dataclass
class Said:
    """A body that says these texts."""

    said: tuple[str, ...] = ()

    def texts(self) -> Iterable[str]:
        return self.said


def request(model: str = "small", *said: str, **fields: Any) -> InferenceRequest:
    defaults: dict[str, Any] = {
        "request_id": "req_1",
        "operation": Operation.CHAT,
        "credential": None,
        "input_bytes": 100,
        "body": Said(said),
    }
    return InferenceRequest(model=model, **(defaults | fields))


class NoClock:
    """Nothing here depends on the time."""

    def unix_ms(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def directory() -> SnapshotDirectory:
    known = SnapshotDirectory(NoClock())
    known.load(Snapshot(1, b"", KeysAtHand({}), {}, {}, (CHAT, EMBEDDER), (), ()))
    return known


# ---------------------------------------------------------------------------------------------------- authorize


@pytest.mark.parametrize("name", ["small", "default"])
def test_a_model_is_found_by_any_of_its_names(directory: SnapshotDirectory, name: str) -> None:
    assert authorize(directory, KEY, request(name)) is CHAT


def test_what_does_not_exist_and_what_is_not_allowed_look_the_same(directory: SnapshotDirectory) -> None:
    with pytest.raises(NotFound) as unknown:
        authorize(directory, KEY, request("nothing"))
    with pytest.raises(NotFound) as forbidden:
        authorize(directory, key_with(KeyScope(("embedder",))), request("small"))
    assert str(unknown.value).replace("nothing", "small") == str(forbidden.value)
    assert (forbidden.value.code, forbidden.value.param) == ("model_not_found", "model")


def test_where_the_operator_tells_what_is_forbidden_only_that_is_told(directory: SnapshotDirectory) -> None:
    directory.tells_forbidden = True
    with pytest.raises(NotPermitted, match="may not use the model 'default'") as forbidden:
        authorize(directory, key_with(KeyScope(("embedder",))), request("default"))
    assert (forbidden.value.code, forbidden.value.param) == ("permission_denied", "model")
    with pytest.raises(NotFound):
        authorize(directory, KEY, request("nothing"))


@pytest.mark.parametrize(
    ("operation", "endpoint"),
    [
        (Operation.CHAT, Endpoint.CHAT),
        (Operation.COMPLETION, Endpoint.COMPLETIONS),
        (Operation.EMBEDDING, Endpoint.EMBEDDINGS),
    ],
)
def test_a_key_is_for_its_endpoints(directory: SnapshotDirectory, operation: Operation, endpoint: Endpoint) -> None:
    asked = request("embedder" if operation is Operation.EMBEDDING else "small", operation=operation)
    authorize(directory, key_with(KeyScope(endpoints=(endpoint,))), asked)
    others = tuple(one for one in Endpoint if one is not endpoint)
    with pytest.raises(NotPermitted, match=f"at the endpoint '{endpoint}'"):
        authorize(directory, key_with(KeyScope(endpoints=others)), asked)


def test_a_name_that_nobody_knows_is_not_said_again_at_length(directory: SnapshotDirectory) -> None:
    with pytest.raises(NotFound) as unknown:
        authorize(directory, KEY, request("x" * 10**6))
    assert len(str(unknown.value)) < 300


def test_a_key_for_a_model_may_call_it_by_its_alias(directory: SnapshotDirectory) -> None:
    assert authorize(directory, key_with(KeyScope(("small",))), request("default")) is CHAT
    assert authorize(directory, key_with(KeyScope(("def*",))), request("small")) is CHAT
    with pytest.raises(NotFound):
        authorize(directory, key_with(KeyScope(("*",), ("default",))), request("small"))


@pytest.mark.parametrize(
    ("model", "operation", "capabilities", "missing"),
    [
        ("small", Operation.CHAT, ("tools",), None),
        ("small", Operation.COMPLETION, (), None),
        ("embedder", Operation.EMBEDDING, (), None),
        ("small", Operation.EMBEDDING, (), "embeddings"),
        ("embedder", Operation.CHAT, (), "chat"),
        ("embedder", Operation.COMPLETION, (), "chat"),
        ("small", Operation.CHAT, ("tools", "vision"), "vision"),
    ],
)
def test_a_model_is_asked_only_for_what_it_can_do(
    directory: SnapshotDirectory,
    model: str,
    operation: Operation,
    capabilities: tuple[str, ...],
    missing: str | None,
) -> None:
    asked = request(model, operation=operation, capabilities=capabilities)
    if missing is None:
        assert authorize(directory, KEY, asked).id == model
        return
    with pytest.raises(BadRequest, match=f"cannot do '{missing}'") as refused:
        authorize(directory, KEY, asked)
    assert refused.value.code == "unsupported_parameter"


def test_a_control_token_in_any_text_is_refused(directory: SnapshotDirectory) -> None:
    for said in (("<|end|>",), ("fine", "hidden <|end|> within")):
        with pytest.raises(BadRequest) as refused:
            authorize(directory, KEY, request("small", *said))
        assert refused.value.code == "control_token_in_input"
        assert "hidden" not in str(refused.value)
    assert authorize(directory, KEY, request("small", "<|end", "|>")) is CHAT


# ------------------------------------------------------------------------------------------------------- bounds


def test_more_than_the_context_is_refused() -> None:
    assert bounds(request(output_tokens_max=1000), CHAT).output_tokens_each == 1000
    with pytest.raises(BadRequest, match="1001") as refused:
        bounds(request(output_tokens_max=1001), CHAT)
    assert refused.value.param == "max_tokens"


def test_an_embedding_has_no_output() -> None:
    worst = bounds(request("embedder", operation=Operation.EMBEDDING, prompts=3), EMBEDDER)
    assert (worst.input_tokens_max, worst.output_tokens_max) == (100 + 3 * EMBEDDER.template_tokens, 0)


@given(st.integers(0, 5000), st.none() | st.integers(1, 1000), st.integers(1, 8), st.integers(1, 16))
def test_a_request_is_bounded_by_its_bytes_and_the_context(
    input_bytes: int, asked: int | None, choices: int, prompts: int
) -> None:
    worst = bounds(request(input_bytes=input_bytes, output_tokens_max=asked, choices=choices, prompts=prompts), CHAT)
    assert worst.input_tokens_max == min(input_bytes + 64 * prompts, 1000 * prompts)
    assert worst.output_tokens_max == (asked or 1000) * choices * prompts


# ------------------------------------------------------------------------------------------------------- extras


@pytest.mark.parametrize("kind", EngineKind)
def test_extras_pass_only_where_the_engine_knows_them(kind: EngineKind) -> None:
    profile = PROFILES[kind]
    allow_extras(request(extras=tuple(profile.extras)), profile)
    with pytest.raises(BadRequest, match="'guided_json' is not supported") as refused:
        allow_extras(request(extras=(*profile.extras, "guided_json")), profile)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "guided_json")
