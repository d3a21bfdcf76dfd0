"""`/v1/receipts/{request_id}`, the same at both listeners: what differs is how far the caller's rights reach."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from parvis.api.web.answers_receipts import Receipt
from parvis.api.web.desk import FrontDesk, front_desk
from parvis.api.web.places import request_place
from parvis.api.web.routes import Route
from parvis.domain.identity.permission import Permission as May
from parvis.flows.receipts import receipt_of

TheDesk = Annotated[FrontDesk, Depends(front_desk)]


async def receipt(desk: TheDesk, request_id: str) -> Annotated[Response, Receipt]:
    """The signed receipt of one request. `parvis receipt verify` checks it anywhere, without the service."""
    return Response(await receipt_of(desk.store, request_id), media_type="application/json")


RECEIPTS = (Route("GET", "/v1/receipts/{request_id}", receipt, May.RECEIPTS_READ, target=request_place),)
