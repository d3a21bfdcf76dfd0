"""Our own routes of a customer's administration: tenants, keys, grants and reviews, with all that there is to them."""

from parvis.api.console import access, grants, tenant_keys, tenants
from parvis.api.console.places import grant_place, review_place
from parvis.api.web.places import key_place, tenant_place
from parvis.api.web.routes import Route
from parvis.domain.identity.permission import Permission as May

_TENANT = "/v1/tenants/{tenant_id}"
_KEY = "/v1/keys/{key_id}"
_REVIEW = "/v1/reviews/{review_id}"

TENANTS = (
    Route("GET", "/v1/tenants", tenants.all_tenants, May.TENANTS_READ),
    Route("GET", _TENANT, tenants.one, May.TENANTS_READ, target=tenant_place),
    Route("PATCH", _TENANT, tenants.change, May.TENANTS_WRITE, target=tenant_place, action="tenant.updated"),
)
KEYS = (
    Route("GET", f"{_TENANT}/keys", tenant_keys.all_keys, May.KEYS_READ, target=tenant_place),
    Route(
        "POST",
        f"{_TENANT}/keys",
        tenant_keys.create,
        May.KEYS_WRITE,
        201,
        target=tenant_place,
        action="api_key.created",
        secret_answer=True,
    ),
    Route("GET", _KEY, tenant_keys.one, May.KEYS_READ, target=key_place),
    Route("PATCH", _KEY, tenant_keys.change, May.KEYS_WRITE, target=key_place, action="api_key.updated"),
    Route("DELETE", _KEY, tenant_keys.revoke, May.KEYS_WRITE, target=key_place, action="api_key.deleted"),
    Route(
        "POST",
        f"{_KEY}/rotation",
        tenant_keys.rotate,
        May.KEYS_WRITE,
        target=key_place,
        action="api_key.rotation_changed",
    ),
)
GRANTS = (
    Route("GET", "/v1/grants", grants.all_grants, May.GRANTS_READ),
    Route("POST", "/v1/grants", grants.create, May.GRANTS_WRITE, 201, action="role.assignment.created"),
    Route(
        "DELETE",
        "/v1/grants/{grant_id}",
        grants.delete,
        May.GRANTS_WRITE,
        target=grant_place,
        action="role.assignment.deleted",
    ),
)
REVIEWS = (
    Route("GET", "/v1/access", access.access, May.REVIEWS_READ),
    Route("GET", "/v1/reviews", access.all_reviews, May.REVIEWS_READ),
    Route("POST", "/v1/reviews", access.open_review, May.REVIEWS_WRITE, 201, action="review.opened"),
    Route("GET", _REVIEW, access.one_review, May.REVIEWS_READ, target=review_place),
    Route("GET", f"{_REVIEW}/items", access.items, May.REVIEWS_READ, target=review_place),
    Route(
        "POST",
        f"{_REVIEW}/items/{{item_id}}",
        access.answer,
        May.REVIEWS_WRITE,
        target=review_place,
        action="review.decided",
    ),
    Route("POST", f"{_REVIEW}/close", access.close, May.REVIEWS_WRITE, target=review_place, action="review.closed"),
)

ROUTES = (*TENANTS, *KEYS, *GRANTS, *REVIEWS)
