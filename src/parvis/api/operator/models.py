"""The catalogue: `/v1/models`."""

from typing import Annotated, Any

from fastapi import Body, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from parvis.api.operator.answers import CatalogueEntry, EntriesApplied
from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.operator.entries import change_shape, entry_shape, read_entry
from parvis.api.web.answers import Listed
from parvis.api.web.queries import PageQuery
from parvis.api.web.shapes import Json, listing, page
from parvis.core.errors import BadRequest, NotFound
from parvis.domain.catalog.changes import Change, ChangeKind
from parvis.domain.catalog.model import Model
from parvis.flows.catalogue import add_model, apply

ENTRIES_MAX = 1000
Entry = Annotated[dict[str, Any], Body(description="The fields of a catalogue entry.")]


class ApplyForm(BaseModel):
    """Entries as somebody wants them. A field that an entry does not name keeps its value."""

    model_config = ConfigDict(extra="forbid")
    models: list[dict[str, Any]] = Field(max_length=ENTRIES_MAX)
    dry_run: StrictBool = False


async def all_models(desk: TheDesk, query: Annotated[PageQuery, Query()]) -> Annotated[Json, Listed[CatalogueEntry]]:
    """Every entry, in whatever state, sorted by id."""
    return page(await desk.store.models(), lambda model: model.id, entry_shape, query.after, query.limit)


async def one(desk: TheDesk, model_id: str) -> Annotated[Json, CatalogueEntry]:
    """One entry, by its id."""
    model = await desk.store.model(model_id)
    if model is None:
        raise _unknown(model_id)
    return entry_shape(model)


async def add(desk: TheDesk, entry: Entry) -> Annotated[Json, CatalogueEntry]:
    """A new entry."""
    added = await add_model(desk.store, read_entry(entry), desk.clock)
    await desk.announce()
    return entry_shape(added)


async def put(desk: TheDesk, model_id: str, entry: Entry) -> Annotated[Json, CatalogueEntry]:
    """The whole entry anew: what is not said becomes unknown."""
    if entry.get("id", model_id) != model_id:
        raise BadRequest("The entry has another id than its address. An id never changes.", param="id")
    changes = await _apply(desk, [read_entry({**entry, "id": model_id})])
    return entry_shape(changes[0].model)


async def apply_all(desk: TheDesk, form: ApplyForm) -> Annotated[Json, EntriesApplied]:
    """Make the named entries what is wanted, or (`dry_run`) say what would change."""
    known = {model.id: model for model in await desk.store.models()}
    wanted = [read_entry(said, known.get(str(said.get("id")))) for said in form.models]
    changes = await _apply(desk, wanted, dry_run=form.dry_run)
    return {**listing([change_shape(change) for change in changes]), "applied": not form.dry_run}


async def _apply(desk: OperatorDesk, wanted: list[Model], *, dry_run: bool = False) -> list[Change]:
    changes = await apply(desk.store, wanted, desk.clock, dry_run=dry_run)
    if not dry_run and any(change.kind is not ChangeKind.SAME for change in changes):
        await desk.announce()
    return changes


def _unknown(model_id: str) -> NotFound:
    return NotFound(f"The catalogue has no model '{model_id[:100]}'.", code="model_not_found", param="model_id")
