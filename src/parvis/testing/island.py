"""A network namespace of our own: loopback, and a road to everywhere else on which every packet would be seen.

    subprocess.run([*island(), sys.executable, __file__])   # outside
    settle()                                                # inside, first of all

Inside there is nobody to answer. Routes lead out, for both versions of IP, so that whoever reaches for another
machine sends a packet instead of failing before it; and names are asked of a server out there, so that even looking
one up is a packet.
"""

import os
import subprocess
import tempfile
from pathlib import Path

FORBIDDEN = (
    "This test needs a network namespace of its own. Run it as root with CAP_SYS_ADMIN, or allow user namespaces "
    "(sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000), with "
    "`apt-get install -y iproute2 util-linux mount` done."
)
ROAD, ROADSIDE = "road0", "road1"
NAMESERVER = "198.51.100.53"
"""Of the addresses that documents may use (RFC 5737): nobody has it."""
_GATEWAYS = (("-4", "192.0.2.1/32", "192.0.2.254"), ("-6", "2001:db8::1/128", "2001:db8::fe"))
_NOBODY = "02:00:00:00:00:fe"
_NAMES = {
    "resolv.conf": f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
"""How names are found inside: by the hosts file, then by packets."""
SET_UP_S_MAX = 20


def island() -> list[str]:
    """The beginning of a command that shall run inside. Raises AssertionError with what is needed."""
    said: object = ""
    for user in ((), ("--map-root-user",)) if os.geteuid() == 0 else (("--map-root-user",),):
        prefix = ["unshare", "--net", "--mount", *user]
        try:
            _run(*prefix, "ip", "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as problem:
            said = getattr(problem, "stderr", "") or problem
        else:
            return prefix
    raise AssertionError(f"{FORBIDDEN} ({str(said).strip()})")


def settle() -> None:
    """Make loopback, the road and the way to look up names. Call once, inside, before anything is started."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", ROAD, "type", "veth", "peer", "name", ROADSIDE)
    for interface in (ROAD, ROADSIDE):
        _silence(interface)
        _run("ip", "link", "set", interface, "up")
    for version, address, gateway in _GATEWAYS:
        # The gateway's neighbour entry is given, so that not even a question who has it comes before a packet.
        _run("ip", version, "address", "add", address, "dev", ROAD, *(["nodad"] if version == "-6" else []))
        _run("ip", version, "neighbour", "add", gateway, "lladdr", _NOBODY, "dev", ROAD, "nud", "permanent")
        _run("ip", version, "route", "add", "default", "via", gateway, "dev", ROAD, "onlink")
    for name, text in _NAMES.items():
        _stand_in(Path("/etc") / name, text)


def _silence(interface: str) -> None:
    """The kernel's own chatter of IPv6: no addresses made up, no router asked for."""
    settings = {"accept_dad": 0, "dad_transmits": 0, "router_solicitations": 0, "accept_ra": 0, "addr_gen_mode": 1}
    for name, value in settings.items():
        path = Path(f"/proc/sys/net/ipv6/conf/{interface}/{name}")
        if path.exists():
            path.write_text(str(value))


def _stand_in(path: Path, text: str) -> None:
    """Show another text at this path, to this namespace alone."""
    if not path.exists():
        return
    with tempfile.NamedTemporaryFile("w", prefix="parvis-island-") as file:
        file.write(text)
        file.flush()
        Path(file.name).chmod(0o644)
        _run("mount", "--bind", file.name, str(path.resolve()))


def _run(*command: str) -> None:
    subprocess.run(  # noqa: S603 - tools of the system, without a shell
        command, check=True, capture_output=True, text=True, timeout=SET_UP_S_MAX
    )
