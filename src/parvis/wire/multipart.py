"""`multipart/form-data` (RFC 7578), read strictly: what is ambiguous, or beyond a bound, is refused and never guessed.

There is nothing before the first boundary or behind the last; a part has a name and little else; a text is UTF-8.
Files stay where they are: a part is a window on the body. A filename is a sign that a part is a file; of its own text
only the ending is kept, to tell formats apart.
"""

import re
from typing import NamedTuple

from parvis.core.errors import BadRequest

PARTS_MAX = 32
PART_HEAD_BYTES_MAX = 2_048
PART_HEADERS_MAX = 4
NAME_CHARS_MAX = 64
FIELD_BYTES_MAX = 32 << 10
"""Of a part that is no file."""
CONTENT_TYPE_BYTES_MAX = 256

# RFC 2046, section 5.1.1: 1 to 70 of these, the last of them no space; a bare one is a token of RFC 2045.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_TYPE = re.compile(
    rb"multipart/form-data[ \t]*;[ \t]*boundary=(?:\"([^\"\\\r\n]*)\"|([^\s\";,()<>@:\\/\[\]?=]+))\Z", re.IGNORECASE
)
_DISPOSITION = re.compile(
    rb"form-data((?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+=(?:\"[^\"\r\n]*\"|[^\s\";,]+))+)\Z", re.IGNORECASE
)
_PARAMETER = re.compile(rb";[ \t]*([^=]+)=(?:\"([^\"]*)\"|([^\s\";,]+))")
_NAME = re.compile(r"[0-9A-Za-z_.\[\]-]+\Z")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_ENDING = re.compile(rb"\.([0-9A-Za-z]{1,5})\Z")
_PLAIN_ENCODINGS = (b"7bit", b"8bit", b"binary")


class File(NamedTuple):
    """A part that is a file."""

    content: memoryview
    ending: str
    """Of its name, in small letters and without the dot; empty where it has none that is plain."""


class Form(NamedTuple):
    """The parts by their names, in their order. A name that ends in `[]` may stand several times."""

    fields: dict[str, list[str]]
    files: dict[str, File]


class _Head(NamedTuple):
    name: str
    is_file: bool
    ending: str


def read_form(content_type: bytes, body: bytes) -> Form:
    """The form in a body. Raises BadRequest, which says what is wrong with it."""
    boundary = read_boundary(content_type)
    form, view = Form({}, {}), memoryview(body)
    delimiter = b"--" + boundary
    if not body.startswith(delimiter):
        raise _broken("the body does not begin with its boundary")
    place, separator = len(delimiter), b"\r\n" + delimiter
    for _ in range(PARTS_MAX + 1):
        if body[place : place + 2] == b"--":
            if len(body) - place > len(b"--\r\n") or body[place + 2 :] not in (b"", b"\r\n"):
                raise _broken("something stands behind its last boundary")
            return form
        if body[place : place + 2] != b"\r\n":
            raise _broken("a boundary does not end its line")
        head_end = body.find(b"\r\n\r\n", place, place + PART_HEAD_BYTES_MAX)
        if head_end < 0:
            raise _broken(f"the headers of a part do not end within {PART_HEAD_BYTES_MAX} bytes")
        head = _head(body[place + 2 : head_end])
        begin = head_end + 4
        # A part may be empty, and then the line before its end is the one that ends its headers.
        end = body.find(separator, begin - 2)
        if end < 0:
            raise _broken("its last boundary is missing")
        if end < begin and end != begin - 2:
            raise _broken("a boundary stands in the headers of a part")
        _take(form, head, view[begin : max(end, begin)])
        place = end + len(separator)
    raise _broken(f"it has more than {PARTS_MAX} parts")


def read_boundary(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names. Raises BadRequest for every other type."""
    found = _TYPE.match(content_type) if len(content_type) <= CONTENT_TYPE_BYTES_MAX else None
    boundary = b"" if found is None else found[1] if found[1] is not None else found[2]
    if not _BOUNDARY.match(boundary):
        raise BadRequest(
            "Send the file as multipart/form-data, with one boundary in the Content-Type header.",
            code="unsupported_media_type",
        )
    return boundary


def _head(block: bytes) -> _Head:
    lines = block.split(b"\r\n")
    if len(lines) > PART_HEADERS_MAX:
        raise _broken(f"a part has more than {PART_HEADERS_MAX} headers")
    said: dict[bytes, bytes] = {}
    for line in lines:
        header = _HEADER.match(line)
        if header is None or header[1].lower() in said:
            raise _broken("a header of a part cannot be read, or stands twice")
        said[header[1].lower()] = header[2].strip(b" \t")
    if said.get(b"content-transfer-encoding", b"binary").lower() not in _PLAIN_ENCODINGS:
        raise _broken("a part is encoded; send it as it is")
    return _disposition(said.get(b"content-disposition", b""))


def _disposition(value: bytes) -> _Head:
    found = _DISPOSITION.match(value)
    if found is None:
        raise _broken("a part has no Content-Disposition of form-data")
    parameters: dict[bytes, bytes] = {}
    for one in _PARAMETER.finditer(found[1]):
        key = one[1].lower()
        if key in parameters:
            raise _broken("a part says something of itself twice")
        parameters[key] = one[2] if one[2] is not None else one[3]
    name = parameters.get(b"name", b"").decode("ascii", "replace")
    if len(name) > NAME_CHARS_MAX or not _NAME.match(name):
        raise _broken(f"the name of a part is not 1 to {NAME_CHARS_MAX} letters, digits or one of _ . - [ ]")
    filename = parameters.get(b"filename", parameters.get(b"filename*"))
    ending = None if filename is None else _ENDING.search(filename)
    return _Head(name, filename is not None, "" if ending is None else ending[1].decode().lower())


def _take(form: Form, head: _Head, content: memoryview) -> None:
    name = head.name
    if name in form.files or (name in form.fields and (head.is_file or not name.endswith("[]"))):
        raise BadRequest(f"'{name}' stands twice in the form. Send it once.", code="duplicate_key", param=name)
    if head.is_file:
        form.files[name] = File(content, head.ending)
        return
    if len(content) > FIELD_BYTES_MAX:
        raise BadRequest(f"'{name}' is longer than {FIELD_BYTES_MAX} bytes. Shorten it.", param=name)
    try:
        form.fields.setdefault(name, []).append(str(content, "utf-8"))
    except UnicodeDecodeError:
        raise BadRequest(f"'{name}' is not UTF-8.", param=name) from None


def _broken(why: str) -> BadRequest:
    return BadRequest(f"The form cannot be read: {why}.", code="invalid_form")
