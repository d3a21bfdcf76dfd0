"""Attacks on the request line, and on what a connection is told about itself."""

from parvis.testing.hostile.attack import CHAT_PATH, CHUNKED, END, Family, Parts


def odd_target(p: Parts) -> bytes:
    """A target that is no path, is spelled with escapes, or holds what no target may."""
    mark = p.marker("a").decode()
    target = p.dice.choice(
        ["http://localhost/v1/chat/completions?", "http://elsewhere/v1/chat/completions?", "https://u@localhost/?",
         "HTTP://localhost/?", "//v1/chat/completions?", "localhost:80", "*", "/*", "/v1/chat/completions#", "/#",
         "/v1%2fchat%2fcompletions?", "/v1/./chat/completions?", "/v1/../v1/chat/completions?", "/%2e%2e/v1/models?",
         "/v1/chat/completions%00?", "/v1/chat/completions\x00?", "/v1/chat/completions;a=b?",
         "/v1\\chat\\completions?", "/v1/chat/completions/?", "/v1/chat/completions//?",
         "/v1/models/../chat/completions?", "", "?", "v1/models?", "/v1/chat/completions?a b ",
         "/v1/chat/completions?\r\nX: ", "/\xe9?", "/%zz?", "/%?", "/|?", "/<>?", '/"?', "/{}?", "/^`?",
         "/v1/chat/completions?#", "/v1/chat/completions?\x7f", "/v1/chat/completions?\t", "/@?"]
    )  # fmt: skip
    spaces = p.dice.choice(
        [(" ", " ")] * 4 + [("  ", " "), (" ", "  "), ("\t", " "), (" ", "\t"), ("\x0b", " "), ("", " ")]
    )
    line = f"POST{spaces[0]}{target}{mark}{spaces[1]}HTTP/1.1".encode("latin-1")
    body = p.text("a")
    return p.head(b"Content-Length: %d" % len(body), line=line) + body + p.hidden


def odd_version(p: Parts) -> bytes:
    """Another version, another protocol, or the same one badly spelled."""
    version = p.dice.choice(
        ["", " HTTP/0.9", " HTTP/1.2", " HTTP/1.10", " HTTP/1", " HTTP/1.", " HTTP/.1", " HTTP/2", " HTTP/2.0",
         " HTTP/3.0", " http/1.1", " Http/1.1", " HTTP/1.1 ", " HTTP/1.1 x", " HTTP /1.1", " HTTP/ 1.1", " HTTP/01.1",
         " HTTP/1.01", " HTTP/1,1", " HTTP/a.b", " HTTP/-1.1", " HTTPS/1.1", " ICY/1.1", " RTSP/1.0", " HTTP/9.9",
         " HTTP\\1.1", " HTTP/1.1\x00", " HTTP/1.1\t", "\tHTTP/1.1", " HTTP/1.0", " HTTP/1.1\x0b", " \xff"]
    ).encode("latin-1")  # fmt: skip
    line = b"POST %b?%b%b" % (CHAT_PATH, p.marker("a"), version)
    body = p.text("a")
    return p.head(b"Content-Length: %d" % len(body), line=line) + body + p.hidden


def odd_method(p: Parts) -> bytes:
    """A method that is misspelled, unknown here, or no token."""
    method = p.dice.choice(
        ["post", "Post", "POST\t", "PO ST", "PO\x00ST", "POST,", "POST:", "", "P", "POSTT", "GETPOST", "PRI",
         "CONNECT", "TRACE", "DEBUG", "PATCH", "PUT", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "M-SEARCH", "PURGE",
         "SOURCE", "ANNOUNCE", "DESCRIBE", "SETUP", "X" * 300, "@", "\xff", "\x16\x03\x01", "POST POST", "(POST)",
         "\x00", "HEAD"]
    ).encode("latin-1")  # fmt: skip
    body = p.text("a")
    return p.head(b"Content-Length: %d" % len(body), line=p.line(method=method)) + body + p.hidden


def preface(p: Parts) -> bytes:
    """Something stands before the request: another protocol, an answer, white space."""
    opening = p.dice.choice(
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
         b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"\x00",
         b"\xef\xbb\xbf", b"\x16\x03\x01\x00\x05hello", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
         b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a", b" ", b"\t", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\n\n\r\n",
         b"\r\n ", b"\x0b", b"SSH-2.0-x\r\n", b"0\r\n\r\n"]
    )  # fmt: skip
    return opening + p.proper("a")


def upgrade(p: Parts) -> bytes:
    """An upgrade that is asked for in full or in part."""
    protocol = p.dice.choice([b"h2c", b"websocket", b"HTTP/2.0", b"TLS/1.0", b"foo", b"", b"h2c, websocket"])
    connection = p.dice.choice(
        [
            b"Upgrade",
            b"upgrade, HTTP2-Settings",
            b"keep-alive, Upgrade",
            b"close",
            b"xupgrade",
            b"",
        ]
    )
    fields = [
        b"Upgrade: " + protocol,
        b"Connection: " + connection,
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
    ]
    p.dice.shuffle(fields)
    body = p.text("a")
    return p.head(*fields[: p.dice.randint(1, 3)], b"Content-Length: %d" % len(body)) + body + p.hidden


def expect(p: Parts) -> bytes:
    """An expectation, right or wrong, with and without a body."""
    value = p.dice.choice(
        [b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue, 100-continue", b"100-continue; a=b",
         b"100", b"\t100-continue ", b"nothing"]
    )  # fmt: skip
    twice = p.dice.choice([(), (b"Expect: 100-continue",)])
    body = p.text("a")
    right = [b"Content-Length: %d" % len(body)], body
    fields, sent = p.dice.choice(
        [
            right,
            right,
            ([CHUNKED], p.chunked(body) + END),
            ([b"Content-Length: 0"], b""),
            ([], b""),
        ]
    )
    version = p.dice.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
    return p.head(b"Expect: " + value, *twice, *fields, line=p.line(version=version)) + sent


def odd_connection(p: Parts) -> bytes:
    """Connection options that contradict each other or name what must not be dropped."""
    value = p.dice.choice(
        [b"close", b"Close", b"CLOSE", b"keep-alive", b"close, keep-alive", b"keep-alive, close", b"close,close",
         b" close ,", b"clo se", b"close;", b"", b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization",
         b"keep-alive,"]
    )  # fmt: skip
    name = p.dice.choice(
        [
            b"Connection",
            b"Connection",
            b"connection",
            b"Proxy-Connection",
            b"Keep-Alive",
        ]
    )
    again = p.dice.choice([(), (), (b"Connection: keep-alive",), (b"Connection: close",)])
    version = p.dice.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
    body = p.text("a")
    return (
        p.head(
            name + b": " + value,
            *again,
            b"Content-Length: %d" % len(body),
            line=p.line(version=version),
        )
        + body
    )


FAMILIES: tuple[Family, ...] = (
    odd_target,
    odd_version,
    odd_method,
    preface,
    upgrade,
    expect,
    odd_connection,
)
