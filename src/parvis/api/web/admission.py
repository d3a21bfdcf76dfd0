"""Who may come in: the credential, the place, the page that asks, restrictions, and a fresh proof where one is due."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from parvis.api.web.desk import front_desk
from parvis.api.web.routes import Route
from parvis.core.errors import BadRequest, NotFound, NotPermitted
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import ANYBODY, Kind, Principal
from parvis.domain.identity.session import MUST_ENROL, PROVEN_MS_MAX, SECOND_FACTOR
from parvis.flows.reach import place_of
from parvis.flows.store import IdentityStore

MINUTE_MS = 60_000
OPEN_TO: dict[str, frozenset[Permission]] = {
    MUST_ENROL: frozenset({Permission.OWN_SESSION, Permission.OWN_FACTORS_WRITE}),
    SECOND_FACTOR: frozenset({Permission.OWN_SESSION}),
}
"""What is open to a session that is not complete. A restriction that nobody wrote down here leaves nothing open."""


class _Reading(dict[str, Any]):
    """The ids of a path, which remembers those by which a place was found: they are of something that is there."""

    def __init__(self, ids: Mapping[str, Any]) -> None:
        super().__init__(ids)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def read_so_far(self) -> dict[str, str]:
        return {name: str(self[name]) for name in sorted(self._read)}


async def admit(route: Route, request: Request) -> None:
    """Let it in, with `principal` and `target` in its state. Raises NotAuthenticated, NotFound or NotPermitted."""
    desk = front_desk(request)
    request.state.target, request.state.acting = None, False
    request.state.details, request.state.objects, request.state.made = {}, {}, {}
    principal = ANYBODY if ANYBODY.may_somewhere(route.permission) else await desk.guard(request)
    request.state.principal = principal
    if route.target is None:
        _check_somewhere(principal, route.permission)
    else:
        request.scope["path_params"] = read = _Reading(request.path_params)
        request.state.target = checked_place(principal, route.permission, await route.target(request))
        request.state.objects = read.read_so_far()
    if principal.by_cookie and route.method != "GET":
        _check_page(request)
    _check_restrictions(principal, route.permission)
    if route.step_up:
        check_proof(principal, desk.clock.unix_ms())


def _check_somewhere(principal: Principal, permission: Permission) -> None:
    if not principal.may_somewhere(permission):
        raise _lacking(permission)


def checked_place(principal: Principal, permission: Permission, target: Target | None) -> Target:
    """What somebody may not see does not exist; what they see and may not touch is refused by name."""
    if target is not None and principal.may(permission, target):
        return target
    if target is None or not principal.sees(target):
        raise _unseen()
    raise _lacking(permission)


async def checked_tenant(
    store: IdentityStore, principal: Principal, permission: Permission, named: str | None
) -> Tenant:
    """The tenant that a body names; without a name the only one that the permission reaches.

    Raises as `checked_place` does, and BadRequest without a name when there are several.
    """
    tenants = await store.tenants()
    if named is None:
        reached = [tenant for tenant in tenants if principal.may(permission, place_of(tenant))]
        if len(reached) != 1:
            raise BadRequest(f"You reach {len(reached)} tenants. Say which one.", param="tenant_id")
        return reached[0]
    for tenant in tenants:
        if tenant.tenant_id == named:
            checked_place(principal, permission, place_of(tenant))
            return tenant
    raise _unseen()


def _unseen() -> NotFound:
    return NotFound("There is no such object, or none that you may know of. Check the ids that you have named.")


def _lacking(permission: Permission) -> NotPermitted:
    return NotPermitted(f"This needs the permission '{permission}', which your credential has not.")


def _check_page(request: Request) -> None:
    """A browser sends its cookie whoever asks. Only our own page can send these two headers with it."""
    if len(request.headers.getlist("origin")) != 1:  # that it is ours was checked before the route was looked for
        raise NotPermitted("A change with a cookie needs the Origin header that browsers send.", code="origin_missing")
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise BadRequest("A change with a cookie needs 'Content-Type: application/json'.", code="json_required")


def _check_restrictions(principal: Principal, permission: Permission) -> None:
    for tag in sorted(principal.tags):
        if permission not in OPEN_TO.get(tag, frozenset()):
            raise NotPermitted(
                f"Your sign-in is not complete ({tag}). Enrol or show your second factor first.",
                code="sign_in_incomplete",
            )


def check_proof(principal: Principal, now_unix_ms: int) -> None:
    """The operator's token is no person's and cannot show a factor: whoever holds it is trusted with all of it."""
    fresh = now_unix_ms - principal.proven_unix_ms <= PROVEN_MS_MAX
    if principal.kind is not Kind.OPERATOR_TOKEN and not fresh:
        raise NotPermitted(
            f"This needs a session with a proof of the last {PROVEN_MS_MAX // MINUTE_MS} minutes. Show your second"
            " factor again, then repeat this. Personal tokens and API keys cannot do it.",
            code="step_up_required",
        )
