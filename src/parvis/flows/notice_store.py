"""What stories need to remember of notices. The promises of `parvis.flows.store` hold here too."""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.notice import Dispatch, Notice, NoticeTarget


class NoticeStore(Protocol):
    """Notices, where they go, and how far they have come. The conformance suite: `parvis.testing.notice_suite`."""

    async def keys_to_tell(self, now_unix_ms: int, limit: int) -> list[ApiKey]:
        """Keys of which something is to be told whose moment has come, the longest waiting first.

        Costs as much as it finds, however many keys there are.
        """

    async def tell(self, key_id: str, notices: Sequence[Notice], now_unix_ms: int) -> int:
        """Keep those that are not known yet, each with a dispatch to every target of its tenant; return how many.

        In the same transaction the key is laid away until its next moment after now.
        """

    async def notices_page(self, tenant_ids: Sequence[str] | None, after: str | None, limit: int) -> list[Notice]:
        """The next ones before an id, of these tenants or of all, newest first."""

    async def dispatches(self, notice_ids: Sequence[str]) -> list[Dispatch]:
        """How these notices fare, sorted by notice and target."""

    async def dispatches_due(self, now_unix_ms: int, limit: int) -> list[tuple[Dispatch, Notice, NoticeTarget]]:
        """What is to be sent now, the longest waiting first."""

    async def put_dispatch(self, dispatch: Dispatch) -> None:
        """Replace what is known of it; a dispatch whose target was removed is passed over."""

    async def add_target(self, target: NoticeTarget, most: int) -> None:
        """Raises Conflict for one that the tenant has, or has `most` of; NotFound without the tenant."""

    async def targets(self, tenant_ids: Sequence[str] | None) -> list[NoticeTarget]:
        """Those of these tenants or of all, sorted by id."""

    async def remove_target(self, target_id: str) -> None:
        """With all that was on its way to it. Raises NotFound."""
