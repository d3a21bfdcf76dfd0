"""Ways to write an address so that some program would follow it: what attackers of services that fetch have tried.

spellings(file, socket, ports=(8002,))   # 300 and more, each different
"""

from collections.abc import Iterable, Iterator
from itertools import chain, product
from pathlib import Path

OUTSIDE = (
    "egress.example",
    "EGRESS.EXAMPLE",
    "egress.example.",
    "a.b.c.d.egress.example",
    "xn--bcher-kva.example",
    "bücher.example",
    "еgress.example",  # noqa: RUF001 - its first letter is Cyrillic
    "egress。example",
    "egress．example",  # noqa: RUF001 - a fullwidth full stop
    "ⓔⓖⓡⓔⓢⓢ.example",
    "egress%2eexample",
    "127.0.0.1.nip.io",
    "169.254.169.254.nip.io",
    "localhost.egress.example",
    "metadata.google.internal",
    "metadata",
    "203.0.113.7",
    "203.0.113.7.",
    "3405803783",
    "0xcb007107",
    "0xcb.0x00.0x71.0x07",
    "0313.0.0161.07",
    "203.0.28935",
    "203.28935",
    "203.0.113.7%00.example",
    "[2001:4860:4860::8888]",
    "[2001:4860:4860:0:0:0:0:8888]",
    "[::ffff:203.0.113.7]",
    "[::ffff:cb00:7107]",
    "[64:ff9b::203.0.113.7]",
    "[fe80::1%25road0]",
    "②⓪③.⓪.①①③.⑦",
)
"""Hosts of other machines: names, their look-alikes, and every notation of an IP address."""
METADATA = (
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "169。254。169。254",
)
"""Where clouds tell a machine its credentials."""
HERE = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.127.127.127",
    "0",
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.01",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
)
"""This machine, as it must never be reached by a client's wish."""
SCHEMES = (
    *("http", "https", "HTTP", "hTTps", "ftp", "ftps", "sftp", "tftp", "gopher", "dict", "ldap", "ldaps", "ws", "wss"),
    *("smb", "cifs", "nfs", "afp", "rsync", "ssh", "scp", "git", "git+ssh", "svn", "s3", "gs", "hdfs", "telnet"),
    *("imap", "pop3", "smtp", "rtsp", "rtmp", "mms", "sip", "xmpp", "irc", "news", "finger", "webdav", "ipp", "jdbc"),
    *("redis", "postgresql", "mongodb", "amqp", "docker", "http+unix", "ipfs", "view-source:http", "feed:http"),
    *("url:http", "blob:http", "filesystem:http", "java:http", "netdoc", "phar", "zip", "expect", "ogg", "res"),
)
OTHER_PORTS = (22, 80, 443, 2375, 5432, 6379, 8080, 9200, 11434)
PATHS = {"169.254.169.254": "/latest/meta-data/", "metadata.google.internal": "/computeMetadata/v1/"}


def spellings(file: Path, socket: Path, ports: Iterable[int]) -> list[str]:
    """Over 300 URLs. `file` and `socket` exist on this machine; on `ports` somebody listens on loopback."""
    whole = chain(_of_hosts(), _of_schemes(), _of_ports(ports), _decorated(), _of_files(file), _of_sockets(socket))
    return list(dict.fromkeys(whole))


def _of_hosts() -> Iterator[str]:
    for scheme, host in product(("http", "https"), (*OUTSIDE, *METADATA)):
        yield f"{scheme}://{host}{PATHS.get(host, '/')}picture.png"
    for host in HERE:
        yield f"http://{host}:81/picture.png"


def _of_schemes() -> Iterator[str]:
    yield from (f"{scheme}://egress.example/x" for scheme in SCHEMES)
    yield from (f"{scheme}://203.0.113.7/x" for scheme in SCHEMES[:30])
    yield "jar:http://egress.example/x.jar!/"
    yield "data:text/html,<img src='http://egress.example/x'>"
    yield "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='http://egress.example/x'/></svg>"
    yield "data:image/png;base64,http://egress.example/x"
    yield "DATA:image/png;url=http://egress.example/x,"
    yield "javascript:fetch('http://egress.example/x')"
    yield "mailto:somebody@egress.example"


def _of_ports(ports: Iterable[int]) -> Iterator[str]:
    for port in (*ports, *OTHER_PORTS):
        yield f"http://127.0.0.1:{port}/bait"
        yield f"gopher://localhost:{port}/_GET%20/bait"


def _decorated() -> Iterator[str]:
    """Where readers of URLs disagree about who the host is."""
    for host in ("egress.example", "203.0.113.7"):
        yield from (f"//{host}/x", f"///{host}/x", f"http:{host}/x", f"http:/{host}/x", f"http:///{host}/x")
        yield from (f"\\\\{host}\\share", f"//{host}\\share", f"http:\\\\{host}\\x", f"\\\\?\\UNC\\{host}\\share")
        yield from (f"http://user@{host}/", f"http://user:password@{host}/", f"http://localhost@{host}/")
        yield from (f"http://localhost#@{host}/", f"http://localhost\\@{host}/", f"http://{host}#localhost")
        yield from (f"http://localhost:80@{host}:81/", f"http://{host}:81:80/", f"http://{host}:/", f"http://{host}:0/")
        yield from (f" http://{host}/", f"\thttp://{host}/", f"ht\ntp://{host}/", f"http://{host}/\r\nHost: localhost")
        yield from (f"http%3A%2F%2F{host}%2Fx", f"http%253A%252F%252F{host}", f"http://%65gress.example@{host}/")
        yield from (f"<http://{host}/>", f"url({host})", f'<img src="http://{host}/x">', f"![x](http://{host}/x)")
        yield from (f"http://localhost/?url=http://{host}/", f"http://localhost/redirect/http://{host}/", f"{host}/x")
        yield from (f"http://{host}/../../x", f"http://{host}/%00", f"http://[{host}]/", f"http://{host}\u2044x")


def _of_files(file: Path) -> Iterator[str]:
    yield from (
        f"file://{file}",
        f"file:{file}",
        f"file://localhost{file}",
        f"FILE://{file}",
        f"file://127.0.0.1{file}",
    )
    yield from (str(file), f"file:///proc/self/root{file}", f"local_file://{file}", f"netdoc:{file}", f"glob://{file}")
    yield from (f"php://filter/resource={file}", f"file:////{file}", f"file:%2F%2F{file}", f"jar:file:{file}!/x")
    yield from (f"../../../../../../..{file}", f"view-source:file://{file}", f"@{file}", f"file://{file}%00.png")
    yield "file:///dev/stdin"


def _of_sockets(socket: Path) -> Iterator[str]:
    quoted = str(socket).replace("/", "%2F")
    yield from (f"unix:{socket}", f"unix://{socket}", f"unix:{socket}:/containers/json", f"http+unix://{quoted}/x")
    yield from (f"http://unix:{socket}:/x", f"https+unix://{quoted}/x", f"unix+http://{quoted}/x")
