"""schemathesis against the OpenAPI document, over TCP: whatever is sent, the answer is one that the document has.

The same cases come every time (Hypothesis is derandomized); HILUM_FUZZ multiplies how many there are. On the hub's own
socket only what is there alone is attacked: the rest is the same routes once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hilum.api import Edge, Server, create_app
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.store.schema_people import user

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TIMES = float(os.environ.get("HILUM_FUZZ", "1"))  # read early: a test sees no HILUM_… of the shell
PATIENCE = 60  # seconds: how fast it answers on a machine that has other things to do is not judged here
LEFT_OUT = {"back_up", "stream_events"}  # one writes to whatever path it is given, one may take an hour
EDGE = Edge.read(known=10_000_000, together=10_000_000, unknown=10_000_000, logged=False)


@dataclasses.dataclass
class Everybody:
    """Somebody with every role."""

    id: str
    number: int

    async def bearer(self, text: str, source: str) -> Principal:
        bindings = tuple(Binding(role) for role in Role)
        return Principal(PrincipalKind.USER, self.id, "everybody", 1, bindings, number=self.number)

    async def cookie(self, text: str) -> tuple[Principal, str]:
        return await self.bearer(text, ""), ""


class Fuzzing:
    """One app under fire; runs in a thread beside the loop that serves it."""

    def __init__(self, document: Any, url: str, chosen: Any) -> None:
        """`chosen`: the paths that are attacked."""
        self._document = document
        self._chosen = chosen
        self._url = url
        self._session = requests.Session()
        self._session.headers["authorization"] = "Bearer x"
        self._failures: dict[str, str] = {}
        self.cases = 0

    def run(self) -> dict[str, str]:
        """Each operation's failure."""
        with warnings.catch_warnings(), self._session:
            warnings.simplefilter("ignore")
            self._make_examples()
            for found in schemathesis.openapi.from_dict(self._document).get_all_operations():
                operation = found.ok()
                if operation.path in self._chosen and operation.definition.raw["operationId"] not in LEFT_OUT:
                    self._attack(operation)
        return self._failures

    def _attack(self, operation: Any) -> None:
        known = self._known(operation)
        for mode, fixed, times in (
            (GenerationMode.POSITIVE, known, 3 if known else 0),
            (GenerationMode.POSITIVE, {}, 3),
            (GenerationMode.NEGATIVE, known, 4),
        ):
            if times:
                self._send(operation, mode, fixed, max(round(times * TIMES), 1))

    def _send(self, operation: Any, mode: GenerationMode, fixed: dict[str, str], times: int) -> None:
        settings = hypothesis.settings(
            max_examples=times, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[hypothesis.Phase.generate],
        )  # fmt: skip

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode, path_parameters=fixed or None))
        @settings
        def send(case: Any) -> None:
            if operation.label in self._failures:
                return
            self.cases += 1
            try:  # told at once: Hypothesis would send it again, to a hub that is another by then
                response = case.call(base_url=self._url, session=self._session, timeout=PATIENCE)
                case.validate_response(response, checks=CHECKS)
            except (Exception, BaseExceptionGroup) as error:
                self._failures[operation.label] = told(error)

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing wrong can be made of nothing
            send()

    def _make_examples(self) -> None:
        """One thing of each kind, as the document's own examples have it."""
        for path, several in self._document["paths"].items():
            content = several.get("post", {}).get("requestBody", {}).get("content", {})
            if "{" not in path and "application/json" in content and "auth" not in path:
                self._session.post(self._url + path, json=content["application/json"]["example"], timeout=PATIENCE)

    def _known(self, operation: Any) -> dict[str, str]:
        """Ids, or names, of what there is, for the path's first parameter."""
        before, brace, rest = operation.path.partition("/{")
        parameters = [one.name for one in operation.path_parameters]
        if not brace or len(parameters) != 1:
            return {}
        response = self._session.get(self._url + before, timeout=PATIENCE)
        items = response.json().get("items", []) if response.status_code == 200 else []
        name = rest.partition("}")[0]
        return {name: str(items[0].get(name, items[0]["id"]))} if items and "id" in items[0] else {}


def told(error: BaseException) -> str:
    """What went wrong, and within it."""
    inner = "".join(f"\n{told(one)}" for one in error.exceptions) if isinstance(error, BaseExceptionGroup) else ""
    return f"{type(error).__name__}: {error}{inner}"[:3_000]


def shown(failures: dict[str, str]) -> Iterator[str]:
    for label, failure in failures.items():
        yield f"\n=== {label}\n{failure}"


@pytest.mark.ledger_part("S0-34", "schema-fuzz run with zero 5xx")
@pytest.mark.parametrize("local", [False, True], ids=["bearer", "local"])
async def test_whatever_is_sent_the_answer_is_one_that_the_document_has(running: Any, local: bool) -> None:
    services = running.hub.services()
    await running.post("/users", 201, email="zoe@example.org", name="Zoe", roles=[{"role": "tenant_admin"}])
    number, identifier = await running.hub.store.read(
        lambda connection: connection.execute(sa.select(user.c.id, user.c.uuid)).one()
    )
    await running.send(b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||4711\r")
    app = create_app(dataclasses.replace(services, identity=Everybody(str(identifier), number)), local=local, edge=EDGE)
    server = Server(app, "127.0.0.1:0")
    await server.start()
    document = app.openapi()
    public = create_app(services, local=False).openapi()["paths"] if local else {}
    chosen = document["paths"].keys() - public.keys()
    fuzzing = Fuzzing(document, f"http://127.0.0.1:{server.port}", chosen)
    began = time.monotonic()
    try:
        failures = await asyncio.to_thread(fuzzing.run)
    finally:
        await server.stop()
    print(f"{fuzzing.cases} requests in {time.monotonic() - began:.0f} s")  # noqa: T201 - to see how much it was
    assert not failures, "".join(shown(failures))
    assert fuzzing.cases > 5 * len(chosen)
