"""What sign-in by OpenID Connect needs from the world."""

from typing import Protocol

from parvis.core.secret import Secret
from parvis.domain.identity.openid import Claims, Provider


class IdentityProviders(Protocol):
    """All calls raise BadRequest for what the operator has not allowed, and Unavailable when a provider fails."""

    async def authorization_endpoint(self, issuer: str) -> str:
        """Where browsers are sent; it has no fragment."""

    async def redeem(
        self, provider: Provider, client_secret: Secret, code: Secret, verifier: Secret, redirect_uri: str
    ) -> tuple[Claims, Secret]:
        """The claims of an ID token that one of the provider's keys has signed, and the access token beside it.

        Nothing else of the claims was looked at. Raises NotAuthenticated for a code that the provider does not take,
        and for a token that is not signed as it must be.
        """

    async def user_info(self, issuer: str, access_token: Secret) -> Claims:
        """More claims; none where the provider does not offer them."""
