"""Four eyes: one asks, another one decides, and it is done once or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Any

import pytest

from hilum import clock
from hilum.errors import ApprovalNeeded, Conflict, NotFound, Refused
from hilum.model.access import Principal, PrincipalKind, Role, Scope
from hilum.services.approvals import HOLDS, ApprovalView
from hilum.services.policy import Intent
from hilum.store.schema_evidence import approval

pytestmark = pytest.mark.anyio
ADMIN, SPECIALIST, OPERATOR = Role.TENANT_ADMIN, Role.INTEGRATION_SPECIALIST, Role.OPERATOR


async def ask(desk: Any, who: Principal, entity: str, **wanted: Any) -> ApprovalView:
    intent = Intent("credential.change", entity, wanted, gxp=True)
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(who, reason="CR-17"), intent)
    made: ApprovalView = await desk.approvals.ask(
        desk.act(who, action="approval.ask"), refusal.value.request, "new password"
    )
    return made


async def decide(
    desk: Any, who: Principal, one: uuid.UUID, *, approve: bool = True, reason: str = "seen"
) -> ApprovalView:
    act = desk.act(who, "approvals:write", action="approval.approve" if approve else "approval.deny")
    made: ApprovalView = await desk.approvals.decide(act, one, approve=approve, reason=reason)
    return made


async def rewrite(desk: Any, one: ApprovalView, **values: Any) -> None:
    mine = approval.c.uuid == one.id
    await desk.hub.store.write(lambda each: each.execute(approval.update().where(mine).values(values)))


async def test_one_asks_and_another_one_decides(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity = await desk.credential("lab")
    asked = await ask(desk, eva, entity, kind="bearer")
    assert (asked.state, asked.asked_by, asked.decided_by) == ("waiting", "Eva", None)
    assert (asked.operation, asked.entity, asked.wanted) == ("credential.change", entity, {"kind": "bearer"})
    assert asked.expires_at - asked.asked_at == (clock.from_micros(HOLDS) - clock.from_micros(0))

    done = await decide(desk, tom, asked.id)
    assert (done.state, done.decided_by, done.decision, done.asked_by) == ("approved", "Tom", "seen", "Eva")
    assert done == await desk.approvals.show(Scope(1), asked.id)
    [event] = await desk.events("approval.approve")
    assert (event["entity"], event["before"], event["after"]) == (
        f"approval/{asked.id}", {"state": "waiting"}, {"state": "approved"}
    )  # fmt: skip
    assert (event["actor"]["name"], event["reason"], event["details"]["of"]) == ("Tom", "seen", entity)
    [event] = await desk.events("approval.ask")
    assert (event["actor"]["name"], event["reason"]) == ("Eva", "new password")


async def test_a_denial_is_kept_with_its_reason(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    asked = await ask(desk, eva, await desk.credential("lab"))
    done = await decide(desk, tom, asked.id, approve=False, reason="not on a Friday")
    assert (done.state, done.decision) == ("denied", "not on a Friday")
    [event] = await desk.events("approval.deny")
    assert event["after"] == {"state": "denied"}


async def test_nobody_approves_himself(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    asked = await ask(desk, eva, await desk.credential("lab"))
    for approve in (True, False):
        with pytest.raises(Refused, match="asked for himself"):
            await decide(desk, eva, asked.id, approve=approve)
    assert (await desk.approvals.show(Scope(1), asked.id)).state == "waiting"


async def test_nobody_approves_what_he_may_not_do(desk: Any) -> None:
    eva, otto = await desk.person("Eva", ADMIN), await desk.person("Otto", OPERATOR)
    asked = await ask(desk, eva, await desk.credential("lab"))
    with pytest.raises(Refused, match="credentials:write"):
        await decide(desk, otto, asked.id)


@pytest.mark.parametrize("kind", [PrincipalKind.API_KEY, PrincipalKind.LOCAL, PrincipalKind.SYSTEM])
async def test_both_are_people(desk: Any, kind: PrincipalKind) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    asked = await ask(desk, eva, await desk.credential("lab"))
    with pytest.raises(Refused, match="two people"):
        await decide(desk, dataclasses.replace(tom, kind=kind), asked.id)
    with pytest.raises(Refused, match="two people"):
        await desk.approvals.ask(desk.act(dataclasses.replace(eva, kind=kind)), "x", "CR-17")


async def test_what_is_decided_or_too_old_stays(desk: Any) -> None:
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    entity = await desk.credential("lab")
    asked = await ask(desk, eva, entity)
    await decide(desk, tom, asked.id, approve=False, reason="no")
    with pytest.raises(Conflict, match="decided already"):
        await decide(desk, tom, asked.id)
    late = await ask(desk, eva, entity)
    await rewrite(desk, late, expires_at=clock.micros())
    with pytest.raises(Conflict, match="its time is over"):
        await decide(desk, tom, late.id)
    assert (await desk.approvals.show(Scope(1), late.id)).state == "expired"


async def test_of_two_who_decide_at_once_one_does(desk: Any) -> None:
    eva = await desk.person("Eva", ADMIN)
    others = [await desk.person(f"Tom{number}", ADMIN) for number in range(6)]
    asked = await ask(desk, eva, await desk.credential("lab"))
    done = await asyncio.gather(
        *(decide(desk, one, asked.id, approve=number % 2 == 0) for number, one in enumerate(others)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, ApprovalView) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 5


async def test_lists_are_by_state_and_by_study(desk: Any) -> None:
    zebra, lion = await desk.study("zebra"), await desk.study("lion")
    eva, tom = await desk.person("Eva", ADMIN), await desk.person("Tom", ADMIN)
    zoe = await desk.person("Zoe", SPECIALIST, study=zebra)
    leo = await desk.person("Leo", SPECIALIST, study=lion)
    entity = await desk.credential("lab", zebra)
    made = [await ask(desk, eva, entity, number=number) for number in range(4)]
    await decide(desk, tom, made[1].id)
    await decide(desk, tom, made[2].id, approve=False, reason="no")
    await rewrite(desk, made[3], expires_at=clock.micros())

    async def states(state: str | None, who: Principal = eva) -> list[uuid.UUID]:
        scope = desk.act(who, "approvals:read").scope
        found, total = await desk.approvals.list(scope, state, 0, 20)
        assert total == len(found)
        return [one.id for one in found]

    assert await states(None) == [one.id for one in reversed(made)]
    for number, state in enumerate(("waiting", "approved", "denied", "expired")):
        assert await states(state) == [made[number].id]
    assert await states("used") == []
    assert len(await states(None, zoe)) == 4
    assert await states(None, leo) == []
    foreign = desk.act(leo, "approvals:read").scope
    with pytest.raises(NotFound):
        await desk.approvals.show(foreign, made[0].id)
    with pytest.raises(NotFound):
        await decide(desk, leo, made[0].id)
    assert (await decide(desk, zoe, made[0].id)).decided_by == "Zoe"


async def test_a_request_is_forgotten_after_an_hour(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    eva = await desk.person("Eva", ADMIN)
    intent = Intent("credential.change", await desk.credential("lab"), gxp=True)
    with pytest.raises(ApprovalNeeded) as refusal:
        await desk.policy.check(desk.act(eva, reason="CR-17"), intent)
    moment = clock.micros() + 3_601 * 1_000_000
    monkeypatch.setattr(clock, "micros", lambda: moment)
    with pytest.raises(Refused, match="too old"):
        await desk.approvals.ask(desk.act(eva), refusal.value.request, "CR-17")
