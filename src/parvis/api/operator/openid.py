"""How the people of a customer sign in: `/v1/organisations/{organisation_id}/sign_in`, set by the operator for them."""

from typing import Annotated

from starlette.requests import Request

from parvis.api.web import openid_forms
from parvis.api.web.answers import SignIn, SignInLinkRemoved, SignInRemoved
from parvis.api.web.openid_forms import ProviderForm
from parvis.api.web.places import organisation_place
from parvis.api.web.routes import Route, TheActor, TheTarget
from parvis.api.web.shapes import Json
from parvis.domain.identity.permission import Permission as May

_SIGN_IN = "/v1/organisations/{organisation_id}/sign_in"


async def show(request: Request, target: TheTarget, organisation_id: str) -> Annotated[Json, SignIn]:  # noqa: ARG001 - read for the target
    """The identity provider of a customer, without its secret."""
    return await openid_forms.show(request, target)


async def put(
    request: Request,
    actor: TheActor,
    target: TheTarget,
    organisation_id: str,  # noqa: ARG001 - read for the target
    form: ProviderForm,
) -> Annotated[Json, SignIn]:
    """Set or replace it. The provider is asked what it says of itself first."""
    return await openid_forms.put(request, actor, target, form)


async def remove(request: Request, target: TheTarget, organisation_id: str) -> Annotated[Json, SignInRemoved]:  # noqa: ARG001 - as above
    """Nobody comes by it any more; who did is signed out, and what its claims gave is withdrawn."""
    return await openid_forms.remove(request, target)


async def forget(
    request: Request,
    target: TheTarget,
    organisation_id: str,  # noqa: ARG001 - read for the target
    user_id: str,
) -> Annotated[Json, SignInLinkRemoved]:
    """Forget by which name the provider knows somebody; they are found by their e-mail when they come again."""
    return await openid_forms.forget(request, target, user_id)


ROUTES = (
    Route("GET", _SIGN_IN, show, May.SIGN_IN_READ, target=organisation_place),
    Route("PUT", _SIGN_IN, put, May.SIGN_IN_WRITE, target=organisation_place, action="sign_in.updated", step_up=True),
    Route(
        "DELETE", _SIGN_IN, remove, May.SIGN_IN_WRITE, target=organisation_place, action="sign_in.deleted", step_up=True
    ),
    Route(
        "DELETE",
        f"{_SIGN_IN}/links/{{user_id}}",
        forget,
        May.SIGN_IN_WRITE,
        target=organisation_place,
        action="sign_in.link_deleted",
        step_up=True,
    ),
)
