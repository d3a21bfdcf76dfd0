"""Attacks on where a body ends: lengths, codings, chunks, trailers."""

from parvis.testing.hostile.attack import CHUNKED, CRLF, END, Family, Parts


def two_lengths(p: Parts) -> bytes:
    """Content-Length stands twice, equal or not."""
    body, over = p.text("a"), p.hidden
    first, second = p.dice.choice(
        [
            (0, len(body)),
            (len(body), 0),
            (len(body), len(body)),
            (len(body), len(body + over)),
            (len(over), 5),
        ]
    )
    names = p.dice.choice([(b"Content-Length", b"content-length"), (b"Content-Length", b"Content-Length")])
    between = p.dice.choice([(), (b"X-Between: y",)])
    return p.head(b"%b: %d" % (names[0], first), *between, b"%b: %d" % (names[1], second)) + body + over


def odd_length(p: Parts) -> bytes:
    """A length that is a list, signed, in another base, empty, huge, or padded."""
    body, over = p.text("a"), p.hidden
    forms = (
        "%d, %d", "%d,%d", "%d,", ",%d", "+%d", "-%d", "0x%x", "%x", "%d.0", "%d;", "%d;q=1", "%de0", "%dL", "0%o",
        "%d %d", "% d", "%d_0", '"%d"', "(%d)", "%d\x00", "\x0b%d", "%d\x0c", "%d\xa0", "\xd9\xa3%d", "", " ", "-",
        "00000%d", "\t%d\t", "   %d", "1%d" + "0" * 30, "%d" + " " * 40, "0" * 5000 + "%d", "9" * 5000 + "%d", "%d\r",
    )  # fmt: skip
    form = p.dice.choice(forms)
    length = p.dice.choice([len(body), len(body), 0, len(body) + len(over)])
    value = form % ((length,) * form.count("%")) if "%" in form else form
    name = p.dice.choice([b"Content-Length:", b"content-length: ", b"CONTENT-LENGTH:\t"])
    return p.head(name + value.encode("latin-1")) + body + over


def length_and_chunks(p: Parts) -> bytes:
    """Both framings at once, in either order."""
    framed = p.chunked(p.text("a")) + END
    length = p.dice.choice([0, len(framed), len(framed + p.hidden), 4])
    fields = [p.dice.choice([CHUNKED, b"transfer-encoding:chunked", b"TRANSFER-ENCODING: CHUNKED"])]
    fields.insert(p.dice.randrange(2), b"Content-Length: %d" % length)
    return p.head(*fields) + framed + p.hidden


def odd_coding(p: Parts) -> bytes:
    """Transfer-Encoding with anything but `chunked`, or `chunked` in disguise, with or without a length."""
    values = (
        "xchunked", "chunked, chunked", "identity, chunked", "chunked, identity", "gzip, chunked", "chunked, gzip",
        "chunked,", ", chunked", ",chunked", "chunked;", "chunked;q=1", "chunked; a=b", '"chunked"', "'chunked'",
        "chun ked", "chunked chunked", "identity", "", " ", "chunk", "chunke", "chunkedd", "cow", "\x00chunked",
        "chunked\x00", "\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\xa0", "\xff", "chunked\r", "\rchunked",
        "CHUNKED", "cHuNkEd", "\tchunked", "chunked\t", "   chunked   ", "deflate", "trailers", "c\u0068unked",
    )  # fmt: skip
    value = p.dice.choice(values).encode("latin-1")
    length = p.dice.choice([(), (), (b"Content-Length: %d" % len(p.text("a")),)])
    more = p.dice.choice([(), (), (), (CHUNKED,), (b"Transfer-Encoding: identity",)])
    fields = [
        b"Transfer-Encoding:" + p.dice.choice([b"", b" "]) + value,
        *length,
        *more,
    ]
    p.dice.shuffle(fields)
    body = p.dice.choice([p.chunked(p.text("a")) + END, p.text("a")])
    return p.head(*fields) + body + p.hidden


def odd_coding_name(p: Parts) -> bytes:
    """A framing field whose name is nearly right."""
    names = (
        "Transfer_Encoding", "Transfer-Encoding ", "Transfer-Encoding\t", " Transfer-Encoding", "\tTransfer-Encoding",
        "Transfer Encoding", "Transfer-Encoding\x00", "Transfer-Encoding\x0b", "TransferEncoding",
        "X-Transfer-Encoding", "Transfer-Encoding\xa0", "Tr\xe4nsfer-Encoding", "Transfer-Encoding:",
        ":Transfer-Encoding", "Coding", "Content_Length", "Content-Length ", " Content-Length", "Content Length",
        "Content-Length\x00", "Content-Length:",
    )  # fmt: skip
    name = p.dice.choice(names).encode("latin-1")
    body, over = p.text("a"), p.hidden
    field = name + (b": 3" if b"Length" in name else b": chunked")
    length = b"Content-Length: %d" % p.dice.choice([len(body), len(body + over)])
    fields = [field, length] if p.coin() else [length, field]
    return p.head(*fields) + body + over


def odd_chunk_size(p: Parts) -> bytes:
    """A chunk size with signs, prefixes, spaces, zeros, or too many digits."""
    body = p.text("a")
    form = p.dice.choice(
        ["0x%x", "%x ", " %x", "%x\t", "+%x", "-%x", "%xh", "%x,", "%x.", '"%x"', "%x\x00", "\x00%x", "%x\x0b", "%x_",
         "0%x", "00000000000000000000%x", "%X", "1%x", "F" * 16 + "%x", "F" * 17, "8000000000000000", "", "-1", "xyz",
         "%x\r", "100000000000000%x", "0" * 300 + "%x", "%x %x", "%x;", "%x  ;a=b"]
    )  # fmt: skip
    size = form % ((len(body),) * form.count("%")) if "%" in form else form
    return p.head(CHUNKED) + size.encode() + CRLF + body + CRLF + END + p.hidden


def odd_chunk_ends(p: Parts) -> bytes:
    """One line end among the chunks is missing, or another."""
    body = p.text("a")
    ends = [CRLF] * 5
    ends[p.dice.randrange(5)] = p.dice.choice([b"\n", b"\r", b"", b"\n\r", b"\r\r\n", b"\r\n\n", b" \r\n", b"\r \n"])
    size, after, last, final, gap = ends
    pieces = [
        b"%x" % len(body),
        size,
        body,
        after,
        b"0",
        last,
        gap if gap != CRLF else b"",
        final,
    ]
    return p.head(CHUNKED) + b"".join(pieces) + p.hidden


def odd_extension(p: Parts) -> bytes:
    """A chunk extension that is empty, huge, quoted, or holds a line end."""
    ext = p.dice.choice(
        [";", ";a", ";a=b", ";a=b;c=d", ' ; a = "b"', ';a="b\\"c"', ';a="\r\n0\r\n\r\n"', ";a\nb", ";a\rb", ";a=\x00",
         ';a="', ";=", ";a=", ";\x7f", ";a=\xff", ";" + "a" * 4000, ";a=b" * 500, ";a;b;c", " ;a", ";a b", ';"a"=b',
         ";a='b'", ";\n0", ";a\r\r\n", ";a=1,2", ";a==b", ";;;"]
    ).encode("latin-1")  # fmt: skip
    last = p.dice.choice([b"", b"", ext])
    framed = p.chunked(p.text("a"), ext=ext if not last else b"") + b"0" + last + CRLF + CRLF
    return p.head(CHUNKED) + framed + p.hidden


def odd_trailer(p: Parts) -> bytes:
    """A trailer that would decide something if it stood in the head, or is malformed."""
    trailer = p.dice.choice(
        ["Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
         "Host: elsewhere", "Authorization: Bearer x", "Connection: close", "X-T: y", "X-T : y", " X-T: y", "X-T",
         "X-T: y\n", "X-T: y\r", "X-T: a\r\n b", ":", "X-T: \x00", "Content-Encoding: gzip", "Expect: 100-continue",
         "Upgrade: h2c\r\nConnection: upgrade", "X-T: y\r\n" * 150 + "X: y", "X-T: " + "z" * 40_000,
         "GET /v1/models HTTP/1.1", "0", "Trailer: X-T", "X-T:y\r\nX-T:z"]
    ).encode()  # fmt: skip
    return p.head(CHUNKED) + p.chunked(p.text("a")) + b"0\r\n" + trailer + CRLF + CRLF + p.hidden


def request_in_a_body(p: Parts) -> bytes:
    """Right: what stands in a body is no request, whatever it looks like."""
    method = p.dice.choice([b"POST", b"POST", b"GET", b"DELETE", b"OPTIONS", b"PUT"])
    body = p.dice.choice([b"", b"\r\n", b"0\r\n\r\n", p.text("a")]) + p.hidden + p.dice.choice([b"", b"\r\n\r\n", b"0"])
    line = p.line(method=method)
    if p.coin():
        return p.head(b"Content-Length: %d" % len(body), line=line) + body
    half = p.dice.randrange(1, len(body))
    return p.head(CHUNKED, line=line) + p.chunked(body[:half]) + p.chunked(body[half:]) + END


def head_with_a_body(p: Parts) -> bytes:
    """HEAD's answer has no body, and its request may have one."""
    body = p.dice.choice([p.hidden, p.text("a"), b""])
    fields, sent = p.dice.choice(
        [
            ([b"Content-Length: %d" % len(body)], body),
            ([CHUNKED], (p.chunked(body) if body else b"") + END),
        ]
    )
    return p.head(*fields, line=p.line(method=b"HEAD")) + sent


def short_or_long_body(p: Parts) -> bytes:
    """The length says less or more than what was meant."""
    body, over = p.text("a"), p.hidden
    length = p.dice.choice(
        [
            len(body) - 1,
            len(body) - 5,
            len(body) + 1,
            len(body) + len(over),
            len(body + over) + 10**6,
        ]
    )
    return p.head(b"Content-Length: %d" % length) + body + over


FAMILIES: tuple[Family, ...] = (
    two_lengths,
    odd_length,
    length_and_chunks,
    odd_coding,
    odd_coding_name,
    odd_chunk_size,
    odd_chunk_ends,
    odd_extension,
    odd_trailer,
    request_in_a_body,
    head_with_a_body,
    short_or_long_body,
)
