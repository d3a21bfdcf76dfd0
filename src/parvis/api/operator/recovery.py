"""People who cannot sign in any more, or for whom somebody else may be signed in: reset, and signed out everywhere."""

from typing import Annotated

from fastapi import Query

from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.web.instants import write_instant
from parvis.api.web.recovery_forms import SignedOutEverywhere, SignInReset, SignOutQuery, signed_out_shape
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import Principal
from parvis.flows.invitation_letter import post_link
from parvis.flows.recovery import reset_sign_in, sign_out

AsksFor = Annotated[SignOutQuery, Query()]


async def reset_user(desk: TheDesk, actor: TheActor, user_id: str) -> Annotated[Json, SignInReset]:
    """Take away all that a user signs in with. `link` sets another password: shown in this answer only."""
    return await _reset(desk, actor, user_id, Realm.CUSTOMER)


async def reset_operator(desk: TheDesk, actor: TheActor, operator_id: str) -> Annotated[Json, SignInReset]:
    """Take away all that one of the operator's people signs in with. `link` is shown in this answer only."""
    return await _reset(desk, actor, operator_id, Realm.OPERATOR)


async def sign_user_out(
    desk: TheDesk, actor: TheActor, user_id: str, query: AsksFor
) -> Annotated[Json, SignedOutEverywhere]:
    """End all sessions of a user, and their personal tokens if it is asked for."""
    ended = await sign_out(desk.store, actor, user_id, tokens=query.personal_tokens)
    return signed_out_shape(user_id, ended)


async def sign_operator_out(
    desk: TheDesk, actor: TheActor, operator_id: str, query: AsksFor
) -> Annotated[Json, SignedOutEverywhere]:
    """End all sessions of one of the operator's people, and their personal tokens if it is asked for."""
    ended = await sign_out(desk.store, actor, operator_id, Realm.OPERATOR, tokens=query.personal_tokens)
    return signed_out_shape(operator_id, ended)


async def _reset(desk: OperatorDesk, actor: Principal, user_id: str, realm: Realm) -> Json:
    made = await reset_sign_in(desk.store, desk.mint, actor, user_id, realm)
    await post_link(desk.post_office, made, desk.site.public_url if realm is Realm.OPERATOR else "")
    reset = made.invitation
    return {
        "object": "sign_in_reset",
        "id": reset.invitation_id,
        "user_id": reset.user_id,
        "email": reset.email,
        "created_at": write_instant(reset.created_unix_ms),
        "ends_at": write_instant(reset.ends_unix_ms),
        "link": made.link.reveal(),
    }
