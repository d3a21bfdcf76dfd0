"""The header fields that decide something here, and what each says of its request. All others pass unread."""

from collections.abc import Callable

from parvis.api.inference.call import Call
from parvis.api.inference.strictness import closes, is_host
from parvis.core.errors import BadRequest


def _authorization(call: Call, value: bytes) -> None:
    if call.authorization is not None:
        raise BadRequest("Send one Authorization header.", code="invalid_http")
    call.authorization = value
    call.credential = _bearer(value)


def _bearer(value: bytes) -> str | None:
    """The bearer credential, or None. Anything that is not ASCII cannot be a key."""
    scheme, _, credential = value.partition(b" ")
    if scheme.lower() != b"bearer" or not credential.isascii():
        return None
    return credential.strip().decode() or None


def _connection(call: Call, value: bytes) -> None:
    # The parser obeys both names, and lets keep-alive win over close in HTTP/1.0.
    call.closes = call.closes or (value != b"keep-alive" and closes(value))


def _content_encoding(call: Call, value: bytes) -> None:
    call.content_encoding += b", " + value.lower() if call.content_encoding else value.lower()


def _content_length(call: Call, value: bytes) -> None:
    """That it is a number, and the only one, is the parser's to see."""
    if value.isdigit():
        call.length = int(value)


def _content_type(call: Call, value: bytes) -> None:
    if call.content_type:
        raise BadRequest("Send one Content-Type header.", code="invalid_http")
    call.content_type = value


def _expect(call: Call, value: bytes) -> None:
    call.expects_continue = value.lower() == b"100-continue"


def _host(call: Call, value: bytes) -> None:
    call.hosts += 1 if is_host(value) else 2


def _idempotency_key(call: Call, value: bytes) -> None:
    if call.idempotency_key is not None:
        raise BadRequest("Send one Idempotency-Key header.", code="invalid_http")
    call.idempotency_key = value


def _origin(call: Call, value: bytes) -> None:
    call.origin = value


def _transfer_encoding(call: Call, value: bytes) -> None:
    if value.lower() != b"chunked":
        raise BadRequest("Transfer-Encoding can only be chunked.", code="invalid_http")
    call.chunked = True


FIELDS: dict[bytes, Callable[[Call, bytes], None]] = {
    b"authorization": _authorization,
    b"connection": _connection,
    b"content-encoding": _content_encoding,
    b"content-length": _content_length,
    b"content-type": _content_type,
    b"expect": _expect,
    b"host": _host,
    b"idempotency-key": _idempotency_key,
    b"origin": _origin,
    b"proxy-connection": _connection,
    b"transfer-encoding": _transfer_encoding,
}
"""By their names in small letters. Each raises BadRequest for what may not be said, or not twice."""
