"""What a listener of the administration is called, by people and by their browsers."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Site:
    """What a listener is called: the address that it was given, its names, and how browsers reach it."""

    listen_host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    public_url: str = "http://localhost"
    """`https://console.example.eu`, without a slash at its end: of redirects, passkeys and cookies."""

    @cached_property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS: its cookies are `Secure`, and it asks never to be called without."""
        return self.public_url.startswith("https:")

    @cached_property
    def name(self) -> str:
        """The host of its public address, without a port."""
        return urlsplit(self.public_url).hostname or "localhost"

    @cached_property
    def names(self) -> frozenset[str]:
        """All by which it may be called, loopback's aside."""
        return frozenset(name.lower() for name in (self.listen_host, self.name, *self.hosts))


HERE = Site()
"""On this machine alone."""
