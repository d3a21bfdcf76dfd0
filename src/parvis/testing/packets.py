"""Sees every packet of this network namespace, on every interface, without any tool but the kernel's.

    with Capture() as capture:
        ...
    assert capture.strangers(ours={8000}) == []

A packet counts where it leaves (on loopback it would be seen a second time where it arrives). Needs CAP_NET_RAW.
"""

import ctypes
import socket
import struct
import threading
from collections import Counter
from ipaddress import ip_address
from types import TracebackType
from typing import NamedTuple, Self

LOOPBACK = "lo"
ALL_PROTOCOLS = 0x0003
HEAD_BYTES = 128
BUFFER_BYTES = 64 << 20
_ATTACH_FILTER, _BUFFER_FORCE, _PACKET_LEVEL, _PACKET_STATISTICS = 26, 33, 263, 6
_PACKET_OUTGOING = 4
# Classic BPF: load the kind of the packet; is it outgoing? take its head : leave it. (linux/filter.h)
_OUTGOING_ONLY = struct.pack(
    "HBBIHBBIHBBIHBBI",
    *(0x28, 0, 0, 0xFFFFF004),
    *(0x15, 0, 1, _PACKET_OUTGOING),
    *(0x06, 0, 0, HEAD_BYTES),
    *(0x06, 0, 0, 0),
)
_IPV4, _IPV6 = 0x0800, 0x86DD
_HOP_BY_HOP, _TCP, _UDP, _IGMP, _ICMPV6 = 0, 6, 17, 2, 58
_NAMES = {_TCP: "tcp", _UDP: "udp", 1: "icmp", _IGMP: "igmp", _ICMPV6: "icmpv6"}
_HOUSEKEEPING = frozenset((*range(130, 138), 143))
"""ICMPv6 by which the kernel keeps its groups and neighbours. No program sends these."""
_SYN, _ACK = 0x02, 0x10
POLL_S = 0.1


class Packet(NamedTuple):
    """What is told of a packet. Ports are 0 where the protocol has none."""

    interface: str
    protocol: str
    source: str
    source_port: int
    destination: str
    port: int
    opens: bool = False
    """The first packet of a TCP connection."""

    def __str__(self) -> str:
        return f"{self.interface}: {self.protocol} to {self.destination} port {self.port}"


class Capture:
    """Counts packets from `with` to its end."""

    def __init__(self) -> None:
        self.packets: Counter[Packet] = Counter()
        self.missed = 0
        """Packets that came faster than they were read: they were not looked at."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="capture", daemon=True)

    def __enter__(self) -> Self:
        program = ctypes.create_string_buffer(_OUTGOING_ONLY)
        filter_ = struct.pack("HP", len(_OUTGOING_ONLY) // 8, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, filter_)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, BUFFER_BYTES)
        except PermissionError:  # root of a user namespace only: take what is allowed, and count what is missed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.settimeout(POLL_S)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    def strangers(self, ours: set[int]) -> list[str]:
        """Every packet that left for elsewhere, and every one on loopback of which neither end is a port of ours."""
        return sorted({str(packet) for packet in self.packets if not _is_ours(packet, ours)})

    def opened(self, port: int) -> int:
        """How many TCP connections were asked for at this port of loopback."""
        return sum(
            count
            for packet, count in self.packets.items()
            if packet.opens and packet.port == port and packet.interface == LOOPBACK
        )

    def _listen(self) -> None:
        while True:
            try:
                head, (interface, ethernet, *_) = self._socket.recvfrom(HEAD_BYTES)
            except TimeoutError:
                if self._stopping.is_set():
                    break
                continue
            packet = read_packet(interface, ethernet, head)
            if packet is not None:
                self.packets[packet] += 1
        _, self.missed = struct.unpack("II", self._socket.getsockopt(_PACKET_LEVEL, _PACKET_STATISTICS, 8))


def _is_ours(packet: Packet, ours: set[int]) -> bool:
    return packet.interface == LOOPBACK and not ours.isdisjoint((packet.port, packet.source_port))


def read_packet(interface: str, ethernet: int, head: bytes) -> Packet | None:
    """A packet from its first bytes, IP header first. None is the kernel's housekeeping."""
    if ethernet == _IPV4:
        protocol, at, ends = head[9], (head[0] & 0x0F) * 4, (head[12:16], head[16:20])
    elif ethernet == _IPV6:
        protocol, at, ends = head[6], 40, (head[8:24], head[24:40])
        if protocol == _HOP_BY_HOP:
            protocol, at = head[40], 40 + 8 * (head[41] + 1)
    else:
        return Packet(interface, f"ethernet {ethernet:#06x}", "", 0, "", 0)
    if protocol == _IGMP or (protocol == _ICMPV6 and head[at] in _HOUSEKEEPING):
        return None
    source, destination = (str(ip_address(end)) for end in ends)
    ports, opens = (0, 0), False
    if protocol in (_TCP, _UDP):
        ports = struct.unpack_from("!HH", head, at)
        opens = protocol == _TCP and head[at + 13] & (_SYN | _ACK) == _SYN
    name = _NAMES.get(protocol, f"protocol {protocol}")
    return Packet(interface, name, source, ports[0], destination, ports[1], opens)
