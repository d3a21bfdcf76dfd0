"""Lines as files that other programs read: CSV, and Parquet where `pyarrow` is installed. Memory stays flat."""

import csv
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from io import TextIOWrapper
from typing import IO, Any, Literal, Protocol

from parvis.core.errors import BadRequest
from parvis.domain.metering.export import Cell, Column, Kind, Line

Format = Literal["csv", "parquet"]
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
LINES_PER_GROUP = 50_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets would compute."""


class TableWriter(Protocol):
    """A file that is being written. It is whole once it is closed; the file below stays open."""

    def write(self, lines: Sequence[Line]) -> None: ...

    def close(self) -> None: ...


def table_writer(form: Format, file: IO[bytes], columns: Sequence[Column]) -> TableWriter:
    """Raises BadRequest for Parquet where it cannot be written."""
    return CsvWriter(file, columns) if form == "csv" else ParquetWriter(file, columns)


class CsvWriter:
    """UTF-8, a header, commas, quotes where they must be (RFC 4180); instants in ISO 8601, amounts as whole numbers.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: its author may be somebody else.
    """

    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        self._text = TextIOWrapper(file, "utf-8", newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow(column.name for column in columns)

    def write(self, lines: Sequence[Line]) -> None:
        self._csv.writerows([_said(cell) for cell in line] for line in lines)

    def close(self) -> None:
        self._text.detach()


def _said(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%dT%H:%M:%S.") + f"{cell.microsecond // 1000:03d}Z"
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


class ParquetWriter:
    """Amounts are decimals of 38 digits, instants are milliseconds in UTC."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        try:
            # An extra, and tens of megabytes that only who exports it shall pay for.
            arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        except ImportError:
            raise BadRequest(
                "This server cannot write Parquet: 'parvis[parquet]' is not installed. Ask for format=csv.",
                code="parquet_not_installed",
                param="format",
            ) from None
        kinds: dict[Kind, Any] = {
            Kind.TEXT: arrow.string(),
            Kind.COUNT: arrow.int64(),
            Kind.PICO_EURO: arrow.decimal128(38, 0),
            Kind.INSTANT: arrow.timestamp("ms", "UTC"),
        }
        self._schema = arrow.schema([(column.name, kinds[column.kind]) for column in columns])
        self._batch = arrow.record_batch
        self._file = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[Line] = []

    def write(self, lines: Sequence[Line]) -> None:
        self._waiting += lines
        if len(self._waiting) >= LINES_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        if self._waiting:
            self._write_group()
        self._file.close()

    def _write_group(self) -> None:
        columns = [list(cells) for cells in zip(*self._waiting, strict=True)]
        self._file.write_batch(self._batch(columns, schema=self._schema))
        self._waiting.clear()
