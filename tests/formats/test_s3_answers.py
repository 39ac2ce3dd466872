from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.s3_answers import Answer, read


def test_an_error() -> None:
    found = read(
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access &lt;Denied&gt;</Message></Error>"
    )
    assert found == Answer("Error", {"Code": "AccessDenied", "Message": "Access <Denied>"}, [])


def test_a_list_in_s3_s_namespace() -> None:
    found = read(
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated>'
        b"<Contents><Key>a%20b</Key><ETag>&quot;e&quot;</ETag><Owner><ID>x</ID></Owner></Contents>"
        b"<Contents><Key>c</Key></Contents><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    assert found.name == "ListBucketResult"
    assert found.values == {"Name": "b", "IsTruncated": "true"}
    assert found.items == [
        ("Contents", {"Key": "a%20b", "ETag": '"e"', "Owner": ""}), ("Contents", {"Key": "c"}),
        ("CommonPrefixes", {"Prefix": "d/"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no XML"), (b"<html><body>busy</html>", "is no XML"), (b"\xff\xfe", "is no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "has a document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "has a document type"),
        (b"<a>&b;</a>", "is no XML"),
        (b"<a>" * 17 + b"</a>" * 17, "larger than any"), (b"<a>" + b"<b/>" * 200_001 + b"</a>", "larger than any"),
    ],
)  # fmt: skip
def test_what_no_store_answers_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read(content)


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(FormatError):  # nothing else is raised
        read(content)
