"""Every route below `/v1/organization`, each with its permission, its place and its action."""

from parvis.api.console.organization import (
    admin_keys,
    audit_logs,
    invites,
    project_keys,
    project_users,
    projects,
    recovery,
    spend_limits,
    usage,
    users,
)
from parvis.api.console.places import invitation_place, person_home, person_place
from parvis.api.web.places import project_place
from parvis.api.web.routes import Route
from parvis.domain.identity.permission import Permission as May

_TOP = "/v1/organization"
_USER = f"{_TOP}/users/{{user_id}}"
_INVITE = f"{_TOP}/invites/{{invitation_id}}"
_PROJECT = f"{_TOP}/projects/{{project_id}}"
_TOKEN = f"{_TOP}/admin_api_keys/{{token_id}}"

USERS = (
    Route("GET", f"{_TOP}/users", users.all_users, May.USERS_READ),
    Route("GET", _USER, users.one, May.USERS_READ, target=person_place),
    Route("POST", _USER, users.change, May.GRANTS_WRITE, target=person_home, action="user.updated"),
    Route("DELETE", _USER, users.delete, May.USERS_WRITE, target=person_home, action="user.deleted"),
    Route(
        "POST",
        f"{_USER}/sign_in/reset",
        recovery.reset,
        May.USERS_WRITE,
        target=person_home,
        action="user.sign_in_reset",
        step_up=True,
        secret_answer=True,
    ),
    Route(
        "DELETE",
        f"{_USER}/sessions",
        recovery.end_sessions,
        May.USERS_WRITE,
        target=person_home,
        action="user.sessions_ended",
        step_up=True,
    ),
)
INVITES = (
    Route("GET", f"{_TOP}/invites", invites.all_invites, May.USERS_READ),
    Route("POST", f"{_TOP}/invites", invites.create, May.USERS_WRITE, action="invite.sent", secret_answer=True),
    Route("GET", _INVITE, invites.one, May.USERS_READ, target=invitation_place),
    Route("DELETE", _INVITE, invites.delete, May.USERS_WRITE, target=invitation_place, action="invite.deleted"),
)
PROJECTS = (
    Route("GET", f"{_TOP}/projects", projects.all_projects, May.PROJECTS_READ),
    Route("POST", f"{_TOP}/projects", projects.create, May.PROJECTS_WRITE, action="project.created"),
    Route("GET", _PROJECT, projects.one, May.PROJECTS_READ, target=project_place),
    Route("POST", _PROJECT, projects.change, May.PROJECTS_WRITE, target=project_place, action="project.updated"),
    Route(
        "POST",
        f"{_PROJECT}/archive",
        projects.archive,
        May.PROJECTS_WRITE,
        target=project_place,
        action="project.archived",
    ),
)
PROJECT_USERS = (
    Route("GET", f"{_PROJECT}/users", project_users.all_users, May.USERS_READ, target=project_place),
    Route(
        "POST",
        f"{_PROJECT}/users",
        project_users.add,
        May.GRANTS_WRITE,
        target=project_place,
        action="role.assignment.created",
    ),
    Route("GET", f"{_PROJECT}/users/{{user_id}}", project_users.one, May.USERS_READ, target=project_place),
    Route(
        "POST",
        f"{_PROJECT}/users/{{user_id}}",
        project_users.change,
        May.GRANTS_WRITE,
        target=project_place,
        action="role.assignment.updated",
    ),
    Route(
        "DELETE",
        f"{_PROJECT}/users/{{user_id}}",
        project_users.remove,
        May.GRANTS_WRITE,
        target=project_place,
        action="role.assignment.deleted",
    ),
)
PROJECT_KEYS = (
    Route("GET", f"{_PROJECT}/api_keys", project_keys.all_keys, May.KEYS_READ, target=project_place),
    Route("GET", f"{_PROJECT}/api_keys/{{key_id}}", project_keys.one_key, May.KEYS_READ, target=project_place),
    Route(
        "DELETE",
        f"{_PROJECT}/api_keys/{{key_id}}",
        project_keys.delete_key,
        May.KEYS_WRITE,
        target=project_place,
        action="api_key.deleted",
    ),
    Route("GET", f"{_PROJECT}/service_accounts", project_keys.all_accounts, May.KEYS_READ, target=project_place),
    Route(
        "POST",
        f"{_PROJECT}/service_accounts",
        project_keys.create_account,
        May.KEYS_WRITE,
        target=project_place,
        action="service_account.created",
        secret_answer=True,
    ),
    Route(
        "GET",
        f"{_PROJECT}/service_accounts/{{key_id}}",
        project_keys.one_account,
        May.KEYS_READ,
        target=project_place,
    ),
    Route(
        "DELETE",
        f"{_PROJECT}/service_accounts/{{key_id}}",
        project_keys.delete_account,
        May.KEYS_WRITE,
        target=project_place,
        action="service_account.deleted",
    ),
)
ADMIN_KEYS = (
    Route("GET", f"{_TOP}/admin_api_keys", admin_keys.all_tokens, May.OWN_PROFILE_READ),
    Route(
        "POST",
        f"{_TOP}/admin_api_keys",
        admin_keys.create,
        May.OWN_PROFILE_WRITE,
        action="personal_token.created",
        step_up=True,
        secret_answer=True,
    ),
    Route("GET", _TOKEN, admin_keys.one, May.OWN_PROFILE_READ),
    Route("DELETE", _TOKEN, admin_keys.delete, May.OWN_PROFILE_WRITE, action="personal_token.deleted"),
)
REPORTS = (
    Route("GET", f"{_TOP}/audit_logs", audit_logs.all_entries, May.AUDIT_READ),
    Route("GET", f"{_TOP}/costs", usage.costs, May.COSTS_READ),
    Route("GET", f"{_TOP}/usage/completions", usage.completions, May.USAGE_READ),
    Route("GET", f"{_TOP}/usage/embeddings", usage.embeddings, May.USAGE_READ),
    Route("GET", f"{_TOP}/usage/audio_transcriptions", usage.audio_transcriptions, May.USAGE_READ),
    Route("GET", f"{_TOP}/usage/audio_speeches", usage.audio_speeches, May.USAGE_READ),
    Route("GET", f"{_TOP}/usage/export", usage.file, May.USAGE_READ),
    *(Route("GET", f"{_TOP}/usage/{kind}", usage.nothing_used, May.USAGE_READ) for kind in usage.NOTHING_USED),
)

ROUTES = (*USERS, *INVITES, *PROJECTS, *PROJECT_USERS, *PROJECT_KEYS, *ADMIN_KEYS, *REPORTS, *spend_limits.ROUTES)
