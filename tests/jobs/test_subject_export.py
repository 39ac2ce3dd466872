"""Everything about a person is in one encrypted file: messages, bodies wherever they are, deliveries, audit events."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, HilumError, NotFound, Refused
from hilum.jobs import retention, subject_export
from hilum.model.access import Binding, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act
from hilum.model.delivery import Attempt
from hilum.model.execution import ExecutionState
from hilum.security.envelope import Place
from hilum.store import Connection, archives, execution_blobs, executions, jobs, organizations, schema_activity
from hilum.store.executions import Ended, New
from hilum.store.jobs import Job
from hilum.store.schema import integration

pytestmark = pytest.mark.anyio


async def ask(kept: Any, patient: str = "P4711", format: str = "json", organization: int = 1) -> tuple[Any, Job]:
    """An export that was asked for, and its job."""
    act = kept.act("subject-export.ask", organization)
    asked = await kept.hub.services().subject_exports.ask(act, patient, format, "request 3")
    found = [one for one in await kept.hub.store.read(jobs.open_ones) if one.arguments.get("export") == str(asked.id)]
    return asked, found[0]


async def fetch(kept: Any, identifier: uuid.UUID, organization: int = 1) -> tuple[str, bytes]:
    act = kept.act("subject-export.download", organization)
    name, pieces = await kept.hub.services().subject_exports.file(act, identifier)
    return name, b"".join(pieces)


@pytest.fixture
async def stored(kept: Any, job: Callable[..., Job]) -> list[Any]:
    """Of the patient: one in an archive, with what was sent; one that failed first; one whose body was removed."""
    removed = await kept.receive("removed", days=30)
    await retention.run(kept.context, job("retention"))
    await kept.settings(archive_bodies=True)
    archived = await kept.receive("archived", days=20, made=b"as it was sent")
    await retention.run(kept.context, job("retention"))
    there = await kept.receive("there", days=1)
    tried = [Attempt(there.deliveries[0].id, 1, 5, 1_500, "transient", "busy with P4711")]
    await kept.hub.store.settle((), tried, {}, ())
    await kept.receive("somebody else's", "P4712", days=1)
    await kept.receive("in the south", days=1, organization=2)
    await kept.hub.services().messages.show(kept.act("message.show"), uuid.UUID(there.uuid), payload=True)
    shown = kept.act("message.show")
    shown.entity = f"message/{there.uuid}"
    await kept.hub.services().record(shown)
    return [removed, archived, there]


@pytest.mark.ledger_part(
    "S0-26", "a data subject's export in JSON: messages, bodies, deliveries, attempts, audit events"
)
async def test_all_of_a_person_is_in_one_json_document(kept: Any, stored: list[Any]) -> None:
    _, archived, there = stored
    asked, work = await ask(kept)
    assert (asked.state, asked.patient, asked.messages) == ("waiting", "P4711", 0)
    assert await subject_export.run(kept.context, work) == {"messages": 3, "executions": 0, "events": 1}
    done = await kept.hub.services().subject_exports.show(kept.act("subject-export.read"), asked.id)
    assert (done.state, done.messages, done.written) == ("done", 3, 3)
    (file,) = kept.files("exports")
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, done.bytes)
    assert b"P4711" not in file.read_bytes()
    name, content = await fetch(kept, asked.id)
    assert name == f"hilum-subject-{asked.id}.json"
    found = json.loads(content)
    assert {part: found[part] for part in ("patient", "organization", "reason", "messages_found")} == {
        "patient": "P4711", "organization": "north", "reason": "request 3", "messages_found": 3,
    }  # fmt: skip
    assert [one["id"] for one in found["messages"]] == [one.uuid for one in stored]
    bodies = [one["body"] for one in found["messages"]]
    assert bodies == [None, archived.body.decode(), there.body.decode()]
    (row,) = await kept.hub.store.read(archives.there, 1)
    assert [one["archive"] for one in found["messages"]] == [None, str(row.uuid), None]
    assert [one["sha256"] for one in found["messages"]] == [one.body_hash.hex() for one in stored]
    assert {one["note"] for one in found["messages"]} == {"note of P4711"}
    ways = [one["deliveries"][0] for one in found["messages"]]
    assert [one["body"] for one in ways] == [None, "as it was sent", None]
    assert [(one["destination"], one["route"], one["state"]) for one in ways] == [
        ("lab/out", "adt-to-lab v1", "delivered")
    ] * 3
    assert [(one["outcome"], one["detail"], one["milliseconds"]) for one in ways[2]["attempts"]] == [
        ("transient", "busy with P4711", 1.5)
    ]
    assert [(one["action"], one["entity"]) for one in found["audit_events"]] == [
        ("message.show", f"message/{there.uuid}")
    ]
    assert await kept.bodies(*stored) == {"there"}, "nothing was put back for it"


@pytest.mark.ledger_part("S0-26", "a data subject's export in CSV, safe to open in a spreadsheet")
async def test_the_same_as_tables(kept: Any, stored: list[Any]) -> None:
    asked, work = await ask(kept, format="csv")
    await subject_export.run(kept.context, work)
    name, content = await fetch(kept, asked.id)
    assert name.endswith(".zip")
    tables = {}
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        for one in found.namelist():
            tables[one] = list(csv.DictReader(io.StringIO(found.read(one).decode(), newline="")))
    assert list(tables) == ["about.csv", "messages.csv", "deliveries.csv", "attempts.csv", "executions.csv",
                            "audit_events.csv"]  # fmt: skip
    assert {one["name"]: one["value"] for one in tables["about.csv"]}["patient"] == "P4711"
    assert [one["id"] for one in tables["messages.csv"]] == [one.uuid for one in stored]
    assert [one["body"] for one in tables["messages.csv"]][1:] == [stored[1].body.decode(), stored[2].body.decode()]
    assert [(one["message"], one["body"], one["attempts"]) for one in tables["deliveries.csv"]] == [
        (stored[0].uuid, "", "0"), (stored[1].uuid, "as it was sent", "0"), (stored[2].uuid, "", "1"),
    ]  # fmt: skip
    assert [(one["message"], one["delivery"], one["outcome"]) for one in tables["attempts.csv"]] == [
        (stored[2].uuid, "1", "transient")
    ]
    (event,) = tables["audit_events.csv"]
    assert (event["action"], event["actor"]) == ("message.show", "local:test")
    assert json.loads(event["document"])["entity"] == f"message/{stored[2].uuid}"


async def execute(kept: Any, request: Any, response: Any, organization: int = 1) -> uuid.UUID:
    """An execution that ended, of the organization's laboratory."""
    own, sealer = kept.hub.store.within(organization), kept.hub.store.sealer
    out = await kept.hub.services().names.endpoint(Scope(organization), "lab/out")

    def write(connection: Connection) -> uuid.UUID:
        where = (integration.c.organization == organization, integration.c.name == "lab")
        lab = connection.execute(sa.select(integration.c.id).where(*where)).scalar_one()
        new = New(organization, lab, out, "c-1", "eva", {"data": request}, executions.name())
        number = executions.insert(connection, sealer, new)
        ended = Ended(ExecutionState.COMPLETED, 5, 1, 200, None, {"data": response}, {"error": None, "tries": []})
        assert executions.finish(connection, sealer, number, new.uuid, ended)
        return new.uuid

    found: uuid.UUID = await own.write(write)
    return found


@pytest.mark.ledger_part("S0-26", "a data subject's export has what endpoints were asked and answered about them")
async def test_executions_that_say_the_patients_number_are_in_it(kept: Any) -> None:
    asked_about = await execute(kept, {"patient": ["P4711"]}, None)
    answered = await execute(kept, "MSH|^~\\&\rPID|1||P4711^^^W\r", {"n": 1})
    named = await execute(kept, None, {"P4711": True})
    for other in ("P47111", "XP4711", "P4712"):
        await execute(kept, {"patient": other}, f"text of {other}")
    await execute(kept, {"patient": "P4711"}, None, organization=2)
    act = kept.act("execution.read")
    act.entity = executions.entity(answered)
    await kept.hub.services().record(act)
    asked, work = await ask(kept)
    assert await subject_export.run(kept.context, work) == {"messages": 0, "executions": 3, "events": 1}
    found = json.loads((await fetch(kept, asked.id))[1])
    assert [one["id"] for one in found["executions"]] == [str(one) for one in (asked_about, answered, named)]
    one = found["executions"][0]
    assert (one["request"], one["endpoint"], one["status"]) == (
        {"data": {"patient": ["P4711"]}},
        "lab/out",
        "completed",
    )
    assert [one["entity"] for one in found["audit_events"]] == [f"execution/{answered}"]
    asked, work = await ask(kept, format="csv")
    await subject_export.run(kept.context, work)
    with zipfile.ZipFile(io.BytesIO((await fetch(kept, asked.id))[1])) as packed:
        rows = list(csv.DictReader(io.StringIO(packed.read("executions.csv").decode(), newline="")))
    assert [row["id"] for row in rows] == [str(one) for one in (asked_about, answered, named)]


@pytest.mark.ledger_part("S0-26", "also what was too large to stand in an execution's row")
async def test_what_stands_beside_an_execution_is_in_it(kept: Any) -> None:
    own, sealer = kept.hub.store.within(1), kept.hub.store.sealer
    identifier = await execute(kept, None, None)
    large = [
        execution_blobs.seal(sealer, content, kind)
        for content, kind in ((b'{"patient": "P4711"}', execution_blobs.JSON), (b"%PDF \xff", "application/pdf"))
    ]

    def write(connection: Connection) -> None:
        mine = schema_activity.execution.c.uuid == identifier
        number = connection.execute(sa.select(schema_activity.execution.c.id).where(mine)).scalar_one()
        execution_blobs.insert(connection, number, large)
        told = {"data": None, "processedData": None, "blob": large[0].pointer, "processedBlob": large[1].pointer}
        sealed = sealer.seal(json.dumps(told).encode(), executions.place(identifier, "response"))
        connection.execute(schema_activity.execution.update().where(mine).values(response=sealed))

    await own.write(write)
    asked, work = await ask(kept)
    assert (await subject_export.run(kept.context, work))["executions"] == 1
    (one,) = json.loads((await fetch(kept, asked.id))[1])["executions"]
    assert one["response"] == {"data": {"patient": "P4711"}, "processedData": {"base64": "JVBERiD/"}}


async def test_who_is_in_no_message_gets_an_empty_one(kept: Any) -> None:
    for format in ("json", "csv"):
        asked, work = await ask(kept, "nobody", format)
        assert await subject_export.run(kept.context, work) == {"messages": 0, "executions": 0, "events": 0}
        _, content = await fetch(kept, asked.id)
        if format == "json":
            assert json.loads(content)["messages"] == json.loads(content)["audit_events"] == []


async def test_asking_making_and_failing_are_audited_without_the_patient(kept: Any, stored: list[Any]) -> None:
    _, work = await ask(kept)
    await subject_export.run(kept.context, work)
    with pytest.raises(Conflict, match="cannot become running"):
        await subject_export.run(kept.context, work)
    first, second = await kept.events("subject-export")
    assert [first["action"], second["action"]] == ["subject-export.ask", "subject-export.finish"]
    assert (first["reason"], first["after"]["format"]) == ("request 3", "json")
    assert second["after"]["messages"] == 3
    assert "P4711" not in json.dumps([first, second, work.arguments])


async def test_what_was_interrupted_begins_anew_and_what_fails_says_why(kept: Any, stored: list[Any]) -> None:
    asked, work = await ask(kept)

    class Ended(Exception):
        pass

    class Ending:
        def __init__(self, error: Exception) -> None:
            self.error = error

        async def seal(self, place: Place, plain: bytes) -> tuple[bytes, int]:
            raise self.error

        async def open(self, place: Place, sealed: bytes) -> bytes:
            raise self.error

    with pytest.raises(Ended):  # as where the process ends
        await subject_export.run(dataclasses.replace(kept.context, vault=Ending(Ended())), work)
    read = kept.hub.services().subject_exports.show
    assert (await read(kept.act("subject-export.read"), asked.id)).state == "running"
    await subject_export.run(kept.context, work)
    assert (await read(kept.act("subject-export.read"), asked.id)).state == "done"

    other, failing = await ask(kept)
    with pytest.raises(HilumError, match="no key"):
        await subject_export.run(dataclasses.replace(kept.context, vault=Ending(HilumError("no key"))), failing)
    shown = await read(kept.act("subject-export.read"), other.id)
    assert (shown.state, shown.problem) == ("failed", "no key")
    with pytest.raises(Conflict, match="it is failed"):
        await fetch(kept, other.id)
    assert len(kept.files("exports")) == 1
    assert [one["after"] for one in await kept.events("subject-export.fail")] == [{"problem": "no key"}]


async def test_a_damaged_archive_is_named_where_its_body_is_missing(kept: Any, stored: list[Any]) -> None:
    (file,) = kept.files()
    file.write_bytes(file.read_bytes()[:-1])
    asked, work = await ask(kept)
    await subject_export.run(kept.context, work)
    found = json.loads((await fetch(kept, asked.id))[1])["messages"]
    assert [one["body"] for one in found] == [None, None, stored[2].body.decode()]
    assert found[0]["problem"] is found[2]["problem"] is None
    assert "which cannot be read" in found[1]["problem"]


async def test_a_file_that_was_changed_is_not_handed_out(kept: Any, stored: list[Any]) -> None:
    asked, work = await ask(kept)
    await subject_export.run(kept.context, work)
    (file,) = kept.files("exports")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(Conflict, match=f"export {asked.id} is not what was written"):
        await fetch(kept, asked.id)
    file.unlink()
    with pytest.raises(Conflict, match="cannot be read"):
        await fetch(kept, asked.id)


async def test_nobody_fetches_what_is_another_organizations_or_without_the_payload(
    kept: Any, stored: list[Any]
) -> None:
    asked, work = await ask(kept)
    with pytest.raises(Conflict, match="it is waiting"):
        await fetch(kept, asked.id)
    await subject_export.run(kept.context, work)
    with pytest.raises(NotFound):
        await fetch(kept, asked.id, organization=2)
    exports = kept.hub.services().subject_exports
    for binding in (Binding(Role.TENANT_ADMIN), Binding(Role.OPERATOR, study=7)):
        who = Principal(PrincipalKind.USER, str(uuid.uuid4()), "Eva", 1, (binding,))
        with pytest.raises(Refused, match="messages:payload"):
            await exports.file(Act(who, Scope(1), "subject-export.download"), asked.id)
    theirs, more = await ask(kept, organization=2)
    await subject_export.run(kept.context, more)
    south = json.loads((await fetch(kept, theirs.id, organization=2))[1])
    assert [one["control_id"] for one in south["messages"]] == ["in the south"]
    owners = await kept.hub.store.read(organizations.every)
    for one, owner in ((asked, owners[0]), (theirs, owners[1])):
        (file,) = [path for path in kept.files("exports") if path.name.startswith(str(one.id))]
        assert file.parent.name == str(owner.uuid)
