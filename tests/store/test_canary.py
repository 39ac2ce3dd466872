"""What may name a patient is nowhere on the disk in clear: bodies, notes, attributes, answers, search keys."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hilum.intake.identity import Identify, search_key
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.security.keyring import Keyring
from hilum.store import Store, messages

Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]
CANARIES = ("Zaunkoenig", "Wilhelmine", "CANARY4711", "19310203", "Kanarienweg")
BODY = (
    b"MSH|^~\\&|HIS|SITE|LAB|SITE|20240701||ADT^A01|17|P|2.5\r"
    b"PID|1||CANARY4711^^^MRN||Zaunkoenig^Wilhelmine||19310203|F|||Kanarienweg 3\r"
)


def forms(canary: str) -> list[bytes]:
    """A canary as it may hide: as it is, in other encodings, in a dump's hexadecimal."""
    texts = [canary, canary.upper(), canary.lower()]
    plain = [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
    encoded = [base64.b64encode(text.encode())[:-4] for text in texts]
    return [*plain, *encoded, *(text.encode().hex().encode() for text in texts)]


def found(content: bytes) -> list[str]:
    return [canary for canary in CANARIES for form in forms(canary) if form in content]


async def live(store: Store, arrived: Arrived, queued: Queued) -> None:
    """A patient's messages go through everything that the store writes."""
    identify = Identify(store.hash, 1, 1, "hl7v2", {}, True)
    keys = identify(BODY).keys
    assert search_key(store.hash, 1, "patient", "CANARY4711") in keys
    for n in range(30):
        made = [queued(2, keep=True, body=BODY), queued(3, body=BODY)]
        note = "no code for Wilhelmine Zaunkoenig"
        values = {"note": note, "attributes": {"file": "CANARY4711-19310203.hl7"}, "keys": keys, "deliveries": made}
        new = await store.append(arrived(str(n), BODY, **values))
        end = Settled(made[0].id, 2, new.id, DeliveryState.DELIVERED, 2, 9, "AA")
        tried = Attempt(made[0].id, 1, 5, 5, "transient", "AE|no bed for Zaunkoenig, Kanarienweg 3")
        await store.settle([end], [tried], {2: (made[0].id, 1, 0)}, ())
        store.mark.add(made[1].id)
    late = await store.append(arrived("late", BODY, disposition=Disposition.RECEIVED, attributes={"f": "CANARY4711"}))
    await store.route(late, Disposition.REVIEW, [], "1", "who is Wilhelmine Zaunkoenig?")
    # it is there, for those who have the keys
    assert await store.keys.find(search_key(store.hash, 1, "patient", "CANARY4711"), limit=3)
    assert BODY in (await store.read(messages.bodies, store.sealer, [late.id])).values()


@pytest.mark.anyio
@pytest.mark.ledger_part("S0-25", "fields that may name a patient are sealed at rest")
async def test_no_file_of_the_data_folder_shows_a_patient(
    open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    store = await open_store(folder)
    with capture_logs() as logs:
        await live(store, arrived, queued)
        open_files = tmp_path / "while open"
        shutil.copytree(folder, open_files)
        await store.close()
    assert {path.name for path in open_files.iterdir()} >= {"hub.db", "hub.db-wal", "hub.mark", "keys.db"}
    for path in [*open_files.iterdir(), *folder.iterdir()]:
        assert path.stat().st_size > 0 or path.name.endswith("-wal")
        assert found(path.read_bytes()) == [], path.name
    assert found(str(logs).encode()) == []


@pytest.mark.anyio
@pytest.mark.ledger_part("S0-25", "fields that may name a patient are sealed at rest")
async def test_no_dump_of_postgresql_shows_a_patient(
    role_url: str, owner_url: str, open_store: Open, arrived: Arrived, queued: Queued
) -> None:
    if shutil.which("pg_dump") is None:
        pytest.skip("absent: pg_dump")
    store = await open_store(url=role_url)
    await live(store, arrived, queued)
    command = ["pg_dump", "--inserts", "--dbname", owner_url]
    dump = await asyncio.to_thread(subprocess.check_output, command)
    assert dump.count(b"INSERT INTO public.body") == 31
    assert dump.count(b"INSERT INTO public.search_key") > 0
    assert found(dump) == []


def test_a_canary_is_found_in_every_form() -> None:
    for form in forms(CANARIES[0]):
        assert CANARIES[0] in found(b"\0\1" + form + b"\2")
    assert found(b"nothing") == []


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_errors_do_not_show_what_was_to_be_stored(
    database: str, request: pytest.FixtureRequest, keyring: Keyring, tmp_path: Path
) -> None:
    """A statement that fails is logged as `serve` logs it; its parameters are not."""
    keyring.write(tmp_path / "hub.key")
    code = """
        import asyncio, pathlib, sys
        from hilum import telemetry
        from hilum.errors import StoreError
        from hilum.model.message import Disposition, NewMessage
        from hilum.security.keyring import Keyring
        from hilum.store import Store, configuration

        telemetry.configure()
        folder, url = pathlib.Path(sys.argv[1]), sys.argv[2] or None

        async def refused(work):
            try:
                await work
            except StoreError as error:
                print("refused:", error)

        async def main():
            store = await Store(folder, Keyring.load(folder / "hub.key"), url).open(lambda message: ())
            await store.write(lambda connection: connection.exec_driver_sql("DROP TABLE body"))
            body = b"Kanarienweg"
            names = ("Zaunkoenig", "CANARY4711")
            note = "Wilhelmine"
            await refused(store.append(NewMessage(1, 1, 1, Disposition.ERROR, "", *names, body, b"", note=note)))
            document = {"note": "Wilhelmine", "born": "19310203"}
            await refused(store.write(configuration.put_route, 1, "Zaunkoenig", document, None))

            def lost(connection):
                connection.connection.dbapi_connection.close()
                configuration.put_integration(connection, 1, "Zaunkoenig", document, "api")

            await refused(store.write(lost))

        asyncio.run(main())
    """
    url = request.getfixturevalue("owner_url") if database == "postgresql" else ""
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    refusals = [line for line in run.stdout.splitlines() if line.startswith("refused: cannot store")]
    assert len(refusals) == 3
    assert "foreign key" in refusals[1].lower(), "the reason is told"
    assert run.stdout.count('"commit failed"') == 2
    assert "in put_integration" in run.stdout, "and where it happened"
    assert found((run.stdout + run.stderr).encode()) == []
