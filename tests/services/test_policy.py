"""Policy at work: what is asked for before something is done, and that what was given counts once, with the change."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import ApprovalNeeded, ConfigError, Conflict, NotFound, ReasonNeeded, Refused, SignatureNeeded
from hilum.model import document
from hilum.model.access import HUB, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act, Change
from hilum.model.signing import Meaning
from hilum.services.policy import Intent
from hilum.services.signatures import VALID, SignatureView, Wanted
from hilum.store import Connection, schema, schema_people
from hilum.store.schema_evidence import approval, signature

pytestmark = pytest.mark.anyio
ADMIN, SPECIALIST, OPERATOR = Role.TENANT_ADMIN, Role.INTEGRATION_SPECIALIST, Role.OPERATOR
PRODUCTION = {"environment": "production"}


@pytest.fixture(autouse=True)
async def production(desk: Any) -> None:
    """The organization is in production, with one GxP integration, `lab`, that uses the credential of that name."""
    await desk.home(document=PRODUCTION)
    lab = {
        "name": "lab",
        "gxp": True,
        "endpoints": [{"name": "out", "url": "https://x/", "token": "${secret:lab.password}"}],
    }
    table = schema.integration
    await desk.hub.store.write(
        lambda one: one.execute(table.update().where(table.c.name == "lab").values(document=lab))
    )


async def sign(
    desk: Any, who: Principal, entity: str, operation: str, meaning: Meaning = Meaning.APPROVAL
) -> SignatureView:
    act = desk.act(who, "signatures:write")
    made: SignatureView = await desk.signatures.create(act, Wanted(operation, entity, None, meaning), "secret", None)
    return made


def touch(connection: Connection, entity: str, *, fails: bool = False) -> Change:
    """A change of a credential."""
    table = schema_people.credential
    mine = table.c.uuid == uuid.UUID(entity.partition("/")[2])
    connection.execute(table.update().where(mine).values(version=table.c.version + 1, kind="bearer"))
    if fails:
        raise Conflict("no")
    return Change(None, entity, {"kind": "basic"}, {"kind": "bearer"})


async def change(desk: Any, act: Act, intent: Intent, *, fails: bool = False) -> None:
    """What a route does."""
    await desk.policy.check(act, intent)
    await desk.hub.store.within(1).change(act, touch, intent.entity, fails=fails)


async def used(desk: Any, one: Any, table: sa.Table = signature) -> Any:
    column = table.c.used_at if table is signature else table.c.state
    return await desk.hub.store.read(
        lambda each: each.execute(sa.select(column).where(table.c.uuid == one.id)).scalar()
    )


async def approved(desk: Any, asker: Principal, decider: Principal, intent: Intent) -> Any:
    """The approval of a request that was refused."""
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(asker, reason="CR-17"), intent)
    asked = await desk.approvals.ask(desk.act(asker), refusal.value.request, "CR-17")
    return await desk.approvals.decide(desk.act(decider), asked.id, approve=True, reason="seen")


def roles(who: Principal) -> Intent:
    return Intent("user.roles", f"user/{who.id}", {"roles": ["viewer"]})


@pytest.mark.ledger_part("S0-27", "in production a reason for change is asked for")
async def test_a_reason_is_asked_for_in_production_alone(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    for empty in ("", "   "):
        with pytest.raises(ReasonNeeded, match=r"user\.roles needs a reason"):
            await desk.policy.check(desk.act(eva, reason=empty), roles(eva))
    act = desk.act(eva, reason="she moved")
    await desk.policy.check(act, roles(eva))
    assert act.conditions == [], "there is nothing to use up"
    await desk.home(document={"environment": "test"})
    await desk.policy.check(desk.act(eva), roles(eva))


async def test_an_organization_without_an_environment_counts_as_production(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    await desk.home(document={})
    with pytest.raises(ReasonNeeded):
        await desk.policy.check(desk.act(eva), roles(eva))


async def test_the_hub_itself_is_not_asked_and_whoever_is_at_its_machine_is(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    await desk.policy.check(Act(HUB, Scope(1), "configuration.apply"), roles(eva))
    local = Principal(PrincipalKind.LOCAL, "local:root", "local:root", 1)
    with pytest.raises(ReasonNeeded):
        await desk.policy.check(Act(local, Scope(1), "user.roles"), roles(eva))


@pytest.mark.ledger_part("S0-21", "an unsigned critical operation is refused, naming operation, entity and meanings")
async def test_a_signature_is_asked_for_used_once_and_goes_with_the_change(desk: Any) -> None:
    eva, home = await desk.person("Eva", ADMIN), await desk.home()
    intent = Intent("policy.change", home, {"policy": []})
    with pytest.raises(SignatureNeeded) as refusal:
        await desk.policy.check(desk.act(eva, reason="CR-17"), intent)
    assert (refusal.value.operation, refusal.value.entity) == ("policy.change", home)
    assert refusal.value.meanings == ("authorship", "approval", "responsibility")

    made = await sign(desk, eva, home, "policy.change")
    act = desk.act(eva, reason="CR-17", signature=str(made.id), action="policy.change")
    await desk.policy.check(act, intent)
    assert await used(desk, made) is None, "only with the change"
    await desk.hub.store.within(1).change(act, lambda one: Change(None, home))
    assert await used(desk, made) is not None
    [event] = await desk.events("policy.change")
    assert event["details"] == {"signature": str(made.id)}
    assert event["reason"] == "CR-17"
    again = desk.act(eva, reason="CR-17", signature=str(made.id))
    with pytest.raises(SignatureNeeded, match="was used"):
        await desk.policy.check(again, intent)


async def test_a_signature_must_fit(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    home = await desk.home()
    intent = Intent("policy.change", home)
    fits = await sign(desk, eva, home, "policy.change")
    for given, why in (
        ("", "needs an electronic signature"),
        ("no uuid", "needs an electronic signature"),
        (str(uuid.uuid4()), "no such signature of yours"),
        (str((await sign(desk, tom, home, "policy.change")).id), "no such signature of yours"),
        (str((await sign(desk, eva, home, "retention.change")).id), "for something else"),
        (str((await sign(desk, eva, f"user/{eva.id}", "policy.change")).id), "for something else"),
        (str((await sign(desk, eva, home, "policy.change", Meaning.REVIEW)).id), "means review, which will not do"),
    ):
        with pytest.raises(SignatureNeeded, match=why):
            await desk.policy.check(desk.act(eva, reason="CR-17", signature=given), intent)
    act = desk.act(eva, reason="CR-17", signature=str(fits.id))
    with pytest.raises(SignatureNeeded, match="for version 1, not for 2"):
        await desk.policy.check(act, dataclasses.replace(intent, version=2))
    for kind in (PrincipalKind.API_KEY, PrincipalKind.LOCAL):
        other = dataclasses.replace(eva, kind=kind)
        with pytest.raises(SignatureNeeded, match="only a person"):
            await desk.policy.check(Act(other, Scope(1), "x", reason="CR-17", signature=str(fits.id)), intent)


async def test_a_signature_that_was_edited_moved_or_left_too_long_is_of_no_use(desk: Any) -> None:
    eva, home = await desk.person("Eva", ADMIN), await desk.home()
    intent = Intent("policy.change", home)
    made = await sign(desk, eva, f"user/{eva.id}", "policy.change")
    mine = signature.c.uuid == made.id

    async def rewrite(**values: Any) -> None:
        await desk.hub.store.write(lambda one: one.execute(signature.update().where(mine).values(values)))

    act = desk.act(eva, reason="CR-17", signature=str(made.id))
    await rewrite(entity=home)
    with pytest.raises(SignatureNeeded, match="edited or moved"):
        await desk.policy.check(act, intent)

    made = await sign(desk, eva, home, "policy.change")
    mine = signature.c.uuid == made.id
    await rewrite(stamp=clock.micros() - VALID)
    with pytest.raises(SignatureNeeded, match="edited or moved"):  # its time is in its seal
        await desk.policy.check(desk.act(eva, reason="CR-17", signature=str(made.id)), intent)


async def test_a_signature_is_for_now(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    eva, home = await desk.person("Eva", ADMIN), await desk.home()
    made = await sign(desk, eva, home, "policy.change")
    act = desk.act(eva, reason="CR-17", signature=str(made.id))
    await desk.policy.check(act, Intent("policy.change", home))
    moment = clock.micros() + VALID + 1_000_000
    monkeypatch.setattr(clock, "micros", lambda: moment)
    with pytest.raises(SignatureNeeded, match="too old"):
        await desk.policy.check(act, Intent("policy.change", home))


@pytest.mark.ledger_part("S0-63", "a signature is used up with the change, or not at all")
async def test_a_change_that_fails_uses_nothing_up(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity = await desk.credential("lab")
    intent = Intent("credential.change", entity, {"kind": "bearer"})
    yes = await approved(desk, eva, tom, intent)
    made = await sign(desk, eva, entity, "credential.change")
    given = {"reason": "CR-17", "signature": str(made.id), "approval": str(yes.id)}
    with pytest.raises(Conflict):
        await change(desk, desk.act(eva, **given), intent, fails=True)
    assert (await used(desk, made), await used(desk, yes, approval)) == (None, "approved")
    await change(desk, desk.act(eva, **given), intent)
    assert await used(desk, made) is not None
    assert await used(desk, yes, approval) == "used"
    assert (await desk.signatures.show(Scope(1), made.id)).record == "current", "it stands for the version that it made"


async def test_one_signature_and_many_requests_at_once_make_one_change(desk: Any) -> None:
    eva, home = await desk.person("Eva", ADMIN), await desk.home()
    intent = Intent("policy.change", home)
    made = await sign(desk, eva, home, "policy.change")

    async def once() -> str:
        act = desk.act(eva, reason="CR-17", signature=str(made.id))
        try:
            await desk.policy.check(act, intent)
            await desk.hub.store.within(1).change(act, lambda one: Change(None, home))
        except SignatureNeeded:
            return "refused"
        return "done"

    done = await asyncio.gather(*(once() for _ in range(8)))
    assert sorted(done) == ["done"] + ["refused"] * 7


async def test_a_record_that_moved_between_the_check_and_the_change_stops_it(desk: Any) -> None:
    eva, home = await desk.person("Eva", ADMIN), await desk.home()
    intent = Intent("policy.change", home)
    for values, why in (({"version": 2}, "another version"), ({"title": "Other"}, "another one than the one")):
        made = await sign(desk, eva, home, "policy.change")
        act = desk.act(eva, reason="CR-17", signature=str(made.id))
        await desk.policy.check(act, intent)
        await desk.home(**values)
        with pytest.raises(SignatureNeeded, match=why):
            await desk.hub.store.within(1).change(act, lambda one: Change(None, home))
        assert await used(desk, made) is None


@pytest.mark.ledger_part("S0-27", "the GxP flag of an integration switches on reason, signature and four eyes")
async def test_the_credential_of_a_gxp_integration_needs_a_second_person_and_a_signature(desk: Any) -> None:
    await desk.home(document={"environment": "development"})
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity, other = await desk.credential("lab"), await desk.credential("labyrinth")
    plain, intent = Intent("credential.change", other), Intent("credential.change", entity, {"kind": "bearer"})
    await desk.policy.check(desk.act(eva), plain)
    with pytest.raises(ReasonNeeded):
        await desk.policy.check(desk.act(eva), intent)
    yes = await approved(desk, eva, tom, intent)
    with pytest.raises(SignatureNeeded):
        await desk.policy.check(desk.act(eva, reason="CR-17", approval=str(yes.id)), intent)
    made = await sign(desk, eva, entity, "credential.change")
    act = desk.act(eva, reason="CR-17", approval=str(yes.id), signature=str(made.id), action="credential.change")
    await change(desk, act, intent)
    [event] = await desk.events("credential.change")
    assert event["details"] == {"approval": str(yes.id), "signature": str(made.id)}


async def test_an_approval_is_for_one_request_of_one_person(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity = await desk.credential("lab")
    intent = Intent("credential.change", entity, {"kind": "bearer"}, hidden=b"new password")
    yes = await approved(desk, eva, tom, intent)
    given = {"reason": "CR-17", "approval": str(yes.id)}
    for other in (
        dataclasses.replace(intent, wanted={"kind": "basic"}),
        dataclasses.replace(intent, hidden=b"another password"),
        dataclasses.replace(intent, version=2),
    ):
        with pytest.raises(ApprovalNeeded, match="another request than this one"):
            await desk.policy.check(desk.act(eva, **given), other)
    with pytest.raises(ApprovalNeeded, match="another request than this one"):
        await desk.policy.check(desk.act(tom, **given), intent)
    moved = dataclasses.replace(intent, operation="mapping.change", gxp=True)
    with pytest.raises(ApprovalNeeded, match="for something else"):
        await desk.policy.check(desk.act(eva, **given), moved)
    with pytest.raises(SignatureNeeded):  # the approval fits; now the signature
        await desk.policy.check(desk.act(eva, **given), intent)
    for kind in (PrincipalKind.API_KEY, PrincipalKind.LOCAL):
        with pytest.raises(ApprovalNeeded, match="only a person"):
            await desk.policy.check(Act(dataclasses.replace(eva, kind=kind), Scope(1), "x", **given), intent)


async def test_an_approval_that_waits_was_denied_or_is_too_old_does_not_hold(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    intent = Intent("credential.change", await desk.credential("lab"))
    yes = await approved(desk, eva, tom, intent)
    act = desk.act(eva, reason="CR-17", approval=str(yes.id))
    mine = approval.c.uuid == yes.id
    for values, state in (
        ({"state": "waiting"}, "waiting"), ({"state": "denied"}, "denied"), ({"state": "used"}, "used"),
        ({"state": "approved", "expires_at": clock.micros()}, "expired"),
    ):  # fmt: skip
        await desk.hub.store.write(lambda one, v=values: one.execute(approval.update().where(mine).values(v)))
        with pytest.raises(ApprovalNeeded, match=f"it is {state}"):
            await desk.policy.check(act, intent)


async def test_what_the_second_person_is_shown_holds_no_secret_and_no_more_than_one_can_read(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    entity = await desk.credential("lab")
    intent = Intent("credential.change", entity, {"password": "***"}, hidden=b"hunter2")
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(eva, reason="CR-17"), intent)
    shown = await desk.approvals.ask(desk.act(eva), refusal.value.request, "CR-17")
    assert (shown.wanted, shown.entity_version) == ({"password": "***"}, 1)
    large = dataclasses.replace(intent, wanted={"text": "x" * 10_000})
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(eva, reason="CR-17"), large)
    assert set((await desk.approvals.ask(desk.act(eva), refusal.value.request, "CR-17")).wanted) == {"bytes"}


async def test_an_organizations_own_rules_count(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    zebra = await desk.study("zebra")
    entity = await desk.credential("free", zebra)
    await desk.home(
        settings={"policy": [{"operation": "credential.change", "study": "zebra", "signature": ["review"]}]}
    )
    with pytest.raises(SignatureNeeded) as refusal:
        await desk.policy.check(desk.act(eva), Intent("credential.change", entity))
    assert refusal.value.meanings == ("review",)
    await desk.policy.check(desk.act(eva), Intent("credential.change", await desk.credential("none")))
    await desk.home(settings={"policy": "broken"})
    with pytest.raises(ConfigError):
        await desk.policy.check(desk.act(eva), Intent("credential.change", entity))


async def test_what_is_out_of_ones_studies_is_not_there(desk: Any) -> None:
    zebra, lion = await desk.study("zebra"), await desk.study("lion")
    eva = await desk.person("Eva", SPECIALIST, study=zebra)
    intent = Intent("credential.change", await desk.credential("lab", lion))
    with pytest.raises(NotFound):
        await desk.policy.check(desk.act(eva, "credentials:write"), intent)
    with pytest.raises(NotFound):
        await desk.policy.check(desk.act(eva), Intent("user.roles", f"user/{uuid.uuid4()}"))


async def test_a_configuration_that_makes_it_production_or_has_gxp_needs_a_reason(desk: Any) -> None:
    local = Principal(PrincipalKind.LOCAL, "local:root", "local:root", 1)

    async def check(text: str, reason: str = "") -> Act:
        act = Act(local, Scope(1), "configuration.apply", reason=reason)
        await desk.policy.check_configuration(act, document.load(f"version: 1\n{text}", "hub.yaml"))
        return act

    await check("organization: new\nenvironment: production")
    with pytest.raises(ReasonNeeded):
        await check("organization: demo\nenvironment: development")
    await check("organization: demo", reason="CR-17")
    await desk.home(document={"environment": "development"})
    table = schema.integration
    await desk.hub.store.write(lambda one: one.execute(table.update().values(document={})))
    await check("organization: demo")
    with pytest.raises(ReasonNeeded):
        await check("organization: demo\nenvironment: production")
    with pytest.raises(ReasonNeeded):
        await check("organization: demo\nintegrations: [{name: a, protocol: hl7_v2, gxp: true}]")


async def test_what_is_no_request_of_ones_own_cannot_be_asked_for(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    intent = Intent("credential.change", await desk.credential("lab"))
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(eva, reason="CR-17"), intent)
    request = refusal.value.request
    content, _, mark = request.partition(".")
    for who, text in ((tom, request), (eva, content), (eva, f"{content}.{mark[:-1]}"), (eva, f"x{request}"),
                      (eva, "ü.ü"), (eva, "")):  # fmt: skip
        with pytest.raises(Refused, match="not a request of yours"):
            await desk.approvals.ask(desk.act(who), text, "CR-17")
