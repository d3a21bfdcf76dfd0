"""Whom a browser believes that it talks to: a page of elsewhere that was pointed at our address is turned away."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from parvis.core.errors import BadRequest, NotPermitted
from parvis.domain.identity.site import Site


def check_host(hosts: Sequence[str], origins: Sequence[str], site: Site) -> None:
    """Demand one `Host` that is a loopback name or address or ours, and no `Origin` but the same.

    Raises BadRequest without exactly one Host, NotPermitted otherwise.
    """
    if len(hosts) != 1:
        raise BadRequest("Send exactly one Host header.", code="invalid_host")
    name = _hostname(hosts[0])
    if name is None or not (name in site.names or _is_loopback(name)):
        raise NotPermitted(
            "This listener answers to loopback names, to its own address and to the hosts of its settings only. "
            "Check the Host header.",
            code="host_not_allowed",
        )
    for origin in origins:
        if urlsplit(origin).netloc.lower() != hosts[0].lower():
            raise NotPermitted("Pages of another origin may not call this listener.", code="origin_not_allowed")


def _hostname(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
