"""A key service is where the operator's settings say, but never at an address that hands out a machine's own keys."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from hilum.errors import ConfigError, StoreError
from hilum.security.keys.asking import Asking


def answering(*addresses: str) -> Callable[..., list[tuple[Any, ...]]]:
    """What the system's resolver says."""
    return lambda host, port, *_, **__: [(2, 1, 6, "", (one, port)) for one in addresses]


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254", "https://169.254.169.254:8200/v1", "https://[fd00:ec2::254]",
        "https://[::ffff:169.254.169.254]", "https://metadata.google.internal", "https://0xa9fea9fe",
        "https://2852039166", "https://0251.0376.0251.0376",
    ],
)  # fmt: skip
def test_a_metadata_address_is_no_key_service(url: str) -> None:
    with pytest.raises(ConfigError, match="the address of Vault will not do"):
        Asking("Vault", url)


def test_nor_is_a_name_that_leads_to_one(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is judged; the request goes to one of those that were."""
    service = serve(lambda path, headers, asked, body: (200, {"yes": True}))
    port = int(service.url.rpartition(":")[2])
    asking = Asking("Vault", f"http://localhost:{port}")
    monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.1"))
    assert asking.post("/", b"{}", {}) == {"yes": True}
    asking.close()
    asking = Asking("Vault", f"http://localhost:{port}")
    for addresses in (["169.254.169.254"], ["127.0.0.1", "169.254.169.254"], ["64:ff9b::a9fe:a9fe"]):
        monkeypatch.setattr(socket, "getaddrinfo", answering(*addresses))
        with pytest.raises(StoreError, match="does not answer"):
            asking.post("/", b"{}", {})
    asking.close()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8200", "http://localhost", "http://127.0.0.1", "https://10.0.0.1", "https://[fd00::1]:8200"],
)
def test_private_addresses_are_the_operator_s_word(url: str) -> None:
    Asking("Vault", url).close()
