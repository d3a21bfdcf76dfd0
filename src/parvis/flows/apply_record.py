"""How the record calls the changes of a declaration, and in whose record each stands."""

from parvis.domain.identity.changes import Change, Kind, Sign
from parvis.domain.identity.place import Target

_OBJECTS = {
    Kind.TIER: "tier",
    Kind.ORGANISATION: "organisation",
    Kind.TENANT: "tenant",
    Kind.PROJECT: "project",
    Kind.MODEL: "model",
    Kind.PRICE: "price_list",
    Kind.DEPLOYMENT: "deployment",
    Kind.PERSON: "user",
    Kind.GRANT: "role.assignment",
    Kind.KEY: "api_key",
    Kind.INVITATION: "invite",
}
_VERBS = {Sign.ADD: "created", Sign.CHANGE: "updated", Sign.REMOVE: "deleted"}
_OTHERWISE = {
    (Kind.INVITATION, Sign.ADD): "invite.sent",
    (Kind.INVITATION, Sign.CHANGE): "invite.sent",
    (Kind.TENANT, Sign.REMOVE): "tenant.suspended",
    (Kind.PROJECT, Sign.REMOVE): "project.archived",
}
"""What pruning does to tenants and projects can be undone."""
_NOBODYS = (Kind.TIER, Kind.MODEL, Kind.PRICE, Kind.DEPLOYMENT)
_IN_A_TENANT = (Kind.TENANT, Kind.PROJECT, Kind.KEY)


def action_of(change: Change) -> str:
    """`api_key.created`, as the route that does nothing else says it."""
    kind, sign = change.kind, change.sign
    return _OTHERWISE.get((kind, sign), f"{_OBJECTS[kind]}.{_VERBS.get(sign, sign)}")


def place_of_change(change: Change) -> tuple[Target, dict[str, str]]:
    """Whose it is, and by which ids it is found. A new key, user or grant has its id in the answer only."""
    objects = {f"{change.kind}_id": change.object_id} if change.object_id else {}
    if change.kind in _NOBODYS:
        return Target(), {f"{change.kind}_id": change.path[0]}
    organisation_id = change.path[0]
    tenant_id = change.path[1] if change.kind in _IN_A_TENANT else ""
    if change.kind is Kind.GRANT:
        tenant_id = change.path[3]
    if change.kind is Kind.PROJECT:
        objects = {"project_id": change.path[2]}
    return Target(organisation_id, tenant_id if _is_there(change) else ""), objects


def _is_there(change: Change) -> bool:
    """Whether its tenant existed before: of one that is being made, the line stands with the organisation."""
    return not (change.kind is Kind.TENANT and change.sign is Sign.ADD)
