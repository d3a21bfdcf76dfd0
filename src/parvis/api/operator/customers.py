"""The part of the operator's table that is about customers, their people, and what anybody may do."""

from parvis.api.operator import access, apply, grants, organisations, people
from parvis.api.operator.places import grant_place, operator_grant_place, operator_place, review_place, user_place
from parvis.api.web.places import installation, organisation_place, project_place, tenant_place
from parvis.api.web.routes import Route
from parvis.domain.identity.permission import Permission as May

_ALL = "/v1/organisations"
_ORGANISATION = f"{_ALL}/{{organisation_id}}"
_TENANT = "/v1/tenants/{tenant_id}"
_PROJECT = "/v1/projects/{project_id}"
_USER = "/v1/users/{user_id}"
_OPERATOR = "/v1/operators/{operator_id}"
_REVIEW = "/v1/reviews/{review_id}"

ORGANISATIONS = (
    Route("GET", _ALL, organisations.all_organisations, May.ORGANISATIONS_READ),
    Route(
        "POST",
        _ALL,
        organisations.create_organisation,
        May.ORGANISATIONS_WRITE,
        201,
        target=installation,
        action="organisation.created",
    ),
    Route("GET", _ORGANISATION, organisations.one_organisation, May.ORGANISATIONS_READ, target=organisation_place),
    Route(
        "PATCH",
        _ORGANISATION,
        organisations.change_organisation,
        May.ORGANISATIONS_WRITE,
        target=organisation_place,
        action="organisation.updated",
    ),
    Route(
        "POST",
        f"{_ORGANISATION}/suspend",
        organisations.suspend_organisation,
        May.ORGANISATIONS_WRITE,
        target=organisation_place,
        action="organisation.suspended",
    ),
    Route(
        "POST",
        f"{_ORGANISATION}/resume",
        organisations.resume_organisation,
        May.ORGANISATIONS_WRITE,
        target=organisation_place,
        action="organisation.resumed",
    ),
    Route(
        "DELETE",
        _ORGANISATION,
        organisations.remove_organisation,
        May.ORGANISATIONS_WRITE,
        target=organisation_place,
        action="organisation.deleted",
        step_up=True,
    ),
)
TENANTS = (
    Route("GET", "/v1/tenants", organisations.all_tenants, May.TENANTS_READ),
    Route(
        "POST",
        f"{_ORGANISATION}/tenants",
        organisations.create_tenant,
        May.TENANTS_WRITE,
        201,
        target=organisation_place,
        action="tenant.created",
    ),
    Route("GET", _TENANT, organisations.one_tenant, May.TENANTS_READ, target=tenant_place),
    Route(
        "PATCH", _TENANT, organisations.change_tenant, May.TENANTS_WRITE, target=tenant_place, action="tenant.updated"
    ),
    Route(
        "POST",
        f"{_TENANT}/suspend",
        organisations.suspend_tenant,
        May.TENANTS_WRITE,
        target=tenant_place,
        action="tenant.suspended",
    ),
    Route(
        "POST",
        f"{_TENANT}/resume",
        organisations.resume_tenant,
        May.TENANTS_WRITE,
        target=tenant_place,
        action="tenant.resumed",
    ),
    Route(
        "DELETE",
        _TENANT,
        organisations.remove_tenant,
        May.TENANTS_WRITE,
        target=tenant_place,
        action="tenant.deleted",
        step_up=True,
    ),
)
PROJECTS = (
    Route("GET", "/v1/projects", organisations.all_projects, May.PROJECTS_READ),
    Route(
        "POST",
        f"{_TENANT}/projects",
        organisations.create_project,
        May.PROJECTS_WRITE,
        201,
        target=tenant_place,
        action="project.created",
    ),
    Route("GET", _PROJECT, organisations.one_project, May.PROJECTS_READ, target=project_place),
    Route(
        "PATCH",
        _PROJECT,
        organisations.change_project,
        May.PROJECTS_WRITE,
        target=project_place,
        action="project.updated",
    ),
)
USERS = (
    Route("GET", f"{_ORGANISATION}/users", people.all_users, May.USERS_READ, target=organisation_place),
    Route(
        "POST",
        f"{_ORGANISATION}/users",
        people.create_user,
        May.USERS_WRITE,
        201,
        target=organisation_place,
        action="user.created",
    ),
    Route("GET", f"{_ORGANISATION}/invitations", people.all_invitations, May.USERS_READ, target=organisation_place),
    Route(
        "POST",
        f"{_ORGANISATION}/invitations",
        people.invite,
        May.USERS_WRITE,
        201,
        target=organisation_place,
        action="invite.sent",
        secret_answer=True,
    ),
    Route(
        "DELETE",
        f"{_ORGANISATION}/invitations/{{invitation_id}}",
        people.withdraw_invitation,
        May.USERS_WRITE,
        target=organisation_place,
        action="invite.deleted",
    ),
    Route("GET", _USER, people.one_user, May.USERS_READ, target=user_place),
    Route("PATCH", _USER, people.change_user, May.USERS_WRITE, target=user_place, action="user.updated"),
    Route("POST", f"{_USER}/suspend", people.suspend_user, May.USERS_WRITE, target=user_place, action="user.suspended"),
    Route("POST", f"{_USER}/resume", people.resume_user, May.USERS_WRITE, target=user_place, action="user.resumed"),
    Route("DELETE", _USER, people.remove_user, May.USERS_WRITE, target=user_place, action="user.deleted"),
)
GRANTS = (
    Route("GET", "/v1/roles", grants.roles, May.GRANTS_READ),
    Route("GET", "/v1/grants", grants.all_grants, May.GRANTS_READ),
    Route("GET", f"{_USER}/grants", people.user_grants, May.GRANTS_READ, target=user_place),
    Route(
        "POST",
        f"{_USER}/grants",
        people.grant_user,
        May.GRANTS_WRITE,
        201,
        target=user_place,
        action="role.assignment.created",
    ),
    Route(
        "DELETE",
        "/v1/grants/{grant_id}",
        grants.withdraw,
        May.GRANTS_WRITE,
        target=grant_place,
        action="role.assignment.deleted",
    ),
)
OPERATORS = (
    Route("GET", "/v1/operators", people.all_operators, May.OPERATORS_READ, target=installation),
    Route(
        "POST",
        "/v1/operators",
        people.invite_operator,
        May.OPERATORS_WRITE,
        201,
        target=installation,
        action="operator.invited",
        step_up=True,
        secret_answer=True,
    ),
    Route("GET", "/v1/operator_invitations", people.operator_invitations, May.OPERATORS_READ, target=installation),
    Route(
        "DELETE",
        "/v1/operator_invitations/{invitation_id}",
        people.withdraw_operator_invitation,
        May.OPERATORS_WRITE,
        target=installation,
        action="operator.invitation_deleted",
        step_up=True,
    ),
    Route("GET", _OPERATOR, people.one_operator, May.OPERATORS_READ, target=operator_place),
    Route(
        "POST",
        f"{_OPERATOR}/suspend",
        people.suspend_operator,
        May.OPERATORS_WRITE,
        target=operator_place,
        action="operator.suspended",
        step_up=True,
    ),
    Route(
        "POST",
        f"{_OPERATOR}/resume",
        people.resume_operator,
        May.OPERATORS_WRITE,
        target=operator_place,
        action="operator.resumed",
        step_up=True,
    ),
    Route(
        "DELETE",
        _OPERATOR,
        people.remove_operator,
        May.OPERATORS_WRITE,
        target=operator_place,
        action="operator.deleted",
        step_up=True,
    ),
    Route("GET", f"{_OPERATOR}/grants", people.operator_grants, May.OPERATORS_READ, target=operator_place),
    Route(
        "POST",
        f"{_OPERATOR}/grants",
        people.grant_operator,
        May.OPERATORS_WRITE,
        201,
        target=operator_place,
        action="operator.role_granted",
        step_up=True,
    ),
    Route(
        "DELETE",
        "/v1/operator_grants/{grant_id}",
        grants.withdraw_operator,
        May.OPERATORS_WRITE,
        target=operator_grant_place,
        action="operator.role_withdrawn",
        step_up=True,
    ),
)
ACCESS = (
    Route("GET", "/v1/access", access.rights, May.REVIEWS_READ, target=installation),
    Route("GET", "/v1/access/report", access.report, May.REVIEWS_READ, target=installation),
    Route("GET", "/v1/signing_key", access.signing_key, May.REVIEWS_READ, target=installation),
    Route("GET", "/v1/reviews", access.all_reviews, May.REVIEWS_READ, target=installation),
    Route(
        "POST",
        "/v1/reviews",
        access.open_review,
        May.REVIEWS_WRITE,
        201,
        target=installation,
        action="review.opened",
    ),
    Route("GET", _REVIEW, access.one_review, May.REVIEWS_READ, target=review_place),
    Route("GET", f"{_REVIEW}/items", access.items, May.REVIEWS_READ, target=review_place),
    Route(
        "POST",
        f"{_REVIEW}/items/{{item_id}}",
        access.decide,
        May.REVIEWS_WRITE,
        target=review_place,
        action="review.decided",
    ),
    Route(
        "POST",
        f"{_REVIEW}/close",
        access.close_review,
        May.REVIEWS_WRITE,
        target=review_place,
        action="review.closed",
    ),
    Route(
        "POST",
        "/v1/apply",
        apply.apply_file,
        May.SETTINGS_APPLY,
        target=installation,
        action="settings.applied",
        secret_answer=True,
    ),
)

ROUTES = (*ORGANISATIONS, *TENANTS, *PROJECTS, *USERS, *GRANTS, *OPERATORS, *ACCESS)
