"""`/v1/organization/admin_api_keys`: the personal tokens of who asks. Nobody sees those of others."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from parvis.api.console.desk import ConsoleDesk, TheDesk
from parvis.api.console.organization.answers import AdminKey, Deleted, IdList, NewAdminKey
from parvis.api.console.organization.lists import MS_PER_S, ListQuery, id_list, unix_s, unix_s_or_none
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, NotFound
from parvis.domain.identity.key_text import PERSONAL_PREFIX
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.personal_token import LIFE_MS_MAX, PersonalToken
from parvis.domain.identity.principal import Principal
from parvis.flows.people import person_named
from parvis.flows.personal_tokens import list_tokens, make_token, revoke_token


class TokensQuery(ListQuery):
    """Which part of the list."""

    order: Literal["asc", "desc"] = "desc"


class TokenForm(BaseModel):
    """A token that somebody wants. Without an end it lives for twelve months, which is the longest."""

    model_config = ConfigDict(extra="forbid")
    name: str
    expires_in_seconds: int | None = Field(default=None, ge=1, le=LIFE_MS_MAX // MS_PER_S)


async def all_tokens(
    desk: TheDesk, actor: TheActor, query: Annotated[TokensQuery, Query()]
) -> Annotated[Json, IdList[AdminKey]]:
    """The caller's own, by the time at which they were made."""
    person, tokens = await _own(desk, actor)
    tokens = _paged(sorted(tokens, key=_order, reverse=query.order == "desc"), query)
    return id_list([token_shape(token, person) for token in tokens], query.limit)


async def create(desk: TheDesk, actor: TheActor, form: TokenForm) -> Annotated[Json, NewAdminKey]:
    """A new token. `value` is all of it: this answer is the only place where it ever stands."""
    person, _ = await _own(desk, actor)
    seconds = form.expires_in_seconds
    ends = desk.clock.unix_ms() + (LIFE_MS_MAX if seconds is None else seconds * MS_PER_S)
    made = await make_token(desk.store, desk.mint, person, form.name, ends)
    return {**token_shape(made.token, person), "value": made.text.reveal()}


async def one(desk: TheDesk, actor: TheActor, token_id: str) -> Annotated[Json, AdminKey]:
    """One of the caller's own."""
    person, tokens = await _own(desk, actor)
    for token in tokens:
        if token.token_id == token_id:
            return token_shape(token, person)
    raise NotFound(f"You have no personal token '{token_id[:100]}'.", param="token_id")


async def delete(desk: TheDesk, actor: TheActor, token_id: str) -> Annotated[Json, Deleted]:
    """Revoke one of the caller's own for good."""
    await revoke_token(desk.store, Realm.CUSTOMER, actor.subject_id, token_id)
    return {"id": token_id, "object": "organization.admin_api_key.deleted", "deleted": True}


def token_shape(token: PersonalToken, person: Person) -> Json:
    """A token without its secret."""
    owner = {"id": person.user_id, "object": "organization.user", "type": "user", "name": person.name, "role": "owner"}
    return {
        "id": token.token_id,
        "object": "organization.admin_api_key",
        "name": token.name,
        "redacted_value": f"{PERSONAL_PREFIX}_{token.token_id}_...",
        "created_at": unix_s(token.created_unix_ms),
        "expires_at": unix_s(token.ends_unix_ms),
        "last_used_at": unix_s_or_none(token.used_unix_ms),
        "owner": {**owner, "created_at": unix_s(person.created_unix_ms)},
    }


async def _own(desk: ConsoleDesk, actor: Principal) -> tuple[Person, list[PersonalToken]]:
    person = await person_named(desk.store, Realm.CUSTOMER, actor.subject_id)
    now = desk.clock.unix_ms()
    return person, [t for t in await list_tokens(desk.store, Realm.CUSTOMER, person.user_id) if t.alive(now)]


def _order(token: PersonalToken) -> tuple[int, str]:
    return token.created_unix_ms, token.token_id


def _paged(tokens: list[PersonalToken], query: TokensQuery) -> list[PersonalToken]:
    """What follows the cursor, which is one of them (else BadRequest); one more than asked if there is one."""
    ids = [token.token_id for token in tokens]
    if query.after is not None and query.after not in ids:
        raise BadRequest("'after' must be the id of one of your tokens. Begin again without it.", param="after")
    start = 0 if query.after is None else ids.index(query.after) + 1
    return tokens[start : start + query.limit + 1]
