"""What `/v1/organization/...` answers, as types: OpenAI's fields, and ours beside them. Instants are Unix seconds."""

from typing import Generic, Literal, TypeVar

from parvis.api.web.answers import Instant, Shape
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.role import Level, Role

T = TypeVar("T")
ProjectRoleName = Literal["owner", "member"]
OrganisationRoleName = Literal["owner", "reader"]


class IdList(Shape, Generic[T]):
    """One page. `last_id` is what to send as `after` for the following one."""

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class PlaceRole(Shape):
    """One of our roles over a place. `tenant_id` is null of one over the whole organisation."""

    role: Role
    level: Level
    tenant_id: str | None


class GrantedRole(PlaceRole):
    """A role that somebody has, since when and by whom."""

    grant_id: str
    granted_by: str
    granted_at: Instant


class InnerUser(Shape):
    """The person once more."""

    object: Literal["user"]
    id: str
    email: str
    name: str
    enabled: bool
    banned: bool


class OrganizationUser(Shape):
    """A person of the organisation."""

    id: str
    object: Literal["organization.user"]
    name: str
    email: str
    role: OrganisationRoleName
    added_at: int
    created: int
    is_service_account: bool
    user: InnerUser
    standing: Standing
    parvis_roles: list[GrantedRole]


class InviteProject(Shape):
    """A project that somebody is asked into."""

    id: str
    role: ProjectRoleName


class Invite(Shape):
    """Somebody who is asked in."""

    id: str
    object: Literal["organization.invite"]
    email: str
    role: OrganisationRoleName
    status: Literal["pending", "accepted", "expired", "withdrawn"]
    created_at: int
    expires_at: int
    accepted_at: None
    projects: list[InviteProject]
    parvis_roles: list[PlaceRole]


class NewInvite(Invite):
    """An invitation that was just made. `link` is its token: it stands in this answer alone."""

    link: str


class OrganizationProject(Shape):
    """A group of keys of one tenant."""

    id: str
    object: Literal["organization.project"]
    name: str
    created_at: int
    archived_at: None
    status: Literal["active", "archived"]
    tenant_id: str


class ProjectUser(Shape):
    """A person who has a role in a project."""

    id: str
    object: Literal["organization.project.user"]
    name: str
    email: str
    role: ProjectRoleName
    added_at: int
    parvis_roles: list[GrantedRole]


class ServiceAccount(Shape):
    """A key without an owner, as the service account that it stands for."""

    id: str
    object: Literal["organization.project.service_account"]
    name: str
    role: Literal["member"]
    created_at: int
    tenant_id: str


class ServiceAccountKey(Shape):
    """The key of a new service account. `value` is its whole text: it stands in this answer alone."""

    id: str
    object: Literal["organization.project.service_account.api_key"]
    name: str
    created_at: int
    expires_at: int | None
    value: str


class NewServiceAccount(ServiceAccount):
    """A service account that was just made."""

    api_key: ServiceAccountKey


class KeyOwnerUser(Shape):
    """The person whose key it is."""

    id: str
    email: str
    name: str
    created_at: int
    role: ProjectRoleName


class KeyOwner(Shape):
    """Whose key it is: a person's, or the tenant's own."""

    type: Literal["user", "service_account"]
    user: KeyOwnerUser | None
    service_account: ServiceAccount | None


class ProjectKey(Shape):
    """A key of a project, without its secret."""

    id: str
    object: Literal["organization.project.api_key"]
    name: str
    redacted_value: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    owner: KeyOwner
    owner_project_access: Literal["active", "inactive"]
    tenant_id: str


class AdminKeyOwner(Shape):
    """Whose token it is."""

    id: str
    object: Literal["organization.user"]
    type: Literal["user"]
    name: str
    role: Literal["owner"]
    created_at: int


class AdminKey(Shape):
    """A personal token, without its secret."""

    id: str
    object: Literal["organization.admin_api_key"]
    name: str
    redacted_value: str
    created_at: int
    expires_at: int
    last_used_at: int | None
    owner: AdminKeyOwner


class NewAdminKey(AdminKey):
    """A token that was just made. `value` is all of it: it stands in this answer alone."""

    value: str


class Deleted(Shape):
    """What is there no more."""

    id: str
    object: Literal[
        "organization.user.deleted",
        "organization.invite.deleted",
        "organization.project.user.deleted",
        "organization.project.api_key.deleted",
        "organization.project.service_account.deleted",
        "organization.admin_api_key.deleted",
    ]
    deleted: bool
