"""What production refuses to say in the clear: to partners, and to authorization servers (C-24)."""

from __future__ import annotations

import pytest

from hilum.model import document
from hilum.sdk.registry import discover
from hilum.services.configuration import compile_all

CONFIG = """
version: 1
organization: demo
environment: {environment}
integrations:
  - name: lab
    protocol: rest_api{own}
    authentication: {{type: oauth2, {grant}, client_id: hub, client_secret: s, {urls}}}
    endpoints: [{{name: out, direction: outbound, url: "https://192.0.2.9/", method: POST{more}}}]
"""
SAFE = 'tokenUrl: "https://id.example/token"'
CODE = 'grant_type: authorization_code, authorization_url: "https://id.example/a"'


def found(environment: str, grant: str, urls: str, more: str, own: str = "") -> tuple[str, ...]:
    text = CONFIG.format(environment=environment, grant=grant, urls=urls, more=more, own=own)
    return compile_all(document.load(text, "hub.yaml"), discover(), environ={}, folder=None).problems


@pytest.mark.ledger_part("S3-15", "an integration's own environment decides, not its file's")
@pytest.mark.parametrize(("file", "own", "refused"), [("development", "production", 1), ("production", "test", 0)])
def test_an_integration_of_another_environment(file: str, own: str, refused: int) -> None:
    clear = 'token_url: "http://id.example/token"'
    problems = found(file, "grant_type: client_credentials", clear, "", f"\n    environment: {own}")
    assert len(problems) == refused, problems


@pytest.mark.ledger_part("S3-30", "token, authorization and revocation URLs: an error in production, unless excepted")
@pytest.mark.parametrize(
    ("environment", "grant", "urls", "more", "place"),
    [
        ("production", "grant_type: client_credentials", SAFE, "", ""),
        ("production", "grant_type: client_credentials", 'token_url: "http://id.example/token"', "", "token_url"),
        ("production", "grant_type: client_credentials", 'tokenUrl: "HTTP://id.example/token"', "", "token_url"),
        ("production", "grant_type: client_credentials", 'token_url: "http://127.0.0.1/token"', "", ""),
        ("development", "grant_type: client_credentials", 'token_url: "http://id.example/token"', "", ""),
        ("production", CODE, f'{SAFE}, revocation_url: "http://id.example/r"', "", "revocation_url"),
        ("production", CODE.replace("https", "http"), SAFE, "", "authorization_url"),
        ("production", "grant_type: client_credentials", 'token_url: "http://id.example/token"',
         ", plaintext: {reason: inside the VPN, until: 2999-01-01}", ""),
        ("production", "grant_type: client_credentials", 'token_url: "http://id.example/token"',
         ", plaintext: {reason: inside the VPN, until: 2020-01-01}", "plaintext"),
    ],
)  # fmt: skip
def test_an_authorization_server_in_the_clear(environment: str, grant: str, urls: str, more: str, place: str) -> None:
    problems = found(environment, grant, urls, more)
    assert bool(problems) is bool(place), problems
    if place:
        (problem,) = problems
        assert problem.startswith(f"lab/out.{place if place == 'plaintext' else f'authentication.{place}'}: ")


STORE = """
version: 1
organization: demo
environment: {environment}
integrations:
  - name: lab
    protocol: file_transfer
    endpoints:
      - {{name: out, direction: outbound, url: "s3://exchange", endpoint: "{endpoint}"{more},
         authentication: {{type: access_key, access_key_id: a, secret_access_key: b}}}}
"""


@pytest.mark.ledger_part("S1-08", "a store in the clear is an error in production, unless excepted")
@pytest.mark.parametrize(
    ("environment", "endpoint", "more", "refused"),
    [
        ("production", "http://minio:9000", "", True), ("production", "HTTP://minio:9000", "", True),
        ("production", "https://minio:9000", "", False), ("production", "http://127.0.0.1:9000", "", False),
        ("development", "http://minio:9000", "", False),
        ("production", "http://minio:9000", ", plaintext: {reason: inside the VPN, until: 2999-01-01}", False),
    ],
)  # fmt: skip
def test_a_store_in_the_clear(environment: str, endpoint: str, more: str, refused: bool) -> None:
    text = STORE.format(environment=environment, endpoint=endpoint, more=more)
    problems = compile_all(document.load(text, "hub.yaml"), discover(), environ={}, folder=None).problems
    wanted = "lab/out.endpoint: production needs TLS to other hosts, or plaintext: {reason, until}"
    assert problems == ((wanted,) if refused else ())
