"""Pages of usage over time end where there is enough in them, and the next one goes on there: nothing is left out."""

from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.domain.catalog.builtin import entry
from parvis.domain.metering.buckets import UsageQuestion, Width
from parvis.flows import usage_over_time
from parvis.flows.usage_over_time import COMPLETIONS, usage_page
from parvis.testing.usage_suite import ALL, twenty_requests


async def walked(store: SqlStore, question: UsageQuestion, count: int) -> tuple[int, int]:
    """The requests of all pages, and how many pages there were."""
    requests, pages, starts = 0, 0, []
    since: int | None = question.since_unix_ms
    while since is not None:
        page = await usage_page(store, replace(question, since_unix_ms=since), count)
        requests += sum(total.requests for bucket in page.buckets for total in bucket.totals)
        starts += [bucket.start_unix_ms for bucket in page.buckets]
        pages, since = pages + 1, page.next_unix_ms
    assert starts == list(range(question.since_unix_ms, question.until_unix_ms, question.width.ms))
    return requests, pages


@pytest.mark.parametrize("width", [Width.HOUR, Width.DAY])
@pytest.mark.parametrize("rows_max", [1, 3, 1000])
async def test_no_request_is_lost_between_pages(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, width: Width, rows_max: int
) -> None:
    monkeypatch.setattr(usage_over_time, "ROWS_MAX", rows_max)
    some = await twenty_requests(store)
    for name, embedding in (("model", False), ("vectors", True)):
        await store.put_model(entry(name, engine="engine", context_tokens=512, embedding=embedding))
    question = replace(ALL, width=width, split_by=("key", "model"))
    assert (await walked(store, question, 24))[0] == len(some)
    requests, pages = await walked(store, replace(question, operations=COMPLETIONS), 1000)
    assert requests == sum(record.started.operation in COMPLETIONS for record in some)
    assert (pages > 1) == (rows_max < len(some))
