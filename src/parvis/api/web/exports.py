"""Exports: a file is written to its end on one snapshot of the books, then sent as fast as its client takes it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from parvis.api.web.queries import SpanQuery
from parvis.api.web.table_files import MEDIA_TYPES, Format, TableWriter, table_writer
from parvis.domain.metering.export import REQUEST_COLUMNS, Column, usage_columns
from parvis.domain.metering.totals import GroupBy
from parvis.flows import exports
from parvis.flows.exports import Books

PART_BYTES = 1 << 18


class ExportQuery(SpanQuery):
    """Which usage or requests, and as what. Requests cannot be split."""

    format: Format = "csv"


class TableFile(StreamingResponse):
    """A file to be kept. It has no name on the disk: it is gone when it was sent, or its client has left."""

    media_type = "text/csv"

    def __init__(self, file: IO[bytes], name: str, form: Format) -> None:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        headers = {"content-disposition": f'attachment; filename="{name}.{form}"', "content-length": str(size_bytes)}
        super().__init__(_parts(file), headers=headers, media_type=MEDIA_TYPES[form])
        self._file = file

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Without listening to what the client may still send: nobody asked for it."""
        try:
            await self.stream_response(send)
        finally:
            self._file.close()


async def export_usage(
    store: Books, tenant_ids: tuple[str, ...] | None, query: ExportQuery, allowed: tuple[GroupBy, ...]
) -> TableFile:
    """A usage report, every group of it. Raises BadRequest."""
    groups = query.groups(allowed=allowed)
    span = query.span_unix_ms
    return await _written(
        "usage",
        query.format,
        usage_columns(groups),
        lambda into: exports.export_usage(store, tenant_ids, groups, *span, into),
    )


async def export_requests(store: Books, tenant_ids: tuple[str, ...] | None, query: ExportQuery) -> TableFile:
    """Every request of a span. Raises BadRequest."""
    query.groups(allowed=())
    span = query.span_unix_ms
    return await _written(
        "requests", query.format, REQUEST_COLUMNS, lambda into: exports.export_requests(store, tenant_ids, *span, into)
    )


async def _written(
    name: str, form: Format, columns: Sequence[Column], fill: Callable[[TableWriter], Awaitable[None]]
) -> TableFile:
    file = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        writer = table_writer(form, file, columns)
        await fill(writer)
        await asyncio.to_thread(writer.close)
    except BaseException:
        file.close()
        raise
    return TableFile(file, name, form)


async def _parts(file: IO[bytes]) -> AsyncIterator[bytes]:
    while part := await asyncio.to_thread(file.read, PART_BYTES):
        yield part
