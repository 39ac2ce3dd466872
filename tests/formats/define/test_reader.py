"""Files that are none, or of another version, are told."""

from __future__ import annotations

import pytest

from hilum.errors import FormatError
from hilum.formats import define
from hilum.formats.define import Define

OLD = b'xmlns:def="http://www.cdisc.org/ns/def/v2.0"'


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"<ODM ", b"<!DOCTYPE ODM><ODM ", "DTD"),
        (b"</ODM>", b"", "well-formed"),
        (b"odm/v1.3", b"odm/v2.0", "begins with ODM 1.3"),
        (b"def/v2.1", b"def/v2.0", r"Define-XML 2\.1 is read, and this is http://www\.cdisc\.org/ns/def/v2\.0"),
        (b'DefineVersion="2.1.0"', b'DefineVersion="2.1.x"', "this is 2.1.x"),
        (b"MetaDataVersion", b"MetaData", "no MetaDataVersion"),
        (b'<ItemDef OID="IT.DM.AGE"', b'<ItemDef OID="IT.DM.OLD"', "no ItemDef has the OID IT.DM.AGE"),
        (b'Length="12"', b'Length="long"', "Length of IT.DM.USUBJID is no whole number"),
        (b'KeySequence="2"', b'KeySequence="second"', "KeySequence of IT.DM.USUBJID"),
    ],
)
def test_what_is_wrong_is_told(described: Define, before: bytes, after: bytes, reason: str) -> None:
    data = define.write(described)
    assert before in data
    with pytest.raises(FormatError, match=reason):
        define.read(data.replace(before, after))


@pytest.mark.parametrize("data", [b"", b"\0", b"<a/>", b"no", b"<ODM/>"])
def test_what_is_none_is_told(data: bytes) -> None:
    with pytest.raises(FormatError):
        define.read(data)


def test_any_cut_is_told(described: Define) -> None:
    data = define.write(described).rstrip()
    for length in range(0, len(data), 97):
        with pytest.raises(FormatError):
            define.read(data[:length])


def test_variables_stand_in_the_order_of_their_numbers(described: Define) -> None:
    data = define.write(described)
    swapped = data.replace(b'OrderNumber="1"', b'OrderNumber="99"')
    names = [one.variable.name for one in define.read(swapped).tables[0].items]
    assert names[-1] == "STUDYID"
    partly = swapped.replace(b'OrderNumber="3" ', b"")
    assert define.read(partly).tables[0].items[0].variable.name == "STUDYID"
