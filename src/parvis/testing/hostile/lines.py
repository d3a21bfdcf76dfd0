"""Attacks on the lines of a head: their ends, their folds, names and values of fields."""

from parvis.testing.hostile.attack import CHUNKED, CRLF, Family, Parts

CONTROLS = [bytes([code]) for code in (*range(9), 11, 12, *range(14, 32), 127)]


def odd_line_end(p: Parts) -> bytes:
    """In a head, at any one place, or at all of them."""
    body = p.text("a")
    end = p.dice.choice(
        [
            b"\n",
            b"\r",
            b"\n\r",
            b"\r\r\n",
            b"\r\n\r",
            b" \n",
            b"\x0b",
            b"\x85",
            b"\x00\r\n",
            b"\r\x00\n",
        ]
    )
    lines = p.head(b"Content-Length: %d" % len(body), b"X-Last: y")[:-4].split(CRLF)
    if p.coin(0.15):
        return end.join([*lines, b"", b""]) + body + p.hidden
    place = p.dice.randrange(len(lines) + 1)
    ends = [CRLF] * (len(lines) + 1)
    ends[place] = end
    return b"".join(line + end for line, end in zip([*lines, b""], ends, strict=True)) + body + p.hidden


def folded(p: Parts) -> bytes:
    """A field that goes on in the next line."""
    body = p.text("a")
    name, value = p.dice.choice(
        [(b"X-F", b"y"), (b"Transfer-Encoding", b"chunked"), (b"Host", b"elsewhere"), (b"Content-Length", b"0"),
         (b"Connection", b"close"), (b"X-F", b"Transfer-Encoding: chunked")]
    )  # fmt: skip
    fold = p.dice.choice([b"\r\n ", b"\r\n\t", b"\r\n  \t", b"\n ", b"\r ", b"\r\n \r\n ", b"\r\n\x0b"])
    field = p.dice.choice(
        [
            name + b":" + fold + value,
            name + b": a" + fold + value,
            name + fold + b": " + value,
        ]
    )
    fields = [field, b"Content-Length: %d" % len(body)]
    p.dice.shuffle(fields)
    return p.head(*fields) + body + p.hidden


def first_line_folded(p: Parts) -> bytes:
    """A header line that begins with a space, right below the request line."""
    body = p.text("a")
    space = p.dice.choice([b" ", b"\t", b"  "])
    field = space + p.dice.choice(
        [
            b"Host: localhost",
            b"X: y",
            b"Content-Length: 3",
            CHUNKED,
            b"GET /v1/models HTTP/1.1",
        ]
    )
    return (
        p.head(
            p.credential,
            b"Content-Length: %d" % len(body),
            line=p.line() + CRLF + field,
        )
        + body
        + p.hidden
    )


def odd_name(p: Parts) -> bytes:
    """A field name with a space, a control, a delimiter, or nothing at all."""
    body = p.text("a")
    odd = p.dice.choice(
        [
            b" ",
            b"\t",
            b"\x00",
            b"(",
            b")",
            b"@",
            b"[",
            b"/",
            b'"',
            b"=",
            b"{",
            b"\x80",
            b"\xff",
            b"\x7f",
        ]
    )
    field = p.dice.choice(
        [
            b"X" + odd + b": y",
            odd + b"X: y",
            b"X" + odd + b"Y: z",
            b": y",
            b"",
            b"X",
            b"X y",
            b"=",
            b"X" + odd,
        ]
    )
    length = b"Content-Length: %d" % len(body)
    return p.head(*p.dice.choice([(field, length), (length, field)])) + body + p.hidden


def odd_value(p: Parts) -> bytes:
    """A control byte in a value."""
    body = p.text("a")
    odd = p.dice.choice(CONTROLS)
    name = p.dice.choice([b"X-V", b"Host", b"User-Agent", b"Authorization", b"Expect", b"Content-Type"])
    value = p.dice.choice([b"a" + odd + b"b", odd, b"a" + odd, odd + b"b"])
    host = b"" if name == b"Host" else b"Host: localhost"
    return p.head(name + b": " + value, b"Content-Length: %d" % len(body), host=host) + body + p.hidden


def eight_bits(p: Parts) -> bytes:
    """Right, if strange: values may hold any byte above 127."""
    value = bytes(p.dice.randrange(0x80, 0x100) for _ in range(8))
    body = p.text("a")
    return p.head(b"X-V: " + value, b"Content-Length: %d" % len(body)) + body


def odd_host(p: Parts) -> bytes:
    """A host that is none, stands twice, or not at all."""
    value = p.dice.choice(
        ["", " ", "a b", "a,b", "a, b", "user@localhost", "user:pw@localhost", "localhost/x", "localhost?x",
         "localhost#x", "localhost:", "localhost:80", "localhost:0", "localhost:99999", "localhost:8x",
         "localhost:-1", "localhost:8:8", "[::1]", "[::1]:80", "[::1", "::1", "[::1]x", "[]", "local\\host",
         "<localhost>", '"localhost"', "loc\x00al", "localh\xf6st", "%6cocalhost", "%", "localhost\t", "..", "-", "*",
         "{}", "a|b", "a^b", "http://localhost"]
    ).encode("latin-1")  # fmt: skip
    fields = p.dice.choice(
        [
            [value],
            [value],
            [value],
            [value, b"localhost"],
            [b"localhost", value],
            [b"localhost"] * 2,
            [],
        ]
    )
    body = p.text("a")
    lines = [p.dice.choice([b"Host: ", b"host:", b"HOST:  "]) + one for one in fields]
    version = p.dice.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
    return (
        p.head(
            *lines,
            b"Content-Length: %d" % len(body),
            line=p.line(version=version),
            host=b"",
        )
        + body
        + p.hidden
    )


def said_twice(p: Parts) -> bytes:
    """A field that decides something stands twice."""
    body = p.text("a")
    fields = p.dice.choice(
        [(p.credential,), (b"Authorization: Basic YTpi",), (b"Content-Encoding: gzip", b"Content-Encoding: identity"),
         (b"Content-Encoding: identity", b"Content-Encoding: gzip"),
         (b"Content-Type: a/b", b"Content-Type: text/html"), (b"Content-Encoding: IDENTITY",),
         (b"Origin: http://a", b"Origin: http://b"), (b"Content-Encoding: chunked",)]
    )  # fmt: skip
    return p.head(*fields, b"Content-Length: %d" % len(body)) + body + p.hidden


def much(p: Parts) -> bytes:
    """More fields, or longer ones, than a head may have."""
    body = p.text("a")
    fields = p.dice.choice(
        [
            (b"X-M: y",) * 120,
            (b"X-M: " + b"z" * 33_000,),
            (b"X" * 33_000 + b": y",),
            (b"X-M: y",) * 90,
        ]
    )
    return p.head(*fields, b"Content-Length: %d" % len(body)) + body + p.hidden


FAMILIES: tuple[Family, ...] = (
    odd_line_end,
    folded,
    first_line_folded,
    odd_name,
    odd_value,
    eight_bits,
    odd_host,
    said_twice,
    much,
)
