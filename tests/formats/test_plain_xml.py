"""XML from elsewhere: a DTD is refused before anything of it is used, and memory has a bound."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest

from hilum.errors import DataError, FormatError
from hilum.formats import plain_xml

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY l0 "ha">%s]>
<a>&l9;</a>""" % b"".join(b'<!ENTITY l%d "%s">' % (number, b"&l%d;" % (number - 1) * 10) for number in range(1, 10))


def seen(data: bytes, *tags: str) -> list[tuple[str, str]]:
    return [(event, element.tag) for event, element in plain_xml.events(io.BytesIO(data), tags)]


def with_entity(path: Path) -> bytes:
    return f'<!DOCTYPE a [<!ENTITY x SYSTEM "{path.as_uri()}">]><a b="1">&x;</a>'.encode()


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
        b'<!-- first --><!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]><a/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>'.encode("utf-16"),
    ],
)
def test_a_dtd_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="DTD"):
        plain_xml.root(io.BytesIO(data))
    with pytest.raises(FormatError, match="DTD"):
        plain_xml.document(data)


def test_an_external_entity_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("told")
    with pytest.raises(FormatError, match="DTD"):
        plain_xml.root(io.BytesIO(with_entity(secret)))
    with pytest.raises(FormatError, match="DTD"):
        plain_xml.document(with_entity(secret))
    for _, element in plain_xml.events(
        io.BytesIO(with_entity(secret)), ["a"]
    ):  # and whoever did not ask learns nothing
        assert "told" not in (element.xpath("string()") or "")


def test_the_root_says_its_name() -> None:
    data = b'<?xml version="1.0"?>\n<!-- why --><?do it?>\n<p:a xmlns:p="urn:x" b="1" p:c="2"><d/>'
    assert plain_xml.root(io.BytesIO(data)) == ("{urn:x}a", {"b": "1", "{urn:x}c": "2"})


@pytest.mark.parametrize("data", [b"", b"\0", b"text", b"<", b"<!-- ", b"  ", b"<?xml version='1.0'?>"])
def test_what_has_no_root_is_no_xml(data: bytes) -> None:
    with pytest.raises(FormatError, match="no XML"):
        plain_xml.root(io.BytesIO(data))


def test_a_root_has_to_come_soon() -> None:
    with pytest.raises(FormatError, match="first megabyte"):
        plain_xml.root(io.BytesIO(b"<!-- " + b"x" * (2 << 20) + b" --><a/>"))


def test_events_are_those_of_the_tags() -> None:
    data = b'<a xmlns="urn:x"><b><c/></b><!-- --><d><b/></d></a>'
    assert seen(data, "{urn:x}b", "{*}d") == [
        ("start", "{urn:x}b"), ("end", "{urn:x}b"), ("start", "{urn:x}d"), ("start", "{urn:x}b"), ("end", "{urn:x}b"),
        ("end", "{urn:x}d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data", [b"<a><b></a>", b"<a>", b"<a/><a/>", b"<a>&nbsp;</a>", b"<a b='1' b='2'/>", b"<a>\xff</a>"]
)
def test_what_is_not_well_formed_is_told(data: bytes) -> None:
    with pytest.raises(FormatError, match="well-formed"):
        seen(data, "b")
    with pytest.raises(FormatError):
        plain_xml.document(data)


def test_nothing_is_nested_without_end() -> None:
    with pytest.raises(FormatError, match="well-formed"):
        seen(b"<a>" * 100_000, "a")


def test_an_element_has_a_bound() -> None:
    class Endless(io.RawIOBase):
        read_ = 0

        def read(self, size: int = -1) -> bytes:
            self.read_ += size
            return b"<a>" if self.read_ == size else b"<b/>" * (size // 4)

    stream = Endless()
    with pytest.raises(FormatError, match="64 MB"):
        list(plain_xml.events(stream, ["a"]))  # type: ignore[arg-type]  # a stream that has no end
    assert stream.read_ < 80 << 20


def test_a_document_has_a_bound() -> None:
    with pytest.raises(FormatError, match="64 MB"):
        plain_xml.document(b"<a>" + b" " * (65 << 20) + b"</a>")


@pytest.mark.parametrize("text", ["a\0", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_a_text_that_xml_has_not_is_told(text: str) -> None:
    with pytest.raises(DataError, match=r"V: XML 1\.0 cannot hold a character of its label"):
        plain_xml.fit(text, "label", "V")
    if text != "\ud800":  # which Arrow has not either
        assert plain_xml.unfit(pa.array(["fine", None, text], pa.string())) == [2]


def test_other_texts_fit() -> None:
    for text in ("", "a\tb\r\n", "<&>\"'", "ünïcode 🌱", "\x7f\x85\u2028"):
        assert plain_xml.fit(text, "label") == text
        assert plain_xml.unfit(pa.array([text])) == []
