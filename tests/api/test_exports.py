"""Exports on real sockets: what the report says, every group of it, in files that other programs read."""

import csv
import io
import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

import httpx
import pytest

from parvis.api.console.app import make_app as make_console
from parvis.api.operator.app import make_app as make_operator
from parvis.api.web.table_files import CsvWriter
from parvis.domain.metering.export import REQUEST_COLUMNS, Column, Kind
from parvis.flows import usage as usage_story

BILLED = "billed_pico_euro"
parquet = import_module("pyarrow.parquet")


def lines(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def tagged(premises: Any, kit: Any) -> None:
    """Two keys of one tenant, three requests each; one has two tags, the other none."""
    key = premises.first.key
    await premises.store.swap_key(key, replace(key, tags=("batch", "=blue")))
    await premises.use(premises.first, [kit.record(premises.first, n, day=n) for n in (1, 2, 3)])
    await premises.use(premises.other, [kit.record(premises.other, n, day=n) for n in (4, 5, 6)])


async def test_a_key_counts_in_each_of_its_tags_and_once_in_the_total(premises: Any, kit: Any) -> None:
    await tagged(premises, kit)
    async with kit.client_of(make_operator(premises.operator_desk()), kit.token) as client:
        report = (await client.get("/v1/usage?group_by=tag")).json()
        exported = lines(await client.get("/v1/usage/export?group_by=tag"))
    assert {row["group"]["tag"]: row["requests"] for row in report["data"]} == {"": 3, "=blue": 3, "batch": 3}
    assert report["total"]["requests"] == 6
    assert [(row["tag"], row["requests"]) for row in exported] == [("", "3"), ("'=blue", "3"), ("batch", "3")]


@pytest.mark.parametrize("group_by", ["key,day", "tag,key", "tenant,model", "project,user,tag", ""])
async def test_an_export_says_what_the_report_says(premises: Any, kit: Any, group_by: str) -> None:
    await tagged(premises, kit)
    async with kit.client_of(make_operator(premises.operator_desk()), kit.token) as client:
        report = (await client.get("/v1/usage", params={"group_by": group_by})).json()["data"]
        asked = {"group_by": group_by, "format": "parquet"}
        response = await client.get("/v1/usage/export", params=asked)
        table = parquet.read_table(io.BytesIO(response.content)).to_pylist()
        exported = lines(await client.get("/v1/usage/export", params={"group_by": group_by}))
    names = [name for name in group_by.split(",") if name]
    for row, cells, said in zip(report, table, exported, strict=True):
        assert [cells[name] for name in names] == [row["group"][name] for name in names]
        assert (cells["requests"], cells["input_tokens"]) == (row["requests"], row["tokens"]["input"])
        assert int(cells[BILLED]) == row["billed"]["pico_euro"] == int(said[BILLED])


async def test_requests_are_exported_oldest_first(premises: Any, kit: Any) -> None:
    await tagged(premises, kit)
    async with kit.client_of(make_operator(premises.operator_desk()), kit.token) as client:
        exported = lines(await client.get("/v1/requests/export"))
        mine = lines(await client.get("/v1/requests/export", params={"tenant": kit.first_tenant}))
        response = await client.get("/v1/requests/export?format=parquet")
        refused = await client.get("/v1/requests/export?group_by=key")
    table = parquet.read_table(io.BytesIO(response.content))
    assert table.column_names == list(exported[0]) == [column.name for column in REQUEST_COLUMNS]
    assert [row["request_id"] for row in exported] == table["request_id"].to_pylist()
    assert [row["started_at"] for row in exported] == sorted(row["started_at"] for row in exported)
    assert (len(exported), len(mine), refused.status_code) == (6, 3, 400)


async def test_a_customer_gets_what_is_theirs(premises: Any, kit: Any) -> None:
    await tagged(premises, kit)
    console = make_console(premises.console_desk())
    async with kit.client_of(console, premises.other.text.reveal()) as client:
        assert [row["requests"] for row in lines(await client.get("/v1/usage/export?group_by=key"))] == ["3"]
        assert len(lines(await client.get("/v1/requests/export"))) == 3
        assert (await client.get("/v1/usage/export?group_by=tenant")).status_code == 400


async def test_what_is_no_page_any_more_is_exported(premises: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await tagged(premises, kit)
    monkeypatch.setattr(usage_story, "GROUPS_MAX", 5)
    async with kit.client_of(make_operator(premises.operator_desk()), kit.token) as client:
        refused = await client.get("/v1/usage?group_by=key,day")
        assert "export it" in refused.json()["error"]["message"]
        assert len(lines(await client.get("/v1/usage/export?group_by=key,day"))) == 6


async def test_without_its_library_parquet_is_refused_by_name(
    premises: Any, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    async with kit.client_of(make_operator(premises.operator_desk()), kit.token) as client:
        refused = await client.get("/v1/usage/export?format=parquet")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "parquet_not_installed")
    assert "parvis[parquet]" in error["message"]


def test_what_a_spreadsheet_would_compute_is_text() -> None:
    file = io.BytesIO()
    writer = CsvWriter(file, [Column("tag", Kind.TEXT), Column("requests", Kind.COUNT)])
    writer.write([("=1+1", -1), ('a,"b"', 2)])
    writer.close()
    assert file.getvalue() == b'tag,requests\r\n\'=1+1,-1\r\n"a,""b""",2\r\n'
