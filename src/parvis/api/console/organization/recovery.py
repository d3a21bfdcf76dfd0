"""`/v1/organization/users/{user_id}`: resetting how somebody signs in, and signing them out everywhere."""

from typing import Annotated, Literal

from fastapi import Query

from parvis.api.console.desk import TheDesk
from parvis.api.console.organization.lists import unix_s
from parvis.api.web.answers import Shape
from parvis.api.web.recovery_forms import SignedOutEverywhere, SignOutQuery, signed_out_shape
from parvis.api.web.routes import TheActor
from parvis.api.web.shapes import Json
from parvis.flows.invitation_letter import post_link
from parvis.flows.recovery import reset_sign_in, sign_out


class UserSignInReset(Shape):
    """A sign-in that was taken away. `link` sets another password: it stands in this answer alone."""

    id: str
    object: Literal["organization.user.sign_in_reset"]
    user_id: str
    email: str
    created_at: int
    expires_at: int
    link: str


async def reset(desk: TheDesk, actor: TheActor, user_id: str) -> Annotated[Json, UserSignInReset]:
    """Take away all that somebody signs in with. `link` sets another password: shown in this answer only."""
    made = await reset_sign_in(desk.store, desk.mint, actor, user_id)
    await post_link(desk.post_office, made, desk.site.public_url)
    reset = made.invitation
    return {
        "id": reset.invitation_id,
        "object": "organization.user.sign_in_reset",
        "user_id": reset.user_id,
        "email": reset.email,
        "created_at": unix_s(reset.created_unix_ms),
        "expires_at": unix_s(reset.ends_unix_ms),
        "link": made.link.reveal(),
    }


async def end_sessions(
    desk: TheDesk, actor: TheActor, user_id: str, query: Annotated[SignOutQuery, Query()]
) -> Annotated[Json, SignedOutEverywhere]:
    """End all sessions of somebody, and their personal tokens if it is asked for."""
    return signed_out_shape(user_id, await sign_out(desk.store, actor, user_id, tokens=query.personal_tokens))
