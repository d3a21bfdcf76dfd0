"""The access report: a JSON document that says who may do what, signed by the service."""

from datetime import UTC, datetime
from typing import Any

from parvis.core.clock import Clock
from parvis.domain.catalog.model import LISTED, Model
from parvis.domain.identity.access import Access, Census, Means, accesses, makes_keys, of_place, reaches
from parvis.domain.identity.organisation import Organisation, Tenant
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.place import INSTALLATION, Target
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.scope import names_match
from parvis.domain.vault.signed_document import signed
from parvis.flows.review import census_of, who_can_use
from parvis.flows.signing import Signer, installation_id
from parvis.flows.store import Store

KIND = "parvis.access_report"
FORM = 1
Json = dict[str, Any]


async def access_report(
    store: Store,
    clock: Clock,
    signer: Signer,
    actor: Principal,
    target: Target = INSTALLATION,
    model: str = "",
) -> bytes:
    """The signed file: every right that reaches a place, with the models that each can use.

    With a model (and a tenant as the place) it answers "who can use this model" too, under `answer`. Raises NotFound
    for a tenant or a model that is not there. Who reads of the whole installation is told of the operator's people too.
    """
    operators = actor.may(Permission.REVIEWS_READ, INSTALLATION)
    census = await census_of(store, clock, target.organisation_id, operators=operators)
    models = [entry for entry in await store.models() if entry.state in LISTED]
    document: Json = {
        "kind": KIND,
        "form": FORM,
        "installation": installation_id(signer.public_key),
        "made_at": datetime.fromtimestamp(census.now_unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "made_unix_ms": census.now_unix_ms,
        "made_by": actor.name,
        "place": {"organisation_id": target.organisation_id, "tenant_id": target.tenant_id},
        "organisations": [_named(o.organisation_id, o.name, o.standing) for o in _organisations(census, target)],
        "tenants": [_named(t.tenant_id, t.name, t.standing) for t in _tenants(census, target)],
        "access": _lines(census, target, models),
    }
    if model:
        users = await who_can_use(store, clock, target.tenant_id, model, operators=operators)
        document["question"] = {"tenant_id": target.tenant_id, "model": model}
        document["answer"] = [access_facts(access) for access in users]
    return signed(document, signer.public_key, signer.sign)


def access_facts(access: Access) -> Json:
    """One right, as reports and lists say it."""
    return {
        "object": "access",
        "means": access.means,
        "id": access.object_id,
        "who": access.who,
        "user_id": access.who_id,
        "what": access.what,
        "organisation_id": access.target.organisation_id,
        "tenant_id": access.target.tenant_id,
        "since_unix_ms": access.since_unix_ms,
        "granted_by": access.granted_by,
        "last_used_unix_ms": access.last_used_unix_ms,
        "ends_unix_ms": access.ends_unix_ms,
        "works": access.works,
    }


def _lines(census: Census, target: Target, models: list[Model]) -> list[Json]:
    usable = {t.tenant_id: _of_tenant(t, models) for t in census.tenants}
    keys = {key.key_id: key for key in census.keys}
    grants = {grant.grant_id: grant for grant in census.grants}
    lines = []
    for access in of_place(accesses(census), target):
        if access.means is Means.KEY:
            here = usable.get(access.target.tenant_id, [])
            reached = [m.id for m in here if reaches(keys[access.object_id], (m.id, *m.aliases))]
        else:
            reached = _of_maker(census, access, usable, target) if makes_keys(grants[access.object_id]) else []
        lines.append({**access_facts(access), "models": reached if access.works else []})
    return lines


def _of_maker(census: Census, access: Access, usable: dict[str, list[Model]], target: Target) -> list[str]:
    """Models that somebody could make a key for, in the tenants that are looked at."""
    return sorted(
        {
            model.id
            for tenant in _tenants(census, target)
            if access.target.covers(Target(tenant.organisation_id, tenant.tenant_id))
            for model in usable[tenant.tenant_id]
        }
    )


def _of_tenant(tenant: Tenant, models: list[Model]) -> list[Model]:
    return [m for m in models if names_match((m.id, *m.aliases), tenant.models_allowed, tenant.models_denied)]


def _organisations(census: Census, target: Target) -> list[Organisation]:
    return [o for o in census.organisations if target.organisation_id in ("", o.organisation_id)]


def _tenants(census: Census, target: Target) -> list[Tenant]:
    return [t for t in census.tenants if target.covers(Target(t.organisation_id, t.tenant_id))]


def _named(object_id: str, name: str, standing: str) -> Json:
    return {"id": object_id, "name": name, "standing": standing}
