"""The project that a path names."""

from typing import Annotated

from fastapi import Depends

from parvis.api.console.desk import TheDesk
from parvis.domain.identity.organisation import Project
from parvis.flows.organisations import project_of


async def the_project(desk: TheDesk, project_id: str) -> Project:
    """Raises NotFound."""
    return await project_of(desk.store, project_id)


TheProject = Annotated[Project, Depends(the_project)]
