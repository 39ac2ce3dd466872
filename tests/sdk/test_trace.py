"""What of a request and its answer is kept for whoever looks into a failure: never a secret."""

from __future__ import annotations

from hilum import telemetry
from hilum.sdk import trace


def test_an_address_without_secrets() -> None:
    assert trace.of_url("https://lab.example/v1?id=7&key=abc&a=b+c") == "https://lab.example/v1?id=7&key=***&a=b+c"
    assert trace.of_url("https://lab.example/v1?sig=abc&x=%20") == "https://lab.example/v1?sig=***&x=%20"
    assert trace.of_url("https://eva:pw@lab.example/") == "https://***@lab.example/"
    assert trace.of_url("mllp://lab.example:2575") == "mllp://lab.example:2575"


def test_headers_without_secrets() -> None:
    given = [("Authorization", "Bearer abc"), ("X-Api-Key", "k"), ("Set-Cookie", "sid=1"), ("Accept", "text/plain")]
    hidden = {"Authorization": "***", "X-Api-Key": "***", "Set-Cookie": "***"}
    assert trace.of_headers(given) == {**hidden, "Accept": "text/plain"}


def test_the_beginning_of_a_body() -> None:
    """A secret that stands across the cut is found all the same."""
    telemetry.secrets.add("open-sesame-open-sesame")
    try:
        body = b"a b " * (trace.FIRST // 4 - 1) + b"open-sesame-open-sesame" + b"y z " * 2_250
        assert trace.beginning(body) == "a b " * (trace.FIRST // 4 - 1) + "***y"
        assert trace.beginning(b"\xff\x00") == "\ufffd\x00"
    finally:
        telemetry.secrets.remove("open-sesame-open-sesame")
