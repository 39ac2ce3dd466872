"""What a person comes back with does not hold: used, too old, another's, changed on its way, or refused."""

from __future__ import annotations

import urllib.parse
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.sdk.http import Answer
from hilum.store.schema_consents import consent_request

pytestmark = pytest.mark.anyio
SECRET = "canary-secret-of-the-client"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.ledger_part("S0-28", "the OAuth callback is open, and its state holds once, for ten minutes")
async def test_a_state_holds_once(site: Any) -> None:
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    said = await site.consent(await site.begin(ann, lab))
    await site.back(said)
    assert "answered before" in await site.why(said)
    assert len(site.server.asked) == 1, "the code went out once"
    assert (await site.shown(ann, lab))["state"] == "given", "who comes again takes nothing away"
    for state in ("", "wrong", said["state"][:-4] + "AAAA", "§", "A" * 4_000):
        assert "not known" in await site.why({**said, "state": state})
    assert (await site.back({**said, "state": "A" * 5_000}, 400)).json()["error"]["field"] == "state"
    await site.why({"state": "wrong", "code": "whatever-somebody-sends"})
    assert telemetry.mask("whatever-somebody-sends") == "whatever-somebody-sends", "a stranger chooses no secret"


async def test_a_state_ends_after_ten_minutes(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    said, other = [await site.consent(await site.begin(ann, lab)) for _ in range(2)]
    micros = clock.micros
    monkeypatch.setattr(clock, "micros", lambda: micros() + 601_000_000)
    assert "older than ten minutes" in await site.why(said)
    monkeypatch.setattr(clock, "micros", micros)
    await site.back(other)
    monkeypatch.setattr(clock, "micros", lambda: micros() + 601_000_000)
    await site.begin(ann, lab)  # forgets those that nobody came back with
    rows = await site.hub.store.read(lambda connection: connection.execute(sa.select(consent_request)).all())
    assert len(rows) == 1


async def test_a_state_belongs_to_its_integration_and_organization(site: Any) -> None:
    made = await site.local.post("/api/v1/organizations", json={
        "name": "south", "administrator": {"email": "eve@south.example", "name": "Eve"}})  # fmt: skip
    assert made.status_code == 201, made.text
    ann = await site.person()
    eve = await site.person("eva@south.example", organization="south")
    lab = await site.integration(ann, client_secret=SECRET)
    theirs = await site.integration(eve, client_secret=SECRET)
    for who, other in ((ann, theirs), (eve, lab)):
        assert (await who.post(f"/integrations/{other}/authorize")).status_code == 404
        assert (await who.get(f"/integrations/{other}/consents")).status_code == 404
        assert (await who.delete(f"/integrations/{other}/consents")).status_code == 404
    mine, hers = [await site.consent(await site.begin(*one)) for one in ((ann, lab), (eve, theirs))]
    refused = await site.why({"state": hers["state"], "code": mine["code"]}, 502)  # a code that is not hers
    assert "invalid_grant" in refused
    assert [(await site.shown(*one))["state"] for one in ((ann, lab), (eve, theirs))] == ["missing", "missing"]
    await site.allowed(eve, theirs)
    assert [(await site.shown(*one))["state"] for one in ((ann, lab), (eve, theirs))] == ["missing", "given"]
    assert not (await site.tested(ann, lab))["success"], "tokens of one are never another's"


async def test_an_integration_has_a_consent_of_its_own(embedded: Any) -> None:
    """Two of the same client: whoever consents to the one says nothing of the other."""
    site = embedded
    ann = await site.person()
    lab, other = [await site.integration(ann, client_secret=SECRET, name=name) for name in ("Lab", "Other")]
    await site.allowed(ann, lab)
    assert [(await site.shown(ann, one))["state"] for one in (lab, other)] == ["given", "missing"]
    assert [(await site.tested(ann, one))["success"] for one in (lab, other)] == [True, False]


async def test_who_comes_back_is_who_went(embedded: Any) -> None:
    site = embedded
    await site.person("ann@demo.example")
    await site.person("bob@demo.example")
    ann, bob = await site.console("ann@demo.example"), await site.console("bob@demo.example")
    lab = await site.integration(ann, client_secret=SECRET)
    for stranger in (None, bob):  # begun in a browser: in no other, and by nobody else
        said = await site.consent(await site.begin(ann, lab))
        assert "another browser" in await site.why(said, 403, browser=stranger)
        assert "answered before" in await site.why(said, browser=ann)
    one, two = [await site.consent(await site.begin(ann, lab)) for _ in range(2)]
    await site.back(one, browser=ann)
    await site.back(two, browser=ann)  # two at a time in one browser
    assert {event["outcome"] for event in await site.events("consent.answer")} == {"denied", "success", "failure"}
    program = await site.person("cat@demo.example")
    said = await site.consent(await site.begin(program, lab))
    assert "somebody else" in await site.why(said, 403, browser=ann)


async def test_whoever_began_it_may_still_do_so(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    said = await site.consent(await site.begin(ann, lab))
    me = (await ann.get("/auth/me")).json()["id"]
    tag = (await site.local.get(f"/api/v1/users/{me}")).headers["etag"]
    changed = await site.local.put(
        f"/api/v1/users/{me}/roles", json={"roles": [{"role": "viewer"}]}, headers={"if-match": tag, "x-reason": "why"}
    )
    assert changed.status_code == 200, changed.text
    assert "integrations:write" in await site.why(said, 403)
    assert not site.server.asked


async def test_programs_and_viewers_begin_nothing(embedded: Any) -> None:
    site = embedded
    ann, eve = await site.person(), await site.person("eve@demo.example", "viewer")
    lab = await site.integration(ann, client_secret=SECRET)
    assert (await eve.post(f"/integrations/{lab}/authorize")).status_code == 403
    assert (await eve.delete(f"/integrations/{lab}/consents")).status_code == 403
    assert (await site.shown(eve, lab))["state"] == "missing"
    admin = await site.person("adam@demo.example", "tenant_admin")
    key = await admin.post("/api-keys", json={"name": "robot", "role": "integration_specialist",
                                              "scopes": ["integrations:write"]})  # fmt: skip
    assert key.status_code == 201, key.text
    robot = site.client(authorization=f"Bearer {key.json()['key']}")
    assert "a person begins this" in await site.begin(robot, lab, 403)


@pytest.mark.ledger_part("S3-33", "PKCE cannot be taken away on the way")
async def test_pkce_cannot_be_taken_away(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    for change in ({"code_challenge": None, "code_challenge_method": None}, {"code_challenge": "x" * 43}):
        url = urlsplit(await site.begin(ann, lab))
        query = {name: value for name, value in (dict(parse_qsl(url.query)) | change).items() if value}
        said = await site.consent(url._replace(query=urllib.parse.urlencode(query)).geturl())
        assert "invalid_grant" in await site.why(said, 502)
    assert all(form["code_verifier"] for form in site.server.asked)
    assert (await site.shown(ann, lab))["state"] == "missing"


async def test_another_issuers_answer_is_refused(embedded: Any) -> None:
    site, server = embedded, embedded.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    named = await site.integration(ann, client_secret=SECRET, name="Named", issuer="https://id.example/realm")
    for one, issuer, fits in (
        (lab, server.url, True), (lab, "https://evil.example", False),
        (named, "https://id.example/realm", True), (named, server.url, False), (named, "", True),
    ):  # fmt: skip
        server.issuer = issuer
        said = await site.consent(await site.begin(ann, one))
        if fits:
            await site.back(said)
        else:
            asked = len(server.asked)
            assert "another server's" in await site.why(said)
            assert len(server.asked) == asked, "the code is not shown to anybody"


async def test_an_error_of_the_server_is_said_in_plain_words(embedded: Any) -> None:
    site, server = embedded, embedded.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    for error, text in (
        ("access_denied", "did not allow it"), ("invalid_scope", "refused (invalid_scope)"),
        ("<b>odd</b> patient Doe", "the authorization server refused: nothing"),
    ):  # fmt: skip
        server.denies = error
        said = await site.consent(await site.begin(ann, lab))
        assert text in await site.why(said)
        assert "code" not in said
        page = await site.back(await site.consent(await site.begin(ann, lab)), 409, accept=HTML["accept"])
        assert "Not authorized" in page.text
        assert "canary" not in page.text
        assert "odd" not in page.text
    server.denies = ""
    said = await site.consent(await site.begin(ann, lab))
    del said["code"]
    assert "gave no code" in await site.why(said)
    await site.allowed(ann, lab)


async def test_a_server_that_is_away_can_be_tried_again(site: Any) -> None:
    server = site.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    for broken, text in (
        (Answer(503, b"canary"), "503"), (Answer(200, b"canary"), "no access token"),
        (Answer(400, b'{"error": "invalid_client"}'), "invalid_client"),
    ):  # fmt: skip
        server.broken = broken
        said = await site.consent(await site.begin(ann, lab))
        why = await site.why(said, 502)
        assert text in why
        assert "begin again" in why
        assert (await site.shown(ann, lab))["state"] == "missing"
    server.broken = None
    await site.allowed(ann, lab)
    assert (await site.tested(ann, lab))["success"]


async def test_a_code_that_was_used_is_refused_by_the_server(embedded: Any) -> None:
    site, server = embedded, embedded.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    said = await site.consent(await site.begin(ann, lab))
    await site.back(said)
    again = await site.consent(await site.begin(ann, lab))
    assert "invalid_grant" in await site.why({**again, "code": said["code"]}, 502)
    assert not server.live, "the server ended what it had given for it"
    test = await site.tested(ann, lab)
    assert (test["success"], test["errorClass"]) == (False, "consent")


async def test_what_was_changed_meanwhile_is_begun_again(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    said = await site.consent(await site.begin(ann, lab))
    tag = (await ann.get(f"/integrations/{lab}")).headers["etag"]
    patch = {"authentication": {"scopes": ["read", "write", "delete"]}}
    changed = await ann.patch(f"/integrations/{lab}", json=patch, headers={"if-match": tag, "x-reason": "more"})
    assert changed.status_code == 200, changed.text
    assert "changed meanwhile" in await site.why(said)
    await site.allowed(ann, lab)
    assert sorted((await site.shown(ann, lab))["scopes"]) == ["delete", "read", "write"]


async def test_what_nobody_consents_to(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    machine = await site.integration(ann, client_secret=SECRET, grant_type="client_credentials")
    assert "nobody consents to this" in await site.begin(ann, machine, 409)
    assert (await ann.get(f"/integrations/{machine}/consents")).json() == {"items": []}
    assert (await ann.delete(f"/integrations/{machine}/consents")).json() == {"revoked": 0, "told": []}
    elsewhere = await site.integration(ann, client_secret=SECRET, name="Odd", redirect_uri="https://evil.example/back")
    assert "people come back to" in await site.begin(ann, elsewhere, 409)
    unknown = await ann.post(f"/integrations/{machine}/authorize?endpoint=nothing")
    assert unknown.status_code == 404


async def test_endpoints_have_consents_of_their_own(embedded: Any) -> None:
    site, server = embedded, embedded.server
    ann = await site.person()
    signs = {
        "type": "oauth2", "grantType": "authorization_code", "tokenUrl": f"{server.url}/token", "clientId": "hub",
        "authorizationUrl": f"{server.url}/authorize", "clientSecret": SECRET,
    }  # fmt: skip
    endpoints = [
        {"name": name, "url": f"{server.url}/{name}", "method": "POST", "authentication": {**signs, "scopes": scopes}}
        for name, scopes in (("one", ["a"]), ("two", "a"), ("three", ["b"]))
    ]
    body = {"name": "Several", "type": "API", "environment": "development", "endpoints": endpoints}
    made = await ann.post("/integrations?initialize=false", json=body)
    assert made.status_code == 201, made.text
    several = made.json()["id"]
    assert "name one" in await site.begin(ann, several, 409)
    begun = await ann.post(f"/integrations/{several}/authorize?endpoint=two")
    await site.back(await site.consent(begun.json()["authorization_url"]))
    items = (await ann.get(f"/integrations/{several}/consents")).json()["items"]
    assert [(one["endpoints"], one["state"]) for one in items] == [(["one", "two"], "given"), (["three"], "missing")]
    tests = (await ann.post(f"/integrations/{several}/test")).json()["endpoints"]
    assert [one["success"] for one in tests] == [True, True, False]


async def test_a_hub_that_does_not_know_its_address_says_so(open_site: Any, server: Any) -> None:
    async with open_site(server, base="") as site:
        ann = await site.person()
        lab = await site.integration(ann, client_secret=SECRET)
        ann.headers["host"] = "evil.example"
        assert "HILUM_URL" in await site.begin(ann, lab, 409)


async def test_gxp_wants_a_reason_a_second_person_and_a_signature(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    tag = (await ann.get(f"/integrations/{lab}")).headers["etag"]
    changed = await ann.patch(f"/integrations/{lab}", json={"gxp": True}, headers={"if-match": tag, "x-reason": "GxP"})
    assert changed.status_code == 200, changed.text
    for method, path in (("POST", "authorize"), ("DELETE", "consents")):
        bare = await ann.request(method, f"/integrations/{lab}/{path}")
        assert (bare.status_code, bare.json()["error"]["field"]) == (400, "x-reason")
        reasoned = await ann.request(method, f"/integrations/{lab}/{path}", headers={"x-reason": "a new account"})
        assert (reasoned.status_code, "approval_required" in reasoned.text) == (403, True), reasoned.text
