"""Forms: what goes in comes out, and what is ambiguous or beyond a bound is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.multipart import FIELD_BYTES_MAX, PARTS_MAX, File, Form, read_boundary, read_form

TYPE = b"multipart/form-data; boundary=XyZ"
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,12}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
# What looks like a boundary is what a reader gets wrong.
CONTENTS = (
    st.lists(st.sampled_from([b"\r\n", b"--", b"XyZ", b"--Xy", b"\r", b"\n", b"\x00", b"sound", b"XyZ--"]), max_size=12)
    .map(b"".join)
    .filter(lambda data: b"\r\n--XyZ" not in b"\r\n" + data)
)


def part(name: str, content: bytes, more: bytes = b"", filename: bytes | None = None) -> bytes:
    said = b"" if filename is None else b'; filename="%b"' % filename
    return b'--XyZ\r\nContent-Disposition: form-data; name="%b"%b\r\n%b\r\n%b\r\n' % (
        name.encode(),
        said,
        more,
        content,
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XyZ--\r\n"


@given(st.dictionaries(NAMES, TEXTS, max_size=8), CONTENTS, st.booleans())
def test_a_form_comes_back_as_it_was_written(fields: dict[str, str], content: bytes, with_end: bool) -> None:  # noqa: FBT001 - drawn
    parts = [part(name, text.encode()) for name, text in fields.items() if b"\r\n--XyZ" not in b"\r\n" + text.encode()]
    body = form(*parts, part("the-file", content, filename=b"../a.WAV"))
    read = read_form(TYPE, body if with_end else body.removesuffix(b"\r\n"))
    assert read.fields == {name: [text] for name, text in fields.items() if "\r\n--XyZ" not in "\r\n" + text}
    assert {name: (bytes(file.content), file.ending) for name, file in read.files.items()} == {
        "the-file": (content, "wav")
    }


@given(st.binary(max_size=400))
def test_whatever_comes_is_a_form_or_a_refusal(data: bytes) -> None:
    for body in (data, b"--XyZ\r\n" + data, form(part("a", data)), b"--XyZ" + data + b"\r\n--XyZ--"):
        try:
            assert isinstance(read_form(TYPE, body), Form)
        except BadRequest as refusal:
            assert refusal.code in {"invalid_form", "invalid_value", "duplicate_key"}  # noqa: PT017 - either is right


@given(st.data())
def test_no_part_of_a_form_is_a_form(data: st.DataObject) -> None:
    body = form(part("model", b"whisper"), part("file", b"sound", filename=b"a.wav")).removesuffix(b"\r\n")
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(BadRequest):
        read_form(TYPE, body[:cut])


def test_a_list_may_have_several_values() -> None:
    read = read_form(TYPE, form(part("of[]", b"word"), part("of[]", b"segment")))
    assert read == Form({"of[]": ["word", "segment"]}, {})


def test_a_file_is_no_copy_and_its_name_is_gone() -> None:
    body = form(part("file", b"sound", b"Content-Type: audio/wav\r\n", b"C:\\secret\\name.of.a.person"))
    file = read_form(TYPE, body).files["file"]
    assert file == File(memoryview(b"sound"), "")
    assert file.content.obj is body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"before\r\n" + form(part("a", b"1")),
        form(part("a", b"1")) + b"behind",
        form(part("a", b"1"), part("a", b"2")),
        form(part("a", b"1"), part("a", b"2", filename=b"x")),
        form(part("a", b"1", filename=b"x"), part("a", b"2")),
        form(part("a", b"1\r\n--XyZa")),
        form(part("a", b"1", b"X: 1\r\nX: 2\r\n")),
        form(part("a", b"1", b"no header\r\n")),
        form(part("a", b"1", b"A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n")),
        form(part("a", b"1", b"X: " + b"x" * 3000 + b"\r\n")),
        form(part("a", b"MQ==", b"Content-Transfer-Encoding: base64\r\n")),
        form(part("", b"1")),
        form(part("a b", b"1")),
        form(part("a" * 65, b"1")),
        form(part("a", b"\xff")),
        form(part("a", b"x" * (FIELD_BYTES_MAX + 1))),
        form(*(part(f"a{n}", b"1") for n in range(PARTS_MAX + 1))),
        b'--XyZ\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--XyZ--',
        b'--XyZ\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\n1\r\n--XyZ--',
        b'--XyZ\nContent-Disposition: form-data; name="a"\n\n1\n--XyZ--',
    ],
)
def test_what_may_mean_two_things_or_too_much_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_form(TYPE, body)


@pytest.mark.parametrize(
    ("said", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b"Multipart/Form-Data;boundary=abc", b"abc"),
        (b'multipart/form-data; boundary="a b:c"', b"a b:c"),
        (b"multipart/form-data; boundary=----WebKitFormBoundaryAb12", b"----WebKitFormBoundaryAb12"),
    ],
)
def test_the_boundary_is_what_the_type_names(said: bytes, boundary: bytes) -> None:
    assert read_boundary(said) == boundary


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"application/json",
        b"multipart/mixed; boundary=abc",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b'multipart/form-data; boundary="a "',
        b"multipart/form-data; boundary=" + b"a" * 71,
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; charset=utf-8; boundary=a",
        b'multipart/form-data; boundary="a\\b"',
    ],
)
def test_every_other_type_is_refused(said: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_boundary(said)
    assert refusal.value.code == "unsupported_media_type"
