"""What is promised of receipts and statements, kept by SQLite and PostgreSQL; and that neither is ever changed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.store.store import SqlStore
from parvis.core.errors import BadRequest, Conflict
from parvis.domain.vault.signed_document import verified
from parvis.flows.closing import close_month
from parvis.flows.receipt_file import checked
from parvis.flows.receipts import receipt_of
from parvis.testing.receipt_suite import RECEIPT_PROMISES, SignedWith
from parvis.testing.statement_suite import MONTH, STATEMENT_PROMISES, furnished

SIGNER = Ed25519Signer(b"seed" * 8)


@pytest.mark.parametrize("promise", [*RECEIPT_PROMISES, *STATEMENT_PROMISES], ids=lambda promise: promise.__name__)
async def test_promise(promise: Callable[[SignedWith], Awaitable[None]], store: SqlStore) -> None:
    await promise(SignedWith(store, SIGNER))


async def by_hand(store: SqlStore, statement: str) -> None:
    def act(connection: Connection) -> None:
        connection.execute(text(statement))

    await store.database.run(act)


async def test_a_batch_cannot_be_changed_and_a_row_that_was_is_found(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    await store.open()
    house = SignedWith(store, SIGNER)
    await house.begin()
    await house.book(1, 2, 3)
    await house.notary.seal()
    for statement in ("DELETE FROM receipt_batches", "UPDATE receipt_batches SET size = 2"):
        with pytest.raises(Conflict):
            await by_hand(store, statement)
    for trigger in ("usage_no_update", "usage_no_delete"):
        await by_hand(store, f"DROP TRIGGER IF EXISTS {trigger}")
    await by_hand(store, "UPDATE usage SET key_id = 'another' WHERE request_id = 'req_000002'")
    with pytest.raises(BadRequest, match="lead to another root"):
        checked(await receipt_of(store, "req_000002"), house.key)
    await store.close()


async def test_what_was_issued_cannot_be_changed_and_says_if_it_was(store: SqlStore) -> None:
    made = await furnished(SignedWith(store, SIGNER))
    await made.book(1)
    issued = await close_month(made.books, "org", MONTH)
    for statement in ("DELETE FROM statements", "UPDATE statements SET month = 1", "DELETE FROM parties"):
        with pytest.raises(Conflict):
            await by_hand(store, statement)
    assert verified(issued.document, SIGNER.public_key)["invoice"]["number"] == issued.number
    with pytest.raises(BadRequest):
        verified(issued.document.replace(b'"with_tax":', b'"with_tax":1'), SIGNER.public_key)
