"""The way to an identity provider and back: `/v1/sign-in/openid`. Browsers get pages and redirects, programs JSON."""

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parvis.api.statuses import headers_of, status_of
from parvis.api.web import openid_forms
from parvis.api.web.desk import front_desk
from parvis.api.web.identification import caller_at, is_secure, set_cookie
from parvis.api.web.openid_forms import openid_of
from parvis.api.web.pages import onward, page, wants_page
from parvis.api.web.places import own_organisation
from parvis.api.web.problems import problem
from parvis.api.web.queries import NoQuery
from parvis.api.web.routes import Route
from parvis.core.errors import Failure
from parvis.domain.identity.openid import VISIT_MS
from parvis.domain.identity.permission import Permission as May
from parvis.flows.openid import CALLBACK_PATH, Shown, begin, come_back

SEE_OTHER = 303
_SIGN_IN = "/v1/organization/sign_in"
_Shown = Annotated[str, Field(max_length=4000)]


class BeginQuery(NoQuery):
    """Where the browser goes when its person is signed in."""

    return_to: Annotated[str, Field(max_length=1000)] = "/"


class CallbackQuery(NoQuery):
    """What a provider adds to the redirect; of other things it says nothing is read."""

    model_config = ConfigDict(extra="ignore")
    state: _Shown = ""
    code: _Shown = ""
    error: _Shown = ""
    iss: _Shown = ""


async def leave(request: Request, organisation_id: str, query: Annotated[BeginQuery, Query()]) -> Response:
    """Send a browser to the provider of this organisation."""
    site = front_desk(request).site
    if request.url.hostname != site.name:
        # The provider sends people back to the public address, where a cookie of this one would not be seen.
        return RedirectResponse(f"{site.public_url}{request.url.path}?{request.url.query}", SEE_OTHER)
    try:
        departure = await begin(openid_of(request), organisation_id, query.return_to, caller_at(request))
    except Failure as failure:
        return _refusal(request, failure)
    response = RedirectResponse(departure.url, SEE_OTHER)
    _set_cookie(request, response, departure.browser.reveal(), VISIT_MS // 1000)
    return response


async def arrive(request: Request, query: Annotated[CallbackQuery, Query()]) -> Response:
    """Sign in whoever comes back. The session is the browser's; its cookie is all that it gets."""
    name = _cookie_name(request)
    shown = Shown(
        state=query.state, code=query.code, error=query.error, issuer=query.iss, browser=request.cookies.get(name, "")
    )
    try:
        arrival = await come_back(openid_of(request), shown, caller_at(request))
    except Failure as failure:
        response = _refusal(request, failure)
    else:
        response = onward(request, arrival.return_to)
        set_cookie(request, response, arrival.signed_in.cookie)
    _set_cookie(request, response, "", 0)
    return response


def _refusal(request: Request, failure: Failure) -> Response:
    """A page for people; what programs get otherwise."""
    if not wants_page(request):
        return problem(failure, request.headers)
    status, _ = status_of(failure)
    headers = {name.decode(): value.decode() for name, value in headers_of(failure)}
    return page(request, status, str(failure), failure.code, headers)


def _cookie_name(request: Request) -> str:
    """`__Host-` makes browsers refuse it from anybody but this very host, over TLS."""
    return "__Host-parvis_openid" if is_secure(front_desk(request).site, request) else "parvis_openid"


def _set_cookie(request: Request, response: Response, value: str, age_s: int) -> None:
    """`lax`: it must come along when the provider sends the browser back."""
    response.set_cookie(
        _cookie_name(request),
        value,
        max_age=age_s,
        path="/",
        secure=is_secure(front_desk(request).site, request),
        httponly=True,
        samesite="lax",
    )


ROUTES = (
    Route("GET", CALLBACK_PATH, arrive, May.SIGN_IN),
    Route("GET", "/v1/sign-in/openid/{organisation_id}", leave, May.SIGN_IN, SEE_OTHER),
    Route("GET", _SIGN_IN, openid_forms.show, May.SIGN_IN_READ, target=own_organisation),
    Route(
        "PUT",
        _SIGN_IN,
        openid_forms.put,
        May.SIGN_IN_WRITE,
        target=own_organisation,
        action="sign_in.updated",
        step_up=True,
    ),
    Route(
        "DELETE",
        _SIGN_IN,
        openid_forms.remove,
        May.SIGN_IN_WRITE,
        target=own_organisation,
        action="sign_in.deleted",
        step_up=True,
    ),
    Route(
        "DELETE",
        f"{_SIGN_IN}/links/{{user_id}}",
        openid_forms.forget,
        May.SIGN_IN_WRITE,
        target=own_organisation,
        action="sign_in.link_deleted",
        step_up=True,
    ),
)
