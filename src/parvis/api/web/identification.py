"""Whose request this is, of those who signed in: a personal token in the header, or else a cookie.

Each realm has names of its own for both, and looks nowhere but in its own tables: what opens one door is unknown at the
other. A request with an `Authorization` header is judged by it alone.
"""

from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from parvis.api.web.credentials import bearer
from parvis.api.web.routes import actor_of
from parvis.core.errors import NotPermitted
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.person import Realm
from parvis.domain.identity.principal import ANYBODY, Kind, Principal
from parvis.domain.identity.session import Session
from parvis.domain.identity.site import Site
from parvis.flows.lobby import Lobby
from parvis.flows.recognition import not_signed_in, recognise_cookie, recognise_token

_COOKIES = {Realm.CUSTOMER: "parvis_session", Realm.OPERATOR: "parvis_operator_session"}
"""Cookies know hosts and no ports, and both doors may be on one host."""
_HOST_ONLY = "__Host-"
"""A browser takes such a name only with `Secure`, for the whole host and for no other (RFC 6265bis, 4.1.3.2)."""


class SignInDesk(Protocol):
    """The part of a listener's desk that signing in needs."""

    @property
    def lobby(self) -> Lobby: ...

    @property
    def site(self) -> Site: ...


def caller_at(request: Request) -> Actor:
    """Who calls, before it is known who they are."""
    address = request.client.host if request.client else ""
    return Actor(ANYBODY.kind, ANYBODY.name, address, request.scope["parvis.request_id"])


async def recognised(lobby: Lobby, site: Site, request: Request) -> Principal:
    """Who signed in, and is still welcome. Raises NotAuthenticated, the same whatever is wrong."""
    if "authorization" in request.headers:
        presented = bearer(request)
        if presented is None:
            raise not_signed_in()
        return await recognise_token(lobby, presented, caller_at(request))
    cookie = request.cookies.get(cookie_name(lobby.realm, secure=is_secure(site, request)))
    if cookie is None:
        raise not_signed_in()
    secret = Secret(cookie, "session cookie")
    principal, request.state.session = await recognise_cookie(lobby, secret, caller_at(request))
    return principal


def has_cookie(lobby: Lobby, site: Site, request: Request) -> bool:
    """Whether a browser says that it is signed in here."""
    return cookie_name(lobby.realm, secure=is_secure(site, request)) in request.cookies


def cookie_name(realm: Realm, *, secure: bool) -> str:
    """What the cookie of a door is called."""
    return f"{_HOST_ONLY if secure else ''}{_COOKIES[realm]}"


def is_secure(site: Site, request: Request) -> bool:
    """Whether browsers come over TLS, to us or to what stands before us."""
    return site.secure or request.url.scheme == "https"


class Jar:
    """The browser's cookie of this door, as the answer changes it."""

    def __init__(self, request: Request, response: Response) -> None:
        desk = desk_of(request)
        self._response = response
        self._secure = is_secure(desk.site, request)
        self._name = cookie_name(desk.lobby.realm, secure=self._secure)

    def put(self, cookie: Secret) -> None:
        """Hand a session over: to its browser, to no script, and to no other site."""
        self._response.set_cookie(
            self._name, cookie.reveal(), path="/", secure=self._secure, httponly=True, samesite="strict"
        )

    def empty(self) -> None:
        """Let the browser forget it."""
        self._response.delete_cookie(self._name, path="/", secure=self._secure, httponly=True, samesite="strict")


def desk_of(request: Request) -> SignInDesk:
    """The desk of the application that a request reached."""
    desk: SignInDesk = request.app.state.desk
    return desk


def lobby_of(request: Request) -> Lobby:
    """What the stories of sign-in stand on, at this door."""
    return desk_of(request).lobby


def person_asking(request: Request) -> Principal:
    """Somebody who has a profile. Raises NotPermitted for keys and for the operator's token."""
    principal = actor_of(request)
    if principal.kind not in (Kind.USER, Kind.OPERATOR):
        raise NotPermitted("This is for people: your credential is nobody's own.", code="person_required")
    return principal


def session_asking(request: Request) -> Session:
    """The session by which a request came. Raises NotPermitted for tokens and keys."""
    if not actor_of(request).by_cookie:
        raise NotPermitted("This is for a session: sign in with POST /v1/session.", code="session_required")
    session: Session = request.state.session
    return session


def set_cookie(request: Request, response: Response, cookie: Secret) -> None:
    """Hand a session over with an answer that a route makes itself."""
    Jar(request, response).put(cookie)


def jar_of(request: Request, response: Response) -> Jar:
    """The cookie of the browser that asks."""
    return Jar(request, response)


TheLobby = Annotated[Lobby, Depends(lobby_of)]
TheJar = Annotated[Jar, Depends(jar_of)]
TheCaller = Annotated[Actor, Depends(caller_at)]
TheOneAsking = Annotated[Principal, Depends(person_asking)]
TheSession = Annotated[Session, Depends(session_asking)]
