"""Sign-in by OpenID Connect: what its stories stand on, with the hosts that the operator listed for it."""

from parvis.adapters.keyring.file_key import load_root_key
from parvis.adapters.openid.client import OpenIdClient
from parvis.adapters.outbound.client import OutboundClient
from parvis.core.clock import Clock
from parvis.domain.vault.sealing import derive_key
from parvis.flows.lobby import Lobby
from parvis.flows.openid_settings import SEAL_PURPOSE, SEAL_VERSION, OpenIdHouse
from parvis.settings import OpenId, Settings


def outbound_of(openid: OpenId) -> OutboundClient:
    """Calls to identity providers, and to nobody else. Raises Misconfigured for a file that cannot be used."""
    return OutboundClient(openid.hosts, openid.private_hosts, openid.tls_ca)


def openid_house(settings: Settings, lobby: Lobby, clock: Clock) -> OpenIdHouse:
    """`lobby` is that of customers' people. Raises Misconfigured."""
    seal_key = derive_key(load_root_key(settings.home), SEAL_PURPOSE, SEAL_VERSION)
    return OpenIdHouse(
        lobby=lobby,
        providers=OpenIdClient(outbound_of(settings.openid), clock),
        seal_key=lambda: seal_key,
        public_url=settings.console.url,
    )
