"""What both doors say of a sign-in that was reset, and of somebody who was signed out everywhere."""

from typing import Literal

from pydantic import Field

from parvis.api.web.answers import Instant, Shape
from parvis.api.web.queries import NoQuery
from parvis.api.web.shapes import Json
from parvis.flows.recovery import SignedOut


class SignOutQuery(NoQuery):
    """What ends besides the sessions."""

    personal_tokens: bool = Field(default=False, description="Revoke all of their personal tokens too.")


class SignInReset(Shape):
    """A sign-in that was taken away. `link` sets another password: it stands in this answer alone."""

    object: Literal["sign_in_reset"]
    id: str
    user_id: str
    email: str
    created_at: Instant
    ends_at: Instant
    link: str


class SignedOutEverywhere(Shape):
    """How many sessions and personal tokens of somebody were ended."""

    object: Literal["signed_out"]
    user_id: str
    sessions: int
    personal_tokens: int


def signed_out_shape(user_id: str, ended: SignedOut) -> Json:
    """Whose, and how many of what."""
    return {
        "object": "signed_out",
        "user_id": user_id,
        "sessions": ended.sessions,
        "personal_tokens": ended.tokens,
    }
