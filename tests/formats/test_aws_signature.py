"""Our signatures are botocore's, whatever the key of an object is called."""

from __future__ import annotations

import datetime
import hashlib
import urllib.parse
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]  # it ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # it ships no types
from botocore.credentials import Credentials  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.aws_signature import EMPTY, Key, Place, canonical, path_of, query_of, sign

EXAMPLE = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MOMENT = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
HOST = "examplebucket.s3.amazonaws.com"

odd = st.text(st.sampled_from("ab/ +%~=&?#ü€😀\\'\"()*!@:;,$[]{}<>|^`.-_\t\u0301"), max_size=30)
names = st.text(st.sampled_from("abcdefghijklmnop-"), min_size=1, max_size=10)
values = st.text(st.sampled_from("abc XYZ/=+,;0"), max_size=20)


def theirs(
    method: str, path: str, query: str, headers: dict[str, str], body_sha256: str, key: Key, place: Place
) -> tuple[str, str]:
    """The canonical request and the value of Authorization that botocore makes."""
    credentials = Credentials(key.id, key.secret, key.token or None)
    signer = S3SigV4Auth(credentials, place.service, place.region)
    url = f"https://{headers['host']}{path}" + (f"?{query}" if query else "")
    request: Any = AWSRequest(method, url, {**headers, "X-Amz-Content-SHA256": body_sha256})
    request.context.update(timestamp=MOMENT.strftime("%Y%m%dT%H%M%SZ"), payload_signing_enabled=True)
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if key.token:
        request.headers["X-Amz-Security-Token"] = key.token
    # add_auth takes the time from the clock: its parts are asked one after the other
    signer.payload = lambda _: body_sha256
    text = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, text), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    shown = f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"
    return text, shown


@pytest.mark.parametrize(
    ("method", "path", "pairs", "headers", "body", "signature"),
    [
        (
            "GET", "/test.txt", [], {"range": "bytes=0-9"}, b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT", "/test$file.text", [],
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET", "/", [("lifecycle", "")], {}, b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET", "/", [("prefix", "J"), ("max-keys", "2")], {}, b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)  # fmt: skip
def test_the_documentation_s_examples(
    method: str, path: str, pairs: list[tuple[str, str]], headers: dict[str, str], body: bytes, signature: str
) -> None:
    """Amazon S3 API reference, "Signature Calculations for the Authorization Header", examples."""
    found = sign(
        method, path_of(path), query_of(pairs), {"host": HOST, **headers}, hashlib.sha256(body).hexdigest(), EXAMPLE,
        Place("us-east-1"), MOMENT,
    )  # fmt: skip
    assert found["authorization"].endswith(f"Signature={signature}")


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]), odd, st.lists(st.tuples(names, odd), max_size=4),
    st.dictionaries(names.map(lambda name: f"x-amz-meta-{name}"), values, max_size=4), st.binary(max_size=20),
    st.sampled_from(["", "a/session+token="]), st.sampled_from(["us-east-1", "eu-central-1", "auto"]),
)  # fmt: skip
def test_a_signature_is_botocore_s(
    method: str, name: str, pairs: list[tuple[str, str]], headers: dict[str, str], body: bytes, token: str, region: str
) -> None:
    key, place = Key("AKID", "se/cr+et", token), Place(region)
    path, query, digest = path_of(f"/bucket/{name}"), query_of(pairs), hashlib.sha256(body).hexdigest()
    given_headers = {"host": HOST, **headers}
    own = sign(method, path, query, given_headers, digest, key, place, MOMENT)
    text, shown = theirs(method, path, query, given_headers, digest, key, place)
    assert canonical(method, path, query, {**given_headers, **own}, digest)[0] == text
    assert own["authorization"] == shown


@given(odd)
def test_a_path_is_what_was_encoded_and_nothing_else(name: str) -> None:
    path = path_of(f"/{name}")
    assert urllib.parse.unquote(path) == f"/{name}"
    assert path.isascii()
    assert not set(path) & set(' ?#+&=\\"<>')


def test_no_secret_is_shown() -> None:
    key = Key("AKID", "canary-secret", "canary-token")
    assert "canary" not in repr(key)
    found = sign("GET", "/", "", {"host": HOST, "user-agent": "hilum"}, EMPTY, key, Place("eu-west-1"), MOMENT)
    assert "canary-secret" not in str(found)
    assert "user-agent" not in found["authorization"]
    assert found["x-amz-security-token"] == "canary-token"


def test_the_moment_is_told_in_utc() -> None:
    there = datetime.timezone(datetime.timedelta(hours=2))
    found = sign("GET", "/", "", {"host": HOST}, EMPTY, EXAMPLE, Place("eu-west-1"), MOMENT.astimezone(there))
    assert found["x-amz-date"] == "20130524T000000Z"
