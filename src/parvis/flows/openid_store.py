"""What sign-in by OpenID Connect keeps. The promises of `parvis.flows.store` hold here too.

Nothing in it opens anything by itself: secrets are sealed, and what a browser holds is kept as a digest. The
conformance suite is `parvis.testing.openid_suite`.
"""

from typing import Protocol

from parvis.domain.identity.openid import Provider, Visit


class OpenIdStore(Protocol):
    """Providers of organisations, who is known to them by which name, and who is on the way to one."""

    async def put_provider(self, provider: Provider, sealed_secret: bytes | None) -> None:
        """Set the one of its organisation; without a secret, the one that is kept stays.

        With another issuer all links of the organisation go, because a subject means somebody only there. Raises
        NotFound without the organisation.
        """

    async def provider(self, organisation_id: str) -> tuple[Provider, bytes] | None:
        """The provider, and the sealed secret (empty: it has none)."""

    async def remove_provider(self, organisation_id: str) -> None:
        """With its links and visits. Goes before all that waits; again is no error."""

    async def link(self, organisation_id: str, issuer: str, subject: str) -> str | None:
        """Whose user id this subject is."""

    async def subject(self, organisation_id: str, issuer: str, user_id: str) -> str | None:
        """By which subject the issuer knows this user."""

    async def put_link(self, organisation_id: str, issuer: str, subject: str, user_id: str) -> None:
        """From now on the subject is this user, and no other subject of the issuer is."""

    async def unlink(self, organisation_id: str, user_id: str) -> None:
        """The user is nobody's subject any more; again is no error."""

    async def put_visit(self, visit: Visit, now_unix_ms: int) -> None:
        """Keep it; those whose time is over by now go. Raises Unavailable when too many are on their way."""

    async def take_visit(self, state_digest: bytes, now_unix_ms: int) -> Visit | None:
        """Give it once, in time."""
