"""Who writes down the parts of an act that has many."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from parvis.api.web.acts import caller_of
from parvis.flows.witness import Witness


def witness_of(request: Request) -> Witness:
    """Of who asks, in the record of this listener."""
    return Witness(request.app.state.recorder, caller_of(request))


TheWitness = Annotated[Witness, Depends(witness_of)]
