"""The policy table: what an operation needs, by environment, study and GxP, and what an organization makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hilum.errors import ConfigError
from hilum.model.access import PERMISSIONS
from hilum.model.organization import Settings
from hilum.model.signing import (
    ENVIRONMENTS,
    OPERATIONS,
    PRODUCTION,
    Demand,
    Meaning,
    Place,
    Rule,
    demanded,
    line,
    rules,
)

PLACES = [Place(environment, None, gxp) for environment in ENVIRONMENTS for gxp in (False, True)]
NOTHING = Demand()


def own(**values: Any) -> tuple[Rule, ...]:
    """One rule of an organization."""
    return rules({"policy": [values]})


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_the_defaults_are_what_the_table_says(operation: str, place: Place) -> None:
    production, gxp = place.environment == PRODUCTION, place.gxp
    lifecycle = operation in {"integration.activate", "integration.deactivate", "integration.archive"}
    decided = operation in {"export.release", "legal-hold.lift", "erasure.approve"}
    of_production = lifecycle or operation in {
        "message.edit", "retention.change", "policy.change", "plaintext.except"
    }  # fmt: skip
    of_gxp = operation in {"credential.change", "mapping.change", "message.edit"}
    files = operation in {"configuration.apply", "configuration.release"}
    recorded = files or operation in {"key.rotate", "user.roles"}

    found = demanded(operation, place)

    signed = decided or (production and of_production) or (gxp and of_gxp)
    assert bool(found.signature) is signed
    assert found.four_eyes is (gxp and of_gxp)
    edited = files or operation == "integration.change"
    assert found.reason is (signed or (production and recorded) or (gxp and edited))
    assert Meaning.REVIEW not in found.signature, "a review alone changes nothing"


def test_every_operation_needs_a_permission_that_there_is() -> None:
    assert {one.permission for one in OPERATIONS.values()} <= PERMISSIONS.keys()


def test_an_unknown_operation_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        demanded("user.promote", Place(PRODUCTION))


def test_an_organization_asks_for_more() -> None:
    asked = own(operation="user.roles", signature=["approval"], four_eyes=True)
    assert demanded("user.roles", Place("test"), asked) == Demand(False, (Meaning.APPROVAL,), True)
    assert demanded("user.roles", Place(PRODUCTION), asked) == Demand(True, (Meaning.APPROVAL,), True)
    assert demanded("key.rotate", Place("test"), asked) == NOTHING


def test_outside_production_an_organization_asks_for_less() -> None:
    asked = own(operation="mapping.change", environments=["test"], gxp=True, signature=[], four_eyes=False)
    assert demanded("mapping.change", Place("test", gxp=True), asked) == Demand(reason=True)
    assert demanded("mapping.change", Place("staging", gxp=True), asked).four_eyes
    assert demanded("mapping.change", Place(PRODUCTION, gxp=True), asked).signature


@pytest.mark.parametrize("loosened", [{"reason": False}, {"signature": []}, {"four_eyes": False}], ids=str)
@pytest.mark.parametrize("environments", [[], [PRODUCTION], ["test", PRODUCTION]], ids=str)
def test_production_is_never_loosened(loosened: dict[str, Any], environments: list[str]) -> None:
    with pytest.raises(ConfigError, match="production can only be tightened") as caught:
        own(operation="message.edit", environments=environments, **loosened)
    assert caught.value.where == "settings.policy[0]"
    with pytest.raises(ValidationError, match="production can only be tightened"):
        Settings.model_validate({"policy": [{"operation": "message.edit", "environments": environments, **loosened}]})


def test_fewer_meanings_will_do_where_an_organization_says_so() -> None:
    asked = own(operation="message.edit", signature=["approval", "review"])
    assert demanded("message.edit", Place(PRODUCTION), asked).signature == (Meaning.APPROVAL,)
    other = own(operation="message.edit", signature=["review"])
    assert demanded("message.edit", Place(PRODUCTION), other).signature == (Meaning.REVIEW,), "it is its own wish"


def test_a_rule_can_be_of_one_study_alone() -> None:
    asked = own(operation="*", study="zebra", reason=True)
    assert demanded("user.roles", Place("test", "zebra"), asked) == Demand(reason=True)
    assert demanded("user.roles", Place("test", "lion"), asked) == NOTHING
    assert demanded("user.roles", Place("test"), asked) == NOTHING


@pytest.mark.parametrize(
    ("rule", "where", "why"),
    [
        ({"operation": "user.promote"}, "settings.policy[0]", "no operation user.promote"),
        ({"operation": "user.roles", "environments": ["prod"]}, "settings.policy[0]", "no environment prod"),
        ({"operation": "user.roles", "signature": ["yes"]}, "settings.policy[0].signature.0", "authorship"),
        ({"operation": "user.roles", "sign": True}, "settings.policy[0].sign", "not permitted"),
        ("user.roles", "settings.policy[0]", "dictionary"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(rule: Any, where: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        rules({"policy": [rule]})
    assert caught.value.where == where


def test_a_policy_that_is_no_list_holds_nobody_up_silently() -> None:
    with pytest.raises(ConfigError, match="must be a list"):
        rules({"policy": "none"})
    assert rules({}) == ()


RULES = st.builds(
    dict,
    operation=st.sampled_from(["*", *OPERATIONS]),
    environments=st.lists(st.sampled_from(ENVIRONMENTS), max_size=3),
    gxp=st.booleans(),
    reason=st.sampled_from([True, False, None]),
    signature=st.one_of(st.none(), st.lists(st.sampled_from(Meaning), max_size=3)),
    four_eyes=st.sampled_from([True, False, None]),
)


@given(st.lists(RULES, max_size=6), st.sampled_from(sorted(OPERATIONS)), st.booleans())
def test_no_list_of_rules_takes_anything_from_production(
    given_rules: list[dict[str, Any]], operation: str, gxp: bool
) -> None:
    kept = []
    for one in given_rules:
        try:
            kept.append(Rule.model_validate(one))
        except ValidationError:
            continue
    place = Place(PRODUCTION, None, gxp)
    before, after = demanded(operation, place), demanded(operation, place, kept)
    assert not before.reason or after.reason
    assert not before.four_eyes or after.four_eyes
    assert not before.signature or after.signature


@pytest.mark.ledger_part("S0-21", "the line for people: printed name, date and time with zone, meaning")
def test_a_signature_reads_as_one_line() -> None:
    stated = {
        "signer": {"name": "Eva Müller"}, "time": "2026-11-25T10:02:03.123456Z", "meaning": "approval",
        "operation": "credential.change", "entity": "credential/1", "version": 3, "reason": "CR-17",
    }  # fmt: skip
    assert line(stated) == (
        "Signed by Eva Müller on 2026-11-25 10:02:03 UTC, meaning: approval; "
        "credential.change of credential/1, version 3 (CR-17)"
    )
    assert not line({**stated, "reason": ""}).endswith(")")
