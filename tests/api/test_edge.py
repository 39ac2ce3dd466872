"""What an operator writes of the HTTP edge, and what is refused of it."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.api import Edge
from hilum.errors import ConfigError


def test_what_is_read() -> None:
    edge = Edge.read(origins=["HTTPS://Console.example.org/"], proxies=["10.1.2.3/8", "::1"], known=10, body=5)
    assert edge.origins == {"https://console.example.org"}
    assert [str(one) for one in edge.proxies] == ["10.0.0.0/8", "::1/128"]
    assert (edge.known.count, edge.known.seconds, edge.body, edge.docs) == (10, 60, 5, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origins": ["*"]}, {"origins": ["null"]}, {"origins": ["https://"]}, {"origins": ["https://a.org/path"]},
        {"origins": ["https://*.a.org"]}, {"origins": ["https://u@a.org"]}, {"proxies": ["proxy.example.org"]},
        {"proxies": ["10.0.0.0/33"]}, {"body": 0}, {"known": 0}, {"unknown": -1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Edge.read(**wrong)
