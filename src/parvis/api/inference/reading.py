"""The body of a request, from bytes to values, without keeping others waiting for long."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from parvis.api.inference.call import Call
from parvis.wire.bulk import LARGE_BYTES
from parvis.wire.duplicates import refuse_duplicates

T = TypeVar("T")


def _unproven(_: object, __: bytes) -> bool:
    return False


async def read_body(call: Call, reader: Callable[[bytes], T], said_once: Callable[[T, bytes], bool] = _unproven) -> T:
    """What `reader` makes of the body, if no key of it stands twice. Raises BadRequest.

    `said_once` may prove that quickly; else the body is read once more. Between the steps of reading a large body
    others have their turn: megabytes of escapes take some milliseconds each.
    """
    large = len(call.body) > LARGE_BYTES
    value = reader(call.body)
    if large:
        await asyncio.sleep(0)
    if not said_once(value, call.body):
        if large:
            await asyncio.sleep(0)
        refuse_duplicates(call.body)
    if large:
        await asyncio.sleep(0)
    return value
