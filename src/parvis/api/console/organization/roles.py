"""Which of our roles OpenAI's names stand for. Our own names are taken too, and shown as `parvis_roles`."""

from collections.abc import Iterable

from parvis.api.web.instants import write_instant
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import RULES, Grant, Level, Role, level_of

_OF_ORGANISATIONS = {"owner": Role.ORGANISATION_OWNER, "reader": Role.MEMBER}
_OF_PROJECTS = {"owner": Role.TENANT_OWNER, "member": Role.DEVELOPER}


def organisation_role(name: str, param: str = "role") -> Role:
    """Over an organisation. Raises BadRequest for a name that is none of its roles."""
    return _role(name, _OF_ORGANISATIONS, Level.ORGANISATION, param)


def project_role(name: str, param: str = "role") -> Role:
    """Over the tenant of a project. `member` is OpenAI's here: who makes keys. Raises BadRequest."""
    return _role(name, _OF_PROJECTS, Level.TENANT, param)


def organisation_role_name(held: Iterable[Role]) -> str:
    """What OpenAI calls who has these."""
    return "owner" if Role.ORGANISATION_OWNER in held else "reader"


def project_role_name(held: Iterable[Role]) -> str:
    """What OpenAI calls who has these over a project's tenant."""
    return "owner" if Role.TENANT_OWNER in held else "member"


def role_shapes(grants: Iterable[Grant]) -> list[Json]:
    """Each grant as it is."""
    return [
        {
            "grant_id": grant.grant_id,
            **place_shape(grant.role, grant.target),
            "granted_by": grant.granted_by,
            "granted_at": write_instant(grant.granted_unix_ms),
        }
        for grant in grants
    ]


def place_shape(role: Role, target: Target) -> Json:
    """A role over a place. `tenant_id` is null of one over the whole organisation."""
    return {"role": role, "level": level_of(target), "tenant_id": target.tenant_id or None}


def _role(name: str, theirs: dict[str, Role], level: Level, param: str) -> Role:
    ours = {role.value: role for role, rules in RULES.items() if level in rules.levels}
    role = {**ours, **theirs}.get(name)
    if role is None:
        names = ", ".join(f"'{known}'" for known in (*theirs, *ours) if known)
        raise BadRequest(f"'{name[:100]}' is no role of a {level}. Say one of {names}.", param=param)
    return role
