"""Organisations, tenants, projects and keys."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity_tables import directory, organisations, projects, tenants
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.domain.identity.organisation import Exhaustion, Organisation, Project, Standing, Tenant


class Identity(Room):
    """The part of `IdentityStore` that is about organisations, tenants and projects, on SQL."""

    async def create_organisation(self, organisation_id: str, name: str) -> None:
        """See the port."""
        made = Organisation(organisation_id, name, created_unix_ms=self._clock.unix_ms())
        await self.database.run(_create_organisation, made)

    async def put_organisation(self, organisation: Organisation) -> None:
        """See the port."""
        await self.database.run_first(_put_organisation, organisation)

    async def organisations(self) -> list[Organisation]:
        """See the port."""
        return await self.database.read(_organisations)

    async def create_tenant(self, tenant_id: str, organisation_id: str, name: str, *, credit_unlimited: bool) -> None:
        """See the port."""
        now = self._clock.unix_ms()
        made = Tenant(tenant_id, organisation_id, name, credit_unlimited, created_unix_ms=now)
        await self.database.run(_create_tenant, made)

    async def tenants_in_force(self, tenant_ids: Sequence[str] | None = None) -> list[Tenant]:
        """See the port."""
        return await self.database.read(_tenants_in_force, tenant_ids)

    async def directory_version(self) -> int:
        """See the port."""
        return await self.database.read(version_of)

    async def put_tenant(self, tenant: Tenant) -> None:
        """See the port."""
        await self.database.run_first(_put_tenant, tenant)

    async def tenants(self) -> list[Tenant]:
        """See the port."""
        return await self.database.read(_tenants)

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """See the port."""
        return await self.database.read(_found_tenant, tenant_id)

    async def add_project(self, project: Project) -> None:
        """See the port."""
        await self.database.run(_add_project, project)

    async def put_project(self, project: Project) -> None:
        """See the port."""
        await self.database.run(_put_project, project)

    async def projects(self) -> list[Project]:
        """See the port."""
        return await self.database.read(_projects)


def tenant_of(connection: Connection, tenant_id: str) -> Tenant:
    """Raises NotFound."""
    found = _found_tenant(connection, tenant_id)
    if found is None:
        raise NotFound(f"There is no tenant '{tenant_id}'.")
    return found


def next_version(connection: Connection) -> int:
    """The number of the change that this transaction makes. Writers take turns, so numbers are seen in their order."""
    if not connection.execute(update(directory).values(version=directory.c.version + 1)).rowcount:
        connection.execute(insert(directory).values(id=1, version=1))
    return version_of(connection)


def version_of(connection: Connection) -> int:
    """The number of the last change; 0 before the first."""
    return int(connection.scalar(select(directory.c.version)) or 0)


def effective_tenants(connection: Connection, after: int | None = None) -> list[Tenant]:
    """Tenants as gateways see them, who inherit the standing of their organisation; those changed after a version."""
    return _in_force(connection, *([tenants.c.version > after] if after is not None else []))


def _tenants_in_force(connection: Connection, tenant_ids: Sequence[str] | None) -> list[Tenant]:
    return _in_force(connection, *([tenants.c.tenant_id.in_(tenant_ids)] if tenant_ids is not None else []))


def _in_force(connection: Connection, *conditions: ColumnElement[bool]) -> list[Tenant]:
    joined = tenants.join(organisations, tenants.c.organisation_id == organisations.c.organisation_id)
    rows = select(tenants, organisations.c.standing.label("above")).select_from(joined).order_by(tenants.c.tenant_id)
    return [_tenant(row, Standing(row.above)) for row in connection.execute(rows.where(*conditions))]


def _create_organisation(connection: Connection, made: Organisation) -> None:
    if _has_organisation(connection, made.organisation_id):
        raise Conflict(f"There is an organisation '{made.organisation_id}' already.")
    connection.execute(insert(organisations).values(**_organisation_values(made)))


def _put_organisation(connection: Connection, changed: Organisation) -> None:
    same = organisations.c.organisation_id == changed.organisation_id
    before = connection.execute(select(organisations).where(same)).one_or_none()
    if before is None:
        raise NotFound(f"There is no organisation '{changed.organisation_id}'.")
    connection.execute(update(organisations).where(same).values(**_organisation_values(changed)))
    if before.standing != changed.standing:
        own = tenants.c.organisation_id == changed.organisation_id
        connection.execute(update(tenants).where(own).values(version=next_version(connection)))


def _organisations(connection: Connection) -> list[Organisation]:
    rows = connection.execute(select(organisations).order_by(organisations.c.organisation_id))
    return [
        Organisation(row.organisation_id, row.name, Standing(row.standing), row.second_factor, row.created_unix_ms)
        for row in rows
    ]


def _organisation_values(organisation: Organisation) -> dict[str, object]:
    return {
        "organisation_id": organisation.organisation_id,
        "name": organisation.name,
        "standing": organisation.standing,
        "second_factor": organisation.second_factor,
        "created_unix_ms": organisation.created_unix_ms,
    }


def _create_tenant(connection: Connection, tenant: Tenant) -> None:
    if ":" in tenant.tenant_id:
        raise BadRequest("A tenant's id has no colon: it is a part of the names of accounts.", param="tenant_id")
    if not _has_organisation(connection, tenant.organisation_id):
        raise NotFound(f"There is no organisation '{tenant.organisation_id}'.")
    if _found_tenant(connection, tenant.tenant_id):
        raise Conflict(f"There is a tenant '{tenant.tenant_id}' already.")
    version = next_version(connection)
    connection.execute(insert(tenants).values(**_tenant_values(tenant), version=version))


def _put_tenant(connection: Connection, tenant: Tenant) -> None:
    before = tenant_of(connection, tenant.tenant_id)
    if before.organisation_id != tenant.organisation_id:
        raise Conflict(f"Tenant '{tenant.tenant_id}' belongs to another organisation for good.")
    values = {**_tenant_values(tenant), "version": next_version(connection)}
    connection.execute(update(tenants).where(tenants.c.tenant_id == tenant.tenant_id).values(**values))


def _tenant_values(tenant: Tenant) -> dict[str, object]:
    return {
        "tenant_id": tenant.tenant_id,
        "organisation_id": tenant.organisation_id,
        "name": tenant.name,
        "credit_unlimited": tenant.credit_unlimited,
        "standing": tenant.standing,
        "models_allowed": tenant.models_allowed,
        "models_denied": tenant.models_denied,
        "addresses": tenant.addresses,
        "created_unix_ms": tenant.created_unix_ms,
        "tier_id": tenant.tier_id,
        "exhaustion": tenant.exhaustion,
    }


def _tenants(connection: Connection) -> list[Tenant]:
    return [_tenant(row) for row in connection.execute(select(tenants).order_by(tenants.c.tenant_id))]


def _found_tenant(connection: Connection, tenant_id: str) -> Tenant | None:
    row = connection.execute(select(tenants).where(tenants.c.tenant_id == tenant_id)).one_or_none()
    return None if row is None else _tenant(row)


def _tenant(row: Row[tuple[object, ...]], above: Standing = Standing.ACTIVE) -> Tenant:
    return Tenant(
        row.tenant_id,
        row.organisation_id,
        row.name,
        row.credit_unlimited,
        Standing(row.standing) if above is Standing.ACTIVE else above,
        row.models_allowed,
        row.models_denied,
        row.addresses,
        row.created_unix_ms,
        row.tier_id,
        Exhaustion(row.exhaustion),
    )


def _add_project(connection: Connection, project: Project) -> None:
    if tenant_of(connection, project.tenant_id).organisation_id != project.organisation_id:
        raise NotFound(f"Organisation '{project.organisation_id}' has no tenant '{project.tenant_id}'.")
    if connection.scalar(select(func.count()).where(projects.c.project_id == project.project_id)):
        raise Conflict(f"There is a project '{project.project_id}' already.")
    connection.execute(insert(projects).values(**_project_values(project)))


def _put_project(connection: Connection, project: Project) -> None:
    same = (projects.c.tenant_id == project.tenant_id) & (projects.c.project_id == project.project_id)
    if not connection.execute(update(projects).where(same).values(**_project_values(project))).rowcount:
        raise NotFound(f"There is no project '{project.project_id}'.")


def _projects(connection: Connection) -> list[Project]:
    rows: Sequence[Row[tuple[object, ...]]] = connection.execute(select(projects).order_by(projects.c.project_id)).all()
    return [
        Project(row.project_id, row.organisation_id, row.tenant_id, row.name, row.archived, row.created_unix_ms)
        for row in rows
    ]


def _project_values(project: Project) -> dict[str, object]:
    return {
        "project_id": project.project_id,
        "organisation_id": project.organisation_id,
        "tenant_id": project.tenant_id,
        "name": project.name,
        "archived": project.archived,
        "created_unix_ms": project.created_unix_ms,
    }


def _has_organisation(connection: Connection, organisation_id: str) -> bool:
    found = select(organisations.c.name).where(organisations.c.organisation_id == organisation_id)
    return connection.execute(found).first() is not None
