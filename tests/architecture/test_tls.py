"""Nothing in the source lets a partner go unproven, or speaks something older than TLS 1.2."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "hilum"
ALLOWED = {
    "sdk/tls.py: CERT_NONE",  # of a listener that asks its clients for no certificate
    "sdk/authentication/certificate.py: SSLContext",  # to see whether an authority can be read; it connects nowhere
}
OFF = {"verify", "ssl", "verify_ssl", "check_hostname"}
BARE = {"CERT_NONE", "check_hostname", "_create_unverified_context", "PROTOCOL_TLS", "PROTOCOL_SSLv23", "SSLContext"}


def bare(tree: ast.AST) -> Iterator[str]:
    """Names that switch something off, contexts that begin with nothing on, and `verify=False`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BARE - {"SSLContext"}:
            yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in BARE:
            yield node.func.attr
        if isinstance(node, ast.keyword) and node.arg in OFF and ast.unparse(node.value) == "False":
            yield f"{node.arg}=False"
        if isinstance(node, ast.Attribute) and node.attr in ("TLSv1", "TLSv1_1", "SSLv3", "MINIMUM_SUPPORTED"):
            yield node.attr


def test_no_check_is_switched_off_anywhere() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in ROOT.rglob("*.py")
        for name in bare(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    "bad",
    [
        "context.check_hostname = False", "context.verify_mode = ssl.CERT_NONE", "httpx.AsyncClient(verify=False)",
        "ssl._create_unverified_context()", "ssl.SSLContext(ssl.PROTOCOL_TLS)",
        "context.minimum_version = ssl.TLSVersion.TLSv1_1",
    ],
)  # fmt: skip
def test_what_is_dangerous_is_seen(bad: str) -> None:
    assert list(bare(ast.parse(bad)))
