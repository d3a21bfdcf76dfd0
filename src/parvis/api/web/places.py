"""Whose thing a path names, for `Route.target`. Each reads one id of the path and asks the store whose it is."""

from starlette.requests import Request

from parvis.api.web.desk import front_desk
from parvis.api.web.routes import actor_of
from parvis.domain.identity.place import INSTALLATION, Target


async def installation(_: Request) -> Target:
    """Something that belongs to no customer."""
    return INSTALLATION


async def own_organisation(request: Request) -> Target | None:
    """That of who asks; None of who has none."""
    organisation_id = actor_of(request).organisation_id
    return Target(organisation_id) if organisation_id else None


async def own_tenant(request: Request) -> Target:
    """That of the API key that asks; of a person, who has none, their organisation."""
    actor = actor_of(request)
    return Target(actor.organisation_id, actor.key.tenant_id if actor.key else "")


async def organisation_place(request: Request) -> Target | None:
    """Of `{organisation_id}`."""
    wanted = request.path_params["organisation_id"]
    known = await front_desk(request).store.organisations()
    return next((Target(one.organisation_id) for one in known if one.organisation_id == wanted), None)


async def tenant_place(request: Request) -> Target | None:
    """Of `{tenant_id}`."""
    tenant = await front_desk(request).store.tenant(request.path_params["tenant_id"])
    return None if tenant is None else Target(tenant.organisation_id, tenant.tenant_id)


async def project_place(request: Request) -> Target | None:
    """Of `{project_id}`."""
    wanted = request.path_params["project_id"]
    known = await front_desk(request).store.projects()
    return next((Target(one.organisation_id, one.tenant_id) for one in known if one.project_id == wanted), None)


async def key_place(request: Request) -> Target | None:
    """Of `{key_id}`, revoked or not."""
    key = await front_desk(request).store.key(request.path_params["key_id"])
    return None if key is None else Target(key.organisation_id, key.tenant_id)


async def request_place(request: Request) -> Target | None:
    """Of `{request_id}`."""
    found = await front_desk(request).store.request(request.path_params["request_id"])
    return None if found is None else Target(found.started.organisation_id, found.started.tenant_id)
