"""What is there, as sheets that a declaration can be compared with; and a declaration in the words of what is there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from parvis.core.clock import Clock
from parvis.core.errors import BadRequest, Conflict
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.deployment import Deployment
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.changes import Kind, Path, Sheet, twins
from parvis.domain.identity.organisation import Organisation, Project, Standing, Tenant
from parvis.domain.identity.person import Person, Realm, same_email
from parvis.domain.identity.role import Grant
from parvis.domain.quota.limit import NO_LIMITS, Level, Tier, subject
from parvis.domain.quota.limit_words import euro_text, in_words
from parvis.flows.deployments import facts_of
from parvis.flows.store import Store

BY_OPENID = "openid"
_LISTS = {
    Kind.TENANT: ("models_allowed", "models_denied", "addresses"),
    Kind.KEY: ("models", "models_denied", "endpoints", "addresses", "tags"),
}


async def present(store: Store, clock: Clock, organisation_ids: Collection[str]) -> list[Sheet]:
    """All that lies in these organisations, all tiers, all deployments. Nothing that was removed or revoked is."""
    tenants = [tenant for tenant in await store.tenants() if tenant.organisation_id in organisation_ids]
    sheets = [_of_organisation(o) for o in await store.organisations() if o.organisation_id in organisation_ids]
    sheets += [_of_tenant(tenant) for tenant in tenants]
    sheets += [
        _of_project(project) for project in await store.projects() if project.organisation_id in organisation_ids
    ]
    keys = [key for key in await store.keys() if key.active and key.organisation_id in organisation_ids]
    sheets += _of_keys(keys)
    sheets = await _with_limits(store, sheets)
    for organisation_id in sorted(organisation_ids):
        sheets += await _of_people(store, clock, organisation_id)
    deployments = map(_of_deployment, (await store.fleet_wanted()).deployments)
    return [*map(_of_tier, await store.tiers()), *deployments, *sheets]


def settled(wanted: Sequence[Sheet], here: Sequence[Sheet], models: Iterable[Model]) -> list[Sheet]:
    """The declaration in the words in which things are kept, so that saying the same again is no change.

    Aliases become ids, networks are written in one way. Somebody whom nobody knows and who comes by an invitation is
    one invitation with all roles. Raises BadRequest for what is said twice or of nobody, Conflict for a key's name
    that two keys have.
    """
    for kind, path in twins(wanted):
        raise BadRequest(f"The {kind} '{_said(path)}' is declared twice.", param=str(kind))
    counts = [sheet.path for sheet in here if sheet.kind is Kind.KEY]
    for sheet in wanted:
        if sheet.kind is Kind.KEY and any(len(path) > len(sheet.path) and path[:3] == sheet.path for path in counts):
            raise Conflict(f"Two keys are called '{_said(sheet.path)}'. Revoke one, or give it another name.")
    names = {alias: m.id for m in models for alias in m.aliases} | {m.id: m.id for m in models}
    return _with_invitations([_rewritten(sheet, names) for sheet in wanted], here)


def _with_invitations(wanted: Sequence[Sheet], here: Sequence[Sheet]) -> list[Sheet]:
    known = {sheet.path for sheet in here if sheet.kind is Kind.PERSON}
    invited = {
        sheet.path
        for sheet in wanted
        if sheet.kind is Kind.PERSON and sheet.path not in known and sheet.facts.get("sign_in") != BY_OPENID
    }
    kept = [
        replace(sheet, facts={name: fact for name, fact in sheet.facts.items() if name != "sign_in"})
        for sheet in wanted
        if sheet.path[:2] not in invited or sheet.kind not in (Kind.PERSON, Kind.GRANT)
    ]
    for path in sorted(invited):
        roles = sorted(
            f"{s.path[2]} {s.path[3]}".strip() for s in wanted if s.kind is Kind.GRANT and s.path[:2] == path
        )
        kept.append(Sheet(Kind.INVITATION, path, {"roles": tuple(roles)}))
    return kept


def _rewritten(sheet: Sheet, names: Mapping[str, str]) -> Sheet:
    facts = dict(sheet.facts)
    for field in _LISTS.get(sheet.kind, ()):
        if field in facts:
            listed: tuple[str, ...] = facts[field]  # type: ignore[assignment]  # what is said of it is a list of texts
            facts[field] = tuple(dict.fromkeys(_word(sheet.kind, field, word, names) for word in listed))
    return replace(sheet, facts=facts)


def _word(kind: Kind, field: str, word: str, names: Mapping[str, str]) -> str:
    if field == "addresses":
        try:
            return str(ip_network(word))
        except ValueError:
            raise BadRequest(f"'{word[:60]}' is no network like 192.0.2.0/24.", param="addresses") from None
    return names.get(word, word) if kind is Kind.KEY and field.startswith("models") else word


def _said(path: Path) -> str:
    return "/".join(path)[:200]


# What is there


def _of_tier(one: Tier) -> Sheet:
    facts = {
        "name": one.name,
        "name_fr": one.name_fr,
        "priority": one.priority,
        "entry_credit_euro": euro_text(one.entry_credit),
        "limits": in_words(one.limits),
    }
    return Sheet(Kind.TIER, (one.tier_id,), facts, one.tier_id)


def _of_deployment(one: Deployment) -> Sheet:
    return Sheet(Kind.DEPLOYMENT, (one.deployment_id,), facts_of(one), one.deployment_id)


async def _with_limits(store: Store, sheets: Sequence[Sheet]) -> list[Sheet]:
    """Each with what was set on it, and a tenant with what was agreed beside its tier."""
    named = [limits_named(sheet.kind, sheet.path, sheet.object_id) for sheet in sheets]
    held = await store.limits_set([subject for names in named for subject in names.values()])
    return [
        replace(
            sheet, facts={**sheet.facts, **{fact: in_words(held.get(one, NO_LIMITS)) for fact, one in names.items()}}
        )
        for sheet, names in zip(sheets, named, strict=True)
    ]


def limits_named(kind: Kind, path: Path, object_id: str) -> dict[str, str]:
    """The facts of a thing that are limits, and on which subject each is."""
    match kind:
        case Kind.ORGANISATION:
            return {"limits": subject(Level.ORGANISATION, path[0])}
        case Kind.TENANT:
            return {"limits": subject(Level.TENANT, path[1]), "agreed": subject(Level.CONTRACT, path[1])}
        case Kind.PROJECT:
            return {"limits": subject(Level.PROJECT, path[2])}
        case Kind.KEY:
            return {"limits": subject(Level.KEY, object_id)}
        case _:
            return {}


def _of_organisation(one: Organisation) -> Sheet:
    facts = {"name": one.name, "second_factor": one.second_factor, "standing": one.standing}
    return Sheet(Kind.ORGANISATION, (one.organisation_id,), facts, one.organisation_id)


def _of_tenant(one: Tenant) -> Sheet:
    facts = {
        "name": one.name,
        "credit_unlimited": one.credit_unlimited,
        "standing": one.standing,
        "models_allowed": one.models_allowed,
        "models_denied": one.models_denied,
        "addresses": one.addresses,
        "tier": one.tier_id,
        "exhaustion": one.exhaustion,
    }
    return Sheet(Kind.TENANT, (one.organisation_id, one.tenant_id), facts, one.tenant_id)


def _of_project(one: Project) -> Sheet:
    path = (one.organisation_id, one.tenant_id, one.project_id)
    return Sheet(Kind.PROJECT, path, {"name": one.name, "archived": one.archived}, one.project_id)


def _of_keys(keys: Sequence[ApiKey]) -> list[Sheet]:
    """The second key of a name, and each one after it, is told apart by its id."""
    sheets: dict[Path, Sheet] = {}
    for key in keys:
        path: Path = (key.organisation_id, key.tenant_id, key.name)
        place = path if path not in sheets else (*path, key.key_id)
        sheets[place] = Sheet(Kind.KEY, place, _facts_of_key(key), key.key_id)
    return list(sheets.values())


def _facts_of_key(key: ApiKey) -> dict[str, object]:
    schedule = key.schedule
    return {
        "models": key.scope.models_allowed,
        "models_denied": key.scope.models_denied,
        "endpoints": tuple(str(endpoint) for endpoint in key.scope.endpoints),
        "addresses": key.scope.addresses,
        "project": key.project_id,
        "tags": key.tags,
        "ends_unix_ms": key.ends_unix_ms,
        "rotation_ms": None
        if schedule is None
        else (schedule.every_ms, schedule.overlap_ms, schedule.notice_ms, schedule.grace_ms),
    }


async def _of_people(store: Store, clock: Clock, organisation_id: str) -> list[Sheet]:
    realm = store.people(Realm.CUSTOMER)
    people = [p for p in await realm.people(organisation_id) if p.standing is not Standing.REMOVED]
    emails = {person.user_id: same_email(person.email) for person in people}
    sheets = [_of_person(organisation_id, person) for person in people]
    sheets += [
        _of_grant(organisation_id, emails[grant.user_id], grant)
        for grant in await realm.grants(organisation_id=organisation_id)
        if grant.user_id in emails
    ]
    for invitation in await realm.invitations(organisation_id):
        if invitation.open(clock.unix_ms()):
            roles = tuple(sorted(f"{role} {target.tenant_id}".strip() for role, target in invitation.roles))
            path = (organisation_id, same_email(invitation.email))
            sheets.append(Sheet(Kind.INVITATION, path, {"roles": roles}, invitation.invitation_id))
    return sheets


def _of_person(organisation_id: str, person: Person) -> Sheet:
    facts = {"name": person.name, "language": person.language}
    return Sheet(Kind.PERSON, (organisation_id, same_email(person.email)), facts, person.user_id)


def _of_grant(organisation_id: str, email: str, grant: Grant) -> Sheet:
    return Sheet(Kind.GRANT, (organisation_id, email, grant.role, grant.target.tenant_id), {}, grant.grant_id)
