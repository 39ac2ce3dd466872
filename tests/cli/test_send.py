"""Files are sent, each message waits for its answer, and the exit code tells whether all were taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from hilum.cli.demo.partners import reliable


class Listed:
    """Remembers control ids; refuses those that are listed."""

    def __init__(self, refused: dict[str, tuple[str, str]]) -> None:
        self.refused = refused
        self.seen: list[str] = []

    def __call__(self, control: str) -> tuple[str, str]:
        self.seen.append(control)
        return self.refused.get(control, ("AA", ""))


@pytest.fixture
def port(free_ports: Callable[[int], list[int]]) -> int:
    return free_ports(1)[0]


def test_each_message_is_answered(
    call: Callable[..., Any], partner: Callable[..., None], adt: Callable[..., bytes], tmp_path: Path, port: int
) -> None:
    temper = Listed({})
    partner(port, temper)
    (tmp_path / "two.hl7").write_bytes((adt("A") + adt("B")).replace(b"\r", b"\n"))
    (tmp_path / "one.hl7").write_bytes(adt("C"))
    shown = call("send", tmp_path / "two.hl7", tmp_path / "one.hl7", "--to", f"mllp://127.0.0.1:{port}")
    assert (shown.code, shown.err) == (0, "")
    assert temper.seen == ["A", "B", "C"]
    assert "AA" in shown.out
    assert f"3 sent to mllp://127.0.0.1:{port}" in shown.out


def test_a_refusal_is_shown_and_fails(
    call: Callable[..., Any], partner: Callable[..., None], adt: Callable[..., bytes], tmp_path: Path, port: int
) -> None:
    partner(port, Listed({"B": ("AE", "no such ward"), "C": ("AR", "not you")}))
    (tmp_path / "three.hl7").write_bytes(adt("A") + adt("B") + adt("C"))
    shown = call("send", tmp_path / "three.hl7", "--to", f"mllp://127.0.0.1:{port}")
    assert shown.code == 1
    assert shown.err == "error: B: AE: no such ward\nerror: C: AR: not you\n"
    found = call("send", tmp_path / "three.hl7", "--to", f"mllp://127.0.0.1:{port}", "--json")
    assert found.code == 1
    assert (found.json["sent"], found.json["failed"], found.json["codes"]) == (3, 2, {"AA": 1, "AE": 1, "AR": 1})


def test_counting_on_gives_new_control_ids(
    call: Callable[..., Any], partner: Callable[..., None], adt: Callable[..., bytes], port: int
) -> None:
    temper = Listed({})
    partner(port, temper)
    text = (adt("A") + adt("B")).decode()
    assert call("send", "-", "--to", f"mllp://127.0.0.1:{port}", "--count", 5, "--rate", 1000, stdin=text).code == 0
    assert temper.seen == ["A", "B", "A-1", "B-1", "A-2"]


def test_nobody_listens(call: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path, port: int) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("A"))
    shown = call("send", tmp_path / "one.hl7", "--to", f"mllp://127.0.0.1:{port}", "--count", 9)
    assert shown.code == 1
    assert "cannot connect" in shown.err
    assert "error: 9 not sent" in shown.err


def test_a_wrong_address_is_refused(call: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("A"))
    shown = call("send", tmp_path / "one.hl7", "--to", "http://127.0.0.1:1")
    assert shown.code == 1
    assert "mllp://host:port" in shown.err


def test_over_tls(
    call: Callable[..., Any], start: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path, port: int
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "hub.yaml").write_text(
        "version: 1\nintegrations:\n  - name: feed\n    protocol: hl7_v2\n    endpoints:\n"
        f'      - {{name: in, direction: inbound, url: "mllps://127.0.0.1:{port}", '
        f'tls: {{certificate: "{tmp_path}/cert.pem", key: "{tmp_path}/key.pem"}}}}\n'
    )
    process = start("serve", "--config", "hub.yaml", "--data", "data", "--http", "127.0.0.1:0")
    process.says("source runs")
    (tmp_path / "one.hl7").write_bytes(adt("A"))
    command = ("send", tmp_path / "one.hl7", "--to", f"mllps://127.0.0.1:{port}")
    assert call(*command, "--tls-ca", tmp_path / "ca.pem").code == 0
    untrusted = call(*command)
    assert untrusted.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted.err


def test_the_reliable_temper() -> None:
    assert reliable("x") == ("AA", "")
