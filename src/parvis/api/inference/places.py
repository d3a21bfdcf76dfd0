"""How many clients are inside, in all and from each address. Counted before anything is read of them."""

from socket import AF_INET, AF_INET6, inet_pton

from parvis.api.inference.limits import ListenerLimits

Place = bytes
"""Given back by its value: the network that it was taken for, packed."""
_MAPPED = bytes(10) + b"\xff\xff"
_PREFIX_BYTES = 8


def network(host: str) -> Place:
    """Who counts as one: an IPv4 address, or an IPv6 /64, which is the least that one subscriber is given.

    `host` is numeric, as `accept` gives it. An IPv4 client of an IPv6 socket counts as what it is.
    """
    if ":" not in host:
        return inet_pton(AF_INET, host)
    packed = inet_pton(AF_INET6, host.partition("%")[0])
    return packed[len(_MAPPED) :] if packed.startswith(_MAPPED) else packed[:_PREFIX_BYTES]


class Places:
    """Take one for each accepted connection; give it back when the connection is gone, however it went."""

    def __init__(self, limits: ListenerLimits) -> None:
        self._limits = limits
        self._of: dict[Place, int] = {}
        self.taken = 0

    def renew(self, limits: ListenerLimits) -> None:
        """Other bounds, for those who come from now on."""
        self._limits = limits

    def take(self, host: str) -> Place | None:
        """A place for a client at this address, or None when there is none for it."""
        place = network(host)
        here = self._of.get(place, 0)
        if self.taken >= self._limits.connections_max or here >= self._limits.connections_per_address_max:
            return None
        self._of[place] = here + 1
        self.taken += 1
        return place

    def give_back(self, place: Place) -> None:
        self.taken -= 1
        here = self._of[place] - 1
        if here:
            self._of[place] = here
        else:
            del self._of[place]
