"""`POST /v1/apply`: make everything what a file declares, or say what would change."""

from typing import Annotated

from msgspec import to_builtins
from pydantic import BaseModel, ConfigDict, StrictBool

from parvis.api.operator.answers import Applied as AppliedShown
from parvis.api.operator.declaration import DeclarationForm
from parvis.api.operator.desk import OperatorDesk, TheDesk
from parvis.api.operator.entries import read_entry
from parvis.api.operator.witness import TheWitness
from parvis.api.web.admission import check_proof
from parvis.api.web.routes import TheActor, TheDetails
from parvis.api.web.shapes import Json
from parvis.api.web.wording import Reader, TheReader
from parvis.domain.identity.changes import Change, Kind, Sign
from parvis.domain.identity.owners import OWNERS
from parvis.flows.apply import Applied, Declaration, apply, difference
from parvis.flows.apply_acts import Made


class ApplyForm(BaseModel):
    """A file, and how far to go with it."""

    model_config = ConfigDict(extra="forbid")
    file: DeclarationForm
    dry_run: StrictBool = False
    prune: StrictBool = False
    """Take away what the file does not name, of the kinds that it owns."""
    show_secrets: StrictBool = False
    """Whether somebody will keep the new keys and invitations of the answer. Without it none is made."""


async def apply_file(
    desk: TheDesk, reader: TheReader, actor: TheActor, details: TheDetails, witness: TheWitness, form: ApplyForm
) -> Annotated[Json, AppliedShown]:
    """Each change, in the order in which it is made. Applying the same again changes nothing.

    `secrets` are the new keys and the links of invitations: this answer is the only place where they ever stand. So
    what is refused after one was made does not take it away: `stopped` says why nothing more was done.
    """
    wanted = await _declaration(desk, form.file)
    details["dry_run"] = str(form.dry_run).lower()
    changes = await difference(desk.store, desk.mint, wanted, prune=form.prune)
    if form.dry_run:
        return _answer(reader, Applied(changes, []), applied=False)
    if any(_needs_proof(change) for change in changes):
        check_proof(actor, desk.clock.unix_ms())
    try:
        done = await apply(
            desk.store,
            desk.mint,
            actor,
            wanted,
            prune=form.prune,
            show_secrets=form.show_secrets,
            witness=witness,
        )
    finally:  # what was changed before something was refused holds too
        await desk.announce()
    if done.stopped is not None:
        details["stopped"] = done.stopped.code
    return _answer(reader, done, applied=done.stopped is None)


async def _declaration(desk: OperatorDesk, file: DeclarationForm) -> Declaration:
    known = {model.id: model for model in await desk.store.models()}
    models = tuple(read_entry(said, known.get(str(said.get("id")))) for said in file.models)
    prices = tuple(said.prices() for said in file.prices)
    return Declaration(file.sheets(), models, prices, file.owned(), desk.depot)


def _needs_proof(change: Change) -> bool:
    """Whether ownership is given or taken, or a customer is served no more."""
    if change.sign is Sign.SAME:
        return False
    if change.kind is Kind.GRANT:
        return change.path[2] in OWNERS
    if change.kind is Kind.INVITATION:
        return any(str(role).partition(" ")[0] in OWNERS for role in _roles(change))
    return change.kind is Kind.ORGANISATION and change.after.get("standing") == "suspended"


def _roles(change: Change) -> tuple[object, ...]:
    found = change.after.get("roles")
    return found if isinstance(found, tuple) else ()


def _answer(reader: Reader, done: Applied, *, applied: bool) -> Json:
    return {
        "object": "list",
        "data": [_change_shape(change) for change in done.changes],
        "has_more": False,
        "next": None,
        "applied": applied,
        "secrets": [_made_shape(one) for one in done.made],
        "stopped": None if done.stopped is None else reader.refusal(done.stopped),
    }


def _change_shape(change: Change) -> Json:
    return {
        "object": "change",
        "sign": change.sign,
        "kind": change.kind,
        "path": "/".join(change.path).rstrip("/"),
        "fields": to_builtins([{"name": one.name, "before": one.before, "after": one.after} for one in change.fields]),
    }


def _made_shape(made: Made) -> Json:
    return {
        "object": made.change.kind,
        "id": made.object_id,
        "path": "/".join(made.change.path),
        "text": made.text.reveal(),
    }
