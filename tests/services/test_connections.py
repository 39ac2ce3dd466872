"""What the report of connections shows of a URL, and how it becomes a table."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hilum.exporting.connected import ConnectionView, place
from hilum.services.connections import COLUMNS, ConnectionReport


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://lab.example.org/orders", ("lab.example.org", None)),
        ("https://LAB.example.org:8443/orders?key=very-secret", ("lab.example.org", 8443)),
        ("sftp://hub:very-secret@files.example.org:22/in", ("files.example.org", 22)),
        ("sftp://hub:very@secret@files.example.org/in", ("files.example.org", None)),
        ("postgresql://${secret:user}:${secret:word}@db.example.org/x", ("db.example.org", None)),
        ("https://${env:LAB_HOST}/orders", ("${env:LAB_HOST}", None)),
        ("https://hub:very-secret@${file:/run/host}:8443/x", ("${file:/run/host}:8443", None)),
        ("mllps://[2001:db8::1]:2575", ("2001:db8::1", 2575)),
        ("mllp://127.0.0.1:2575", ("127.0.0.1", 2575)),
        ("mllp://lab.example.org:99999", ("lab.example.org", None)),
        ("https://lab.example.org?key=very-secret", ("lab.example.org", None)),
        ("https://lab.example.org#very-secret", ("lab.example.org", None)),
        ("https://", (None, None)),
        ("no address", (None, None)),
        ("", (None, None)),
    ],
)
def test_a_host_is_shown_without_who_signs_in(url: str, found: tuple[str | None, int | None]) -> None:
    assert place(url) == found
    assert "very" not in str(place(url))


def view(**changes: Any) -> ConnectionView:
    values = {one.name: None for one in dataclasses.fields(ConnectionView)}
    return ConnectionView(**{**values, "data_categories": [], "legal_basis": [], **changes})


def test_as_a_table_it_has_a_row_an_endpoint() -> None:
    one = view(integration="lab", data_categories=["identity", "x-newborn"], last_test_succeeded=True, port=443)
    header, *rows = ConnectionReport("demo", "now", [one, view()]).rows()
    assert header == list(COLUMNS)
    told = dict(zip(header, rows[0], strict=True))
    assert (told["integration"], told["data_categories"], told["legal_basis"]) == ("lab", "identity x-newborn", "")
    assert (told["last_test_succeeded"], told["port"], told["last_sync"]) == ("true", 443, None)
    assert len(rows) == 2
