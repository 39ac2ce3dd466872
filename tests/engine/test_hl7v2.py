"""HL7 v2 over MLLP from end to end, as the requirements list it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from hilum.formats import mllp
from hilum.model.delivery import DeliveryState
from hilum.sdk.testing.mllp import mllp_client

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]


@pytest.mark.ledger("S3-09")
async def test_hl7_v2_over_mllp_as_it_is_listed(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    """Framing and partial frames, TLS, both modes, open connections, ACK time-out, duplicates, characters."""
    authority = trustme.CA()
    files = hub.config_folder
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(files / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    lab = await partners()
    lab.next.append([0.6, "AA"])  # later than the time-out: the message is sent again, the late ACK is nobody's
    source = {"url": "mllps://127.0.0.1:0", "tls": {"certificate": str(files / "server.pem")}}
    target = {"url": f"mllp://127.0.0.1:{lab.port}", "timeout": 300}
    await hub.start(config({"lab": target}, {"adt": source}))
    async with mllp_client(hub.port(), context) as client:
        for piece in (b"noise\x0b", adt("M1")[:30], adt("M1")[30:], b"\x1c", b"\r"):
            client.writer.write(piece)
            await client.writer.drain()
        original = await client.answer()
        assert (original["MSA-1"], original["MSA-2"], original["MSH-9.1"]) == ("AA", "M1", "ACK")
        client.put(adt("M2", wishes="|||AL|AL"))
        commit, judgement = await client.answer(), await client.answer()
        assert [(one["MSA-1"], one["MSA-2"]) for one in (commit, judgement)] == [("CA", "M2"), ("AA", "M2")]
        assert commit["MSH-10"] != judgement["MSH-10"]
        again = await client.ask(adt("M1"))
        assert (again["MSA-1"], again["MSH-10"]) == ("AA", original["MSH-10"])
        latin = adt("M3", wishes="||||||8859/1").decode().replace("GENERAL|HUB", "Süd|HUB").encode("latin-1")
        client.writer.write(mllp.frame(latin))
        answer = await client.answer()
        assert b"|S\xfcd|" in bytes(answer)
        assert answer["MSH-6"] == "Süd"
    await lab.until(4)
    assert lab.controls == ["M1", "M1", "M2", "M3"]
    assert lab.received[3] == latin
    found = await hub.become(DeliveryState.DELIVERED)
    assert [one.attempts for one in found] == [2, 1, 1]
    assert lab.accepted == 2  # a new one after the time-out alone
