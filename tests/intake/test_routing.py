"""From a body to its deliveries, and to the same bytes again when a delivery's turn comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.errors import ConfigError, StoreError
from hilum.intake.routing import digest, lane_of, pin, remake, unpin
from hilum.model.configuration import Endpoint, Route
from hilum.model.delivery import SHARDS
from hilum.model.message import Disposition
from hilum.pipeline import compile_route
from hilum.sdk.registry import Registry

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
ORDERS = (
    b"MSH|^~\\&|A|B|C|D|20260101||ORM^O01|M1|P|2.5\rPID|1||4711\r"
    b"ORC|NW|1\rOBR|1|a\rORC|NW|2\rOBR|2|b\rORC|NW|3\rOBR|3|c\r"
)


async def test_what_is_made_again_is_equal(gate: Any, adt: Adt) -> None:
    steps = [{"split": {"by": "OBR"}}, {"map": {"set": {"MSH-5": "LAB"}}}]
    compiled = gate.route(steps, to=("lab/out", "keyed/out"))
    made = gate.routing(compiled)(ORDERS).deliveries
    assert len(made) == 6
    assert [one.ordinal for one in made] == list(range(6))
    for one in made:
        assert remake(compiled.pipeline, ORDERS, {}, one) == one.body


async def test_a_route_that_makes_something_else_is_found_out(gate: Any, adt: Adt) -> None:
    made = gate.routing(gate.route([{"map": {"set": {"MSH-5": "ONE"}}}]))(adt()).deliveries
    for steps in ([{"map": {"set": {"MSH-5": "TWO"}}}], [{"filter": {"where": "MSH-9.1 == 'ORU'"}}]):
        with pytest.raises(StoreError, match="no longer makes the bytes"):
            remake(gate.route(steps).pipeline, adt(), {}, made[0])


async def test_a_pinned_version_makes_the_same_without_its_files(gate: Any, adt: Adt, registry: Registry) -> None:
    (gate.folder / "wards.csv").write_text("code,name\nMED2,Medicine\n")
    text = "def transform(m):\n    m.set('MSH-6', 'S')\n"
    document = Route.model_validate(
        {"name": "r", "from": "adt/in", "steps": [gate.script(text), {"map": {"set": {"MSH-5": "X"}}}], "to": ["k/out"]}
    )
    source = Endpoint(name="in", direction="inbound", url="mllp://h:1", timezone="Europe/Oslo")
    ends = {
        "k/out": Endpoint.model_validate(
            {"name": "out", "direction": "outbound", "url": "mllp://h:1", "lane": {"key": "PID-3.1"}}
        )
    }
    pipeline = compile_route(
        document, registry=registry, source=source, source_format="hl7v2", destinations=ends, folder=gate.folder
    )
    pinned = pin(document, source, "hl7v2", ends, pipeline)
    for path in gate.folder.iterdir():
        path.unlink()
    again = unpin(pinned, registry)
    first, second = pipeline.run(adt()), again.run(adt())
    assert first == second
    assert first.outputs[0].key == "4711"
    assert b"|X|S|" in second.outputs[0].body


async def test_a_version_whose_plug_in_is_gone_says_so(gate: Any, registry: Registry) -> None:
    document = {
        "route": {"name": "r", "from": "adt/in", "steps": [{"gone": {}}], "to": []},
        "source": {"timezone": "UTC", "format": "hl7v2"},
        "lanes": {},
        "materials": {},
    }
    with pytest.raises(ConfigError, match="gone"):
        unpin(document, registry)


async def test_the_worst_of_several_routes_decides(gate: Any, adt: Adt) -> None:
    good, filtered = gate.route(), gate.route([{"filter": {"where": "MSH-9.1 == 'ORU'"}}])
    bad = gate.route([gate.script("def transform(m):\n    raise KeyError\n")])
    review = gate.route([{"validate": {"on_error": "review"}}])
    nowhere = gate.route(to=())

    def judge(*routes: Any) -> Disposition:
        found: Disposition = gate.routing(*routes)(adt()).disposition
        return found

    assert judge(good, filtered) is Disposition.DELIVERING
    assert judge(filtered, nowhere) is Disposition.FILTERED
    assert judge(good, review) is Disposition.REVIEW
    assert judge(good, filtered, review, bad) is Disposition.ERROR
    assert judge(nowhere) is judge() is Disposition.UNROUTED


async def test_lanes_follow_their_key(gate: Any, adt: Adt) -> None:
    routing = gate.routing(gate.route(to=("lab/out", "keyed/out")))

    def lanes(patient: str) -> list[tuple[int, int]]:
        return [(one.lane, one.shard) for one in routing(adt("M1", patient)).deliveries]

    one, same, other, none = lanes("A"), lanes("A"), lanes("B"), lanes("")
    assert one == same
    assert one[0] == other[0] == none[0]
    assert one[0][0] == none[1][0] == 0  # no key: the destination's only lane
    assert len({one[1][0], other[1][0], 0}) == 3
    assert {shard for _, shard in [*one, *other, *none]} <= set(range(SHARDS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    key=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1), destination=st.integers(1, 1 << 40)
)
async def test_any_key_has_a_lane_and_a_shard(gate: Any, key: str | None, destination: int) -> None:
    lane, shard = lane_of(gate.store.hash, destination, key)
    assert (lane, shard) == lane_of(gate.store.hash, destination, key)
    assert (lane == 0) is (key is None)
    assert -(1 << 63) <= lane < 1 << 63
    assert 0 <= shard < SHARDS


@given(body=st.binary(), other=st.binary())
def test_a_digest_tells_bodies_apart(body: bytes, other: bytes) -> None:
    assert (digest(body) == digest(other)) is (body == other)
    assert -(1 << 63) <= digest(body) < 1 << 63
