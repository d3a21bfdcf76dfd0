"""What may be said of a key in a body, and how a key with its rotation looks. Of both administration listeners."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from parvis.api.web.instants import read_instant, write_instant
from parvis.api.web.limit_shapes import LimitsForm, words_shape
from parvis.api.web.shapes import Json
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.rotation import SECOND_MS, Schedule
from parvis.domain.identity.scope import ANY_MODEL, ENDPOINTS, Endpoint, KeyScope
from parvis.domain.quota.limit import NO_LIMITS, Level, Limits, subject
from parvis.flows.keys import KeyTerms
from parvis.flows.limit_store import LimitStore
from parvis.flows.rotation import RotationState, SecretStory

MODELS_MAX = 200
Name = Annotated[str, Field(max_length=300)]
Seconds = Annotated[int, Field(ge=0, le=10**9)]
_PLAIN = Schedule()


class ScheduleForm(BaseModel):
    """When a key's next secret is due, and for how long two of them work. In seconds."""

    model_config = ConfigDict(extra="forbid")
    every_s: Seconds = _PLAIN.every_ms // SECOND_MS
    overlap_s: Seconds = _PLAIN.overlap_ms // SECOND_MS
    notice_s: Seconds = _PLAIN.notice_ms // SECOND_MS
    grace_s: Seconds = _PLAIN.grace_ms // SECOND_MS

    def schedule(self) -> Schedule:
        spans = (self.every_s, self.overlap_s, self.notice_s, self.grace_s)
        return Schedule(*(span * SECOND_MS for span in spans))


class TermsForm(BaseModel):
    """All that may be said of a key beside whose it is. What is not said is not restricted, or stays as it is."""

    model_config = ConfigDict(extra="forbid")
    models: list[Name] = Field(default=[ANY_MODEL], max_length=MODELS_MAX)
    models_denied: list[Name] = Field(default=[], max_length=MODELS_MAX)
    endpoints: list[Endpoint] = Field(default=[*ENDPOINTS], max_length=20)
    addresses: list[Name] = Field(default=[], max_length=MODELS_MAX)
    ends_at: str | None = None
    schedule: ScheduleForm | None = None
    project_id: Name = ""
    tags: list[Name] = Field(default=[], max_length=100)

    def terms(self, owner_id: str) -> KeyTerms:
        """Of a new key. Raises BadRequest for an instant that is none."""
        return KeyTerms(
            scope=KeyScope(tuple(self.models), tuple(self.models_denied), tuple(self.endpoints), tuple(self.addresses)),
            ends_unix_ms=read_instant(self.ends_at, "ends_at"),
            schedule=None if self.schedule is None else self.schedule.schedule(),
            project_id=self.project_id,
            tags=tuple(self.tags),
            owner_id=owner_id,
        )


class NewTermsForm(TermsForm):
    """All that may be said of a new key: its own limits too, which later are changed where limits are."""

    limits: LimitsForm = LimitsForm()

    def terms(self, owner_id: str) -> KeyTerms:
        """Raises BadRequest for an instant that is none, or limits that cannot be."""
        return replace(super().terms(owner_id), limits=self.limits.limits())


_SCOPE = {
    "models": "models_allowed",
    "models_denied": "models_denied",
    "endpoints": "endpoints",
    "addresses": "addresses",
}
_WHOLE = {"ends_at": "ends_unix_ms", "schedule": "schedule", "project_id": "project_id", "tags": "tags"}


class KeyChange(TermsForm):
    """What is to be different. What is not said stays as it is."""

    name: Name = ""

    def applied(self, key: ApiKey) -> ApiKey:
        """The key with what was said. Raises BadRequest for an instant that is none."""
        said, terms = self.model_fields_set, self.terms(key.owner_id)
        scope = {field: getattr(terms.scope, field) for name, field in _SCOPE.items() if name in said}
        whole = {field: getattr(terms, field) for name, field in _WHOLE.items() if name in said}
        if "name" in said:
            whole["name"] = self.name
        return replace(key, scope=replace(key.scope, **scope), **whole)


async def limits_of_keys(store: LimitStore, keys: Sequence[ApiKey]) -> list[Limits]:
    """What was set on each of these keys itself."""
    names = [subject(Level.KEY, key.key_id) for key in keys]
    held = await store.limits_set(names)
    return [held.get(named, NO_LIMITS) for named in names]


def key_state_shape(key: ApiKey, state: RotationState, limits: Limits) -> Json:
    """A key without its digests, with its own limits, and where it stands in its rotation."""
    scope, schedule = key.scope, key.schedule
    return {
        "object": "key",
        "id": key.key_id,
        "name": key.name,
        "tenant_id": key.tenant_id,
        "organisation_id": key.organisation_id,
        "project_id": key.project_id or None,
        "owner_id": key.owner_id or None,
        "models": list(scope.models_allowed),
        "models_denied": list(scope.models_denied),
        "endpoints": list(scope.endpoints),
        "addresses": list(scope.addresses),
        "tags": list(key.tags),
        "limits": words_shape(limits),
        "active": key.active,
        "created_at": write_instant(key.created_unix_ms),
        "ends_at": _instant(key.ends_unix_ms),
        "schedule": None if schedule is None else _schedule_shape(schedule),
        "rotation": {
            "phase": state.phase,
            "due_at": _instant(state.due_unix_ms),
            "ends_at": _instant(state.ends_unix_ms),
            "secrets": [_secret_shape(secret) for secret in state.secrets],
        },
    }


def _schedule_shape(schedule: Schedule) -> Json:
    spans = (schedule.every_ms, schedule.overlap_ms, schedule.notice_ms, schedule.grace_ms)
    return dict(zip(ScheduleForm.model_fields, (span // SECOND_MS for span in spans), strict=True))


def _secret_shape(secret: SecretStory) -> Json:
    return {
        "made_at": write_instant(secret.made_unix_ms),
        "ends_at": _instant(secret.ends_unix_ms),
        "last_used_at": _instant(secret.last_used_unix_ms),
    }


def _instant(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else write_instant(unix_ms)
