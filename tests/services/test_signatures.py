"""Electronic signatures: who may sign, with what, what is shown of it, and that none can be moved or edited."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import ConfigError, NotFound, Refused, Stale
from hilum.model.access import Principal, PrincipalKind, Role, Scope
from hilum.model.identifier import new as new_uuid
from hilum.model.message import NewMessage
from hilum.model.signing import Meaning
from hilum.services.signatures import SignatureView, Wanted
from hilum.store import schema, schema_people
from hilum.store.schema_evidence import signature

pytestmark = pytest.mark.anyio
ADMIN, SPECIALIST, OPERATOR = Role.TENANT_ADMIN, Role.INTEGRATION_SPECIALIST, Role.OPERATOR


def wanted(entity: str, operation: str = "credential.change", **values: Any) -> Wanted:
    return Wanted(**{"version": None, "meaning": Meaning.APPROVAL, **values, "operation": operation, "entity": entity})


async def sign(
    desk: Any, who: Principal, entity: str, operation: str = "credential.change", *, code: str | None = None,
    password: str = "secret", **values: Any,
) -> SignatureView:  # fmt: skip
    act = desk.act(who, "signatures:write", action="signature.create")
    made: SignatureView = await desk.signatures.create(act, wanted(entity, operation, **values), password, code)
    return made


async def rewrite(desk: Any, one: SignatureView, **values: Any) -> None:
    """What the database's owner might do."""
    mine = signature.c.uuid == one.id
    await desk.hub.store.write(lambda each: each.execute(signature.update().where(mine).values(values)))


async def row(desk: Any, one: SignatureView) -> dict[str, Any]:
    query = sa.select(signature).where(signature.c.uuid == one.id)
    found = await desk.hub.store.read(lambda each: each.execute(query).mappings().one())
    return dict(found)


@pytest.mark.ledger_part(
    "S0-21", "printed name, UTC date and time, meaning and the record's digest are stored and shown"
)
async def test_a_signature_says_who_when_and_what_it_means(desk: Any) -> None:
    eva = await desk.person("Eva Müller", ADMIN)
    entity = await desk.credential("lab")
    before = clock.now()
    made = await sign(desk, eva, entity, reason="CR-17")

    assert (made.signer, made.signer_id, made.meaning) == ("Eva Müller", eva.id, "approval")
    assert (made.operation, made.entity, made.version, made.record) == ("credential.change", entity, 1, "current")
    assert before <= made.signed_at <= clock.now()
    assert made.used_at is None
    assert made.signed_at.utcoffset() is not None
    when = made.signed_at.strftime("%Y-%m-%d %H:%M:%S")
    assert made.text == (
        f"Signed by Eva Müller on {when} UTC, meaning: approval; credential.change of {entity}, version 1 (CR-17)"
    )
    scope = Scope(1)
    assert await desk.signatures.show(scope, made.id) == made
    assert await desk.signatures.list(scope, entity, 0, 20) == ([made], 1)
    assert await desk.signatures.list(scope, await desk.credential("other"), 0, 20) == ([], 0)
    verified = await desk.signatures.verify(scope, made.id)
    assert (verified.valid, verified.problem, verified.record_sha256) == (True, "", made.record_sha256)
    [event] = await desk.events("signature.create")
    assert (event["reason"], event["actor"]["name"], event["entity"]) == ("CR-17", "Eva Müller", f"signature/{made.id}")
    assert event["after"]["record_sha256"] == made.record_sha256
    assert "secret" not in json.dumps(event)


@pytest.mark.ledger_part("S0-21", "the first of a session with all components, later ones with the password")
async def test_the_first_signature_of_a_session_needs_everything_and_later_ones_the_password(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN, code=True)
    entity = await desk.credential("lab")
    for password, code in (("secret", None), ("secret", "000000"), ("wrong", "123456")):
        with pytest.raises(Refused):
            await sign(desk, eva, entity, password=password, code=code)
    assert await desk.signatures.list(Scope(1), None, 0, 20) == ([], 0)

    first = await sign(desk, eva, entity, code="123456")
    later = await sign(desk, eva, entity)
    assert desk.proved == ["everything"] * 4 + ["password"]
    with pytest.raises(Refused):
        await sign(desk, eva, entity, password="wrong")
    assert json.loads((await row(desk, first))["document"])["components"] == ["id", "password", "totp"]
    assert json.loads((await row(desk, later))["document"])["components"] == ["id", "password"]

    elsewhere = dataclasses.replace(eva, session=0)
    with pytest.raises(Refused):
        await sign(desk, elsewhere, entity)
    assert desk.proved[-1] == "everything", "out of a session everything is needed"


async def test_a_session_of_somebody_else_or_one_that_ended_counts_for_nothing(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity = await desk.credential("lab")
    await sign(desk, eva, entity)
    await sign(desk, dataclasses.replace(tom, session=eva.session), entity)
    assert desk.proved == ["everything", "everything"]
    ended = schema_people.session.update().where(schema_people.session.c.id == eva.session).values(ended_at=1)
    await desk.hub.store.write(lambda one: one.execute(ended))
    await sign(desk, eva, entity)
    assert desk.proved == ["everything"] * 3


@pytest.mark.parametrize("kind", [PrincipalKind.API_KEY, PrincipalKind.LOCAL, PrincipalKind.SYSTEM])
async def test_only_a_person_signs(desk: Any, kind: PrincipalKind) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    with pytest.raises(Refused, match="only a person can sign"):
        await sign(desk, dataclasses.replace(eva, kind=kind), entity)
    assert desk.proved == []


async def test_nobody_signs_for_what_he_may_not_do(desk: Any) -> None:
    operator = await desk.person("Otto", OPERATOR)
    entity = await desk.credential("lab")
    with pytest.raises(Refused, match="credentials:write"):
        await sign(desk, operator, entity)
    assert desk.proved == []


async def test_what_is_not_there_or_another_ones_cannot_be_signed(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    other = await desk.hub.store.write(
        lambda one: one.execute(
            schema.organization.insert().values(name="other", document={}, uuid=new_uuid(1))
        ).inserted_primary_key[0]
    )
    theirs = await desk.credential("lab", organization=other)
    for entity in (theirs, f"credential/{uuid.uuid4()}", "credential/x", f"lane/{uuid.uuid4()}", theirs.upper()):
        with pytest.raises(NotFound):
            await sign(desk, eva, entity)
    with pytest.raises(ConfigError, match=r"no operation user\.promote"):
        await sign(desk, eva, theirs, "user.promote")


async def test_studies_bound_what_is_signed_and_seen(desk: Any) -> None:
    zebra, lion = await desk.study("zebra"), await desk.study("lion")
    eva = await desk.person("Eva", SPECIALIST, study=zebra)
    tom = await desk.person("Tom", SPECIALIST, study=lion)
    ours, theirs, nobodys = [await desk.credential(name, study) for name, study in
                             (("z", zebra), ("l", lion), ("n", None))]  # fmt: skip
    made = await sign(desk, eva, ours)
    for entity in (theirs, nobodys):
        with pytest.raises(NotFound):
            await sign(desk, eva, entity)
    foreign = desk.act(tom, "signatures:read").scope
    with pytest.raises(NotFound):
        await desk.signatures.show(foreign, made.id)
    with pytest.raises(NotFound):
        await desk.signatures.verify(foreign, made.id)
    assert await desk.signatures.list(foreign, None, 0, 20) == ([], 0)
    assert (await desk.signatures.list(desk.act(eva, "signatures:read").scope, None, 0, 20))[1] == 1


async def test_the_version_that_was_looked_at_must_still_stand(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    await desk.set(schema_people.credential, entity, version=2)
    with pytest.raises(Stale, match="version 2 by now"):
        await sign(desk, eva, entity, version=1)
    assert (await sign(desk, eva, entity, version=2)).version == 2


@pytest.mark.ledger_part("S0-21", "editing the record later shows the signature as superseded")
async def test_a_later_version_supersedes_a_signature_and_a_silent_edit_is_found(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)

    await desk.set(schema_people.credential, entity, fields={"user": "mallory"})
    verified = await desk.signatures.verify(Scope(1), made.id)
    assert (verified.record, verified.valid) == ("altered", False)
    assert "behind the hub's back" in verified.problem

    await desk.set(schema_people.credential, entity, version=2)
    verified = await desk.signatures.verify(Scope(1), made.id)
    assert (verified.record, verified.valid) == ("superseded", True)
    assert [one.record for one in (await desk.signatures.list(Scope(1), entity, 0, 20))[0]] == ["superseded"]


async def test_what_a_signature_was_used_for_makes_the_next_version_and_the_one_after_supersedes_it(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)
    await rewrite(desk, made, used_at=clock.micros())
    for version, state in ((2, "current"), (3, "superseded")):
        await desk.set(schema_people.credential, entity, version=version)
        assert (await desk.signatures.show(Scope(1), made.id)).record == state


async def test_a_record_that_is_gone_leaves_the_signature(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)
    table = schema_people.credential
    await desk.hub.store.write(lambda one: one.execute(table.delete()))
    verified = await desk.signatures.verify(Scope(1), made.id)
    assert (verified.record, verified.valid) == ("gone", True)


async def test_where_a_secret_lies_and_when_it_was_used_is_no_part_of_the_record(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)
    await desk.set(schema_people.credential, entity, sealed=b"sealed anew", key=2, used_at=5)
    assert (await desk.signatures.verify(Scope(1), made.id)).record == "current"


@pytest.mark.ledger_part("S0-21", "copying a signature's row to another record, or editing it, fails verification")
async def test_a_signature_that_was_moved_copied_or_edited_fails(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity, other = await desk.credential("lab"), await desk.credential("other")
    made = await sign(desk, eva, entity)
    kept = await row(desk, made)

    async def problem() -> str:
        verified = await desk.signatures.verify(Scope(1), made.id)
        assert verified.valid is (verified.problem == "")
        return str(verified.problem)

    for change, found in (
        ({"entity": other}, "another entity"),
        ({"user": tom.number}, "another signer"),
        ({"operation": "user.roles"}, "another operation"),
        ({"entity_version": 2}, "another version"),
        ({"stamp": kept["stamp"] + 1_000_000}, "another time"),
        ({"document": kept["document"].replace("approval", "review")}, "the seal does not fit"),
        ({"document": kept["document"].replace("Eva", "Tom")}, "the seal does not fit"),
        ({"document": "{"}, "the seal does not fit"),
        ({"document": "[]"}, "the seal does not fit"),
        ({"seal": bytes(64)}, "the seal does not fit"),
    ):
        await rewrite(desk, made, **change)
        assert found in await problem(), change
        await rewrite(desk, made, **{name: kept[name] for name in change})
    assert await problem() == ""

    copy = {**kept, "id": kept["id"] + 1, "uuid": uuid.uuid4(), "entity": other}
    await desk.hub.store.write(lambda one: one.execute(signature.insert().values(copy)))
    verified = await desk.signatures.verify(Scope(1), copy["uuid"])
    assert not verified.valid
    assert "it was moved here" in verified.problem


async def test_a_damaged_signature_is_still_listed(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)
    await rewrite(desk, made, document="not json")
    [found], _ = await desk.signatures.list(Scope(1), entity, 0, 20)
    assert "damaged" in found.text


async def test_the_signers_name_is_the_one_of_the_moment(desk: Any) -> None:
    eva, entity = await desk.person("Eva Müller", ADMIN), await desk.credential("lab")
    made = await sign(desk, eva, entity)
    await desk.set(schema_people.user, f"user/{eva.id}", name="Eva Schmidt", version=2)
    verified = await desk.signatures.verify(Scope(1), made.id)
    assert (verified.signer, verified.valid) == ("Eva Müller", True)


@pytest.mark.ledger_part("S0-23", "a signed record has its version and SHA-256, and an end point verifies both")
async def test_every_noun_that_can_be_signed_has_a_record(desk: Any, new: Callable[..., NewMessage]) -> None:
    eva = await desk.person("Eva", ADMIN, SPECIALIST)
    message = await desk.hub.store.append(new("m1", desk.hub))
    home = (await desk.home()).partition("/")[2]
    lab = await desk.hub.store.read(lambda one: one.execute(sa.select(schema.integration)).first())
    for operation, entity in (
        ("credential.change", await desk.credential("lab")),
        ("integration.archive", f"integration/{lab.uuid}"),
        ("policy.change", f"organization/{home}"),
        ("configuration.release", f"configuration/{home}"),
        ("user.roles", f"user/{eva.id}"),
        ("message.edit", f"message/{message.uuid}"),
    ):
        made = await sign(desk, eva, entity, operation)
        verified = await desk.signatures.verify(Scope(1), made.id)
        assert (verified.valid, verified.record, verified.version) == (True, "current", made.version)


async def test_two_of_one_account_at_once_are_two_signatures(desk: Any) -> None:
    eva, entity = await desk.person("Eva", ADMIN), await desk.credential("lab")
    made = [await sign(desk, eva, entity) for _ in range(3)]
    found, total = await desk.signatures.list(Scope(1), None, 1, 1)
    assert (total, [one.id for one in found]) == (3, [made[1].id])
