"""Bombs below the fields: JSON that is no JSON, or too much of it; keys said twice; bodies and heads by size."""

import gzip
import json
from functools import partial

from parvis.testing.hostile.bomb import CHAT_MODEL, HELLO, MEBIBYTE, Bomb, more, raw

_HELLO = json.dumps(HELLO)
_BODY = _HELLO.encode()
_MODEL = f'"model":"{CHAT_MODEL}"'


def _saying(content: bytes) -> bytes:
    return b'{%b,"messages":[{"role":"user","content":"%b"}]}' % (_MODEL.encode(), content)


def _keys(count: int) -> str:
    return "{" + ",".join(f'"{number:x}":0' for number in range(count)) + "}"


TWICE: tuple[Bomb, ...] = (
    more("a key twice", "duplicate_key", ',"n":1,"n":2'),
    more("a key twice with the same value", "duplicate_key", ',"n":1,"n":1'),
    more("a key twice that decides little", "duplicate_key", ',"temperature":0,"temperature":1'),
    more("a key twice, once in disguise", "duplicate_key", ',"n":1,"\\u006e":8'),
    more("the model twice, once in disguise", "duplicate_key", ',"\\u006dodel":"other-8b"'),
    more("the model twice, all in disguise", "duplicate_key", ',"\\u006d\\u006f\\u0064\\u0065\\u006c":"other-8b"'),
    more("a key twice with spaces", "duplicate_key", ' , "n" : 1 , "n" : 2'),
    more("a key twice, one null", "duplicate_key", ',"stream":true,"stream":null'),
    more("a key twice without effect", "duplicate_key", ',"user":"a","user":"b"'),
    more(
        "an option's key twice",
        "duplicate_key",
        ',"stream":true,"stream_options":{"include_usage":true,"include_usage":false}',
    ),
    more("metadata's key twice", "duplicate_key", ',"metadata":{"a":"b","a":"c"}'),
    more("a bias twice", "duplicate_key", ',"logit_bias":{"1":1,"1":2}'),
    more(
        "a schema's key twice",
        "duplicate_key",
        ',"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","type":"string"}}}',
    ),
    more(
        "a tool's key twice, deep within",
        "duplicate_key",
        ',"tools":[{"type":"function","function":{"name":"f","parameters":{"a":[{"b":{"c":1,"\\u0063":2}}]}}}]',
    ),
    raw(
        "a message's key twice", "duplicate_key", lambda: _saying(b"").replace(b'"content"', b'"content":"a","content"')
    ),
    raw(
        "a role twice, once in disguise",
        "duplicate_key",
        lambda: _saying(b"").replace(b'"content"', b'"r\\u006fle":"system","content"'),
    ),
    raw(
        "an empty body of two models",
        "duplicate_key",
        lambda: f'{{{_MODEL},{_MODEL},"messages":[]}}'.encode().replace(b"[]", b'[{"role":"user","content":""}]'),
    ),
)
NO_JSON: tuple[Bomb, ...] = (
    *(
        more(f"a number that is {what}", "invalid_json", f',"temperature":{number}')
        for what, number in {
            "not one": "NaN",
            "infinite": "Infinity",
            "infinitely low": "-Infinity",
            "octal": "01",
            "positive": "+1",
            "without a head": ".5",
            "without an end": "1.",
            "in base 16": "0x1",
            "an expression": "1e",
            "undefined": "undefined",
        }.items()
    ),
    more("a number beyond floats", "invalid_value", ',"temperature":1e400'),
    more("a number far beyond floats", "invalid_value", ',"temperature":1e999999999'),
    more("a number of many digits", "invalid_value", ',"seed":' + "9" * 400),
    more("a number of a million digits", "invalid_value", ',"seed":' + "9" * 1_000_000),
    *(
        raw(f"a text with {what}", "invalid_json", partial(_saying, content))
        for what, content in {
            "a lone high surrogate": b"\\ud83d",
            "a lone low surrogate": b"\\ude00",
            "surrogates in the wrong order": b"\\ude00\\ud83d",
            "bytes that are no UTF-8": b"\xff",
            "too long a form": b"\xc0\xaf",
            "half a character": b"\xe2\x82",
            "encoded surrogates": b"\xed\xa0\x80",
            "a character beyond all": b"\xf5\x80\x80\x80",
            "a control character": b"\x01",
            "a line end": b"\n",
            "an unknown escape": b"\\x41",
            "half an escape": b"\\u12",
            "a NUL": b"\x00",
        }.items()
    ),
    more("a lone surrogate in a name", "invalid_json", ',"\\ud83d":1'),
    raw("a byte order mark", "invalid_json", lambda: b"\xef\xbb\xbf" + _BODY),
    raw("UTF-16", "invalid_json", lambda: _HELLO.encode("utf-16")),
    raw("UTF-32", "invalid_json", lambda: _HELLO.encode("utf-32")),
    raw("UTF-7", "invalid_json", lambda: _HELLO.encode("utf-7").replace(b'"', b"+ACI-")),
    raw("nothing", "invalid_json", lambda: b""),
    raw("half a body", "invalid_json", lambda: _BODY[:-1]),
    raw("two bodies", "invalid_json", lambda: _BODY * 2),
    raw("a comment", "invalid_json", lambda: _BODY + b"// x"),
    raw("a comma too many", "invalid_json", lambda: _BODY[:-1] + b",}"),
    raw("quotes of another kind", "invalid_json", lambda: _BODY.replace(b'"', b"'")),
    raw("form fields", "invalid_json", lambda: b"model=x&messages=y"),
    raw("XML", "invalid_json", lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    raw("a packed body", "invalid_json", lambda: gzip.compress(_BODY, mtime=0)),
    raw("a list", "invalid_value", lambda: b"[%b]" % _BODY),
    raw("a text", "invalid_value", lambda: json.dumps(_HELLO).encode()),
    raw("null", "invalid_value", lambda: b"null"),
)
MUCH: tuple[Bomb, ...] = (
    raw("brackets", "too_deep", lambda: b'{"model":"a","messages":' + b"[" * 200_000),
    raw("brackets all the way", "invalid_value", lambda: b"[" * MEBIBYTE),
    more("brackets in what nobody reads", "invalid_value", ',"prediction":' + "[" * 50_000),
    more("brackets in metadata", "too_deep", ',"metadata":{"a":' + "[" * 100_000),
    more("objects in objects", "too_many_keys", ',"prediction":' + '{"a":' * 200_000),
    more(
        "objects in objects of a tool",
        "too_deep",
        ',"tools":[{"type":"function","function":{"parameters":' + '{"a":' * 20_000,
    ),
    raw(
        "annotations in annotations",
        "too_deep",
        lambda: _saying(b"").replace(b'"content"', b'"annotations":' + b"[" * 100_000 + b"]" * 100_000 + b',"content"'),
    ),
    raw("keys", "too_many_keys", lambda: _keys(300_000).encode()),
    more("keys of metadata", "too_many_keys", ',"metadata":' + _keys(300_000)),
    more("keys of a prediction", "too_many_keys", ',"prediction":' + _keys(300_000)),
    more(
        "keys of a tool",
        "too_many_keys",
        ',"tools":[{"type":"function","function":{"name":"f","parameters":' + _keys(100_000) + "}}]",
    ),
    more(
        "keys of a small tool",
        "schema_too_large",
        ',"tools":[{"type":"function","function":{"name":"f","parameters":' + _keys(5000) + "}}]",
    ),
    more("the same key a hundred thousand times", "too_many_keys", ',"n":1' * 100_000),
    raw(
        "messages by the megabyte",
        "too_many_keys",
        lambda: json.dumps(
            HELLO | {"messages": [{"role": "user", "content": ""}] * 100_000}, separators=(",", ":")
        ).encode(),
    ),
    raw(
        "prompts by the megabyte",
        "missing_required_parameter",
        lambda: b'{"model":"a","messages":[' + b"{}," * MEBIBYTE + b"{}]}",
    ),
    more("lists by the megabyte", "unknown_parameter", ',"a":[' + "[]," * MEBIBYTE + "[]]"),
    more("tools by the megabyte", "schema_too_large", ',"tools":[' + "[]," * MEBIBYTE + "[]]"),
    more("a bias by the megabyte", "invalid_value", ',"logit_bias":{"1":' + "1" * MEBIBYTE + "}"),
    raw("megabytes of nothing", "request_too_large", lambda: b" " * (4 * MEBIBYTE) + b"{}", 413),
    raw("megabytes of text", "request_too_large", lambda: _saying(b"a" * 4 * MEBIBYTE), 413),
    raw("many megabytes", "request_too_large", lambda: b"{" * (12 * MEBIBYTE), 413),
)
ENCODED: tuple[Bomb, ...] = tuple(
    Bomb(
        f"a body in {encoding}",
        "unsupported_encoding",
        lambda: gzip.compress(_BODY, mtime=0),
        headers={"content-encoding": encoding},
    )
    for encoding in ("gzip", "br", "deflate", "zstd", "compress", "identity, gzip", "gzip, gzip", "x", "GZIP")
)
HEADS: tuple[Bomb, ...] = (
    *(
        Bomb(name, "headers_too_large", lambda: _BODY, status=413, headers=headers)
        for name, headers in {
            "headers": {f"x-{number}": "y" for number in range(101)},
            "ten thousand headers": {f"x-{number}": "y" for number in range(10_000)},
            "a header's value": {"x-y": "z" * 33_000},
            "a header's megabyte": {"x-y": "z" * MEBIBYTE},
            "a header's name": {"x" * 33_000: "z"},
            "headers together": {f"x-{number}": "y" * 500 for number in range(70)},
        }.items()
    ),
    Bomb("a long path", "headers_too_large", lambda: _BODY, path="/v1/" + "x" * 33_000, status=413),
    Bomb("a long query", "headers_too_large", lambda: _BODY, path="/v1/chat/completions?" + "x" * 33_000, status=413),
)
BOMBS = (*TWICE, *NO_JSON, *MUCH, *ENCODED, *HEADS)
