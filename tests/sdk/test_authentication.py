"""The seven kinds of authentication: what is said about each, all at once, without asking anybody."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import ssl
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)  # fmt: skip
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from pydantic import BaseModel

from hilum import clock, telemetry
from hilum.errors import ConfigError
from hilum.sdk.authentication import HTTP, KINDS, SECRETS, Authentication, OAuth2, problems, read

SECRET = "canary-0123456789-0123456789-0123"
REFERENCE = "${secret:lab.anything}"
URLS = {"token_url": "https://id.example/token", "client_id": "hub"}
CREDENTIALS = "OAuth2 client credentials are required"


@pytest.mark.ledger_part("S3-32", "the texts for what is missing")
@pytest.mark.ledger("S3-36")
@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"type": "oauth2"}, ["OAuth2 token URL is required", CREDENTIALS]),
        ({"type": "oauth2", "tokenUrl": "https://id.example/token"}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS, "client_secret": " "}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS, "client_authentication": "private_key_jwt"}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS, "client_authentication": "tls_client_auth"}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS, "client_authentication": "none"}, [CREDENTIALS]),
        ({"type": "oauth2", **URLS, "grant_type": "authorization_code"}, ["OAuth2 authorization URL is required"]),
        ({"type": "oauth2", **URLS, "grant_type": "refresh_token"}, ["OAuth2 refresh token is required"]),
        ({"type": "oauth2", **URLS, "grant_type": "jwt_bearer"}, ["OAuth2 private key is required"]),
        ({"type": "api_key"}, ["API key is required"]),
        ({"type": "api_key", "key": None, "location": "query"}, ["API key is required"]),
        ({"type": "jwt"}, ["JWT secret is required"]),
        ({"type": "jwt", "algorithm": "RS256"}, ["JWT secret is required"]),
        ({"type": "jwt", "private_key": "canary"}, ["JWT secret is required"]),
        ({"type": "basic"}, ["Basic authentication username and password are required"]),
        ({"type": "basic", "username": "ada"}, ["Basic authentication username and password are required"]),
        ({"type": "basic", "password": "canary"}, ["Basic authentication username and password are required"]),
        ({"type": "bearer"}, ["Bearer token is required"]),
        ({"type": "certificate"}, ["Client certificate and private key are required"]),
        ({"type": "certificate", "certificate": "x"}, ["Client certificate and private key are required"]),
    ],
)
def test_what_is_missing_is_said_in_the_documents_words(given: dict[str, Any], errors: list[str]) -> None:
    assert problems(given) == (errors, [])


@pytest.mark.ledger("S3-38")
@pytest.mark.parametrize("kind", ["kerberos", "OAUTH", "None", "", 7, ["basic"]])
def test_a_type_that_there_is_not_is_never_taken_for_none(kind: Any) -> None:
    (error,), warnings = problems({"type": kind, "key": "canary"})
    assert all(name in error for name in ("none", "api_key", "oauth2", "basic", "bearer", "jwt", "certificate"))
    assert "canary" not in error
    assert not warnings


@pytest.mark.ledger_part("S2-30", "none is allowed, with a warning")
@pytest.mark.ledger_part("S3-25", "what is absent is warned about")
@pytest.mark.parametrize("given", [None, {}, {"type": "none"}, {"type": None}])
def test_none_is_a_warning(given: Any) -> None:
    assert problems(given) == ([], ["No authentication configuration provided"])


def test_settings_without_a_type_are_no_silent_none() -> None:
    assert problems({"key": "canary"})[0] == ["authentication.key: Extra inputs are not permitted"]


@pytest.mark.ledger_part("S3-33", "the password grant is refused")
def test_the_password_grant_is_refused() -> None:
    errors, _ = problems({"type": "oauth2", **URLS, "client_secret": "canary", "grantType": "password"})
    assert len(errors) == 1
    assert "the password grant is refused" in errors[0]


SOUND: dict[str, dict[str, Any]] = {
    "api_key": {"key": "canary-key"},
    "oauth2": {**URLS, "client_secret": SECRET},
    "basic": {"username": "ada", "password": "canary-password"},
    "bearer": {"token": "canary-token"},
    "jwt": {"secret": SECRET},
}


@pytest.mark.parametrize("kind", list(SOUND))
def test_all_that_is_needed_is_enough(kind: str) -> None:
    assert problems({"type": kind, **SOUND[kind]}) == ([], [])
    found = read({"type": kind, **SOUND[kind]})
    assert "canary" not in repr(found)
    found.check()
    for value in SOUND[kind].values():
        if "canary" in value:
            assert value in found.secrets
            assert telemetry.mask(f"<{value}>") == f"<{telemetry.MASK}>"


@pytest.mark.ledger_part("S3-31", "kinds are seven, `none` the default; no secret is shown")
def test_secret_fields_are_known_by_name() -> None:
    assert list(HTTP) == ["none", "api_key", "oauth2", "basic", "bearer", "jwt", "certificate"]
    assert KINDS.keys() - HTTP.keys() == {"ssh_key", "access_key"}, "for partners that take files"
    assert {
        "key", "client_secret", "private_key", "refresh_token", "password", "token", "secret", "pkcs12", "passphrase",
        "secret_access_key", "session_token",
    } == SECRETS  # fmt: skip


def test_every_field_is_described_and_may_be_written_in_camel_case() -> None:
    for kind in KINDS.values():
        for name, field in kind.model_fields.items():
            assert field.description, f"{kind.__name__}.{name}"
    camel = {"type": "oauth2", "tokenUrl": "https://id.example/t", "clientId": "hub", "clientSecret": "canary",
             "clientAuthentication": "post", "grantType": "client_credentials"}  # fmt: skip
    found = read(camel)
    assert isinstance(found, OAuth2)
    assert (found.token_url, found.client_id, found.way) == ("https://id.example/t", "hub", "post")
    assert problems({**camel, "token_url": "https://other.example/t"})[0], "which one is meant?"


def test_its_schema_renders() -> None:
    class Model(BaseModel):
        authentication: Authentication

    schema = json.dumps(Model.model_json_schema())
    assert all(f'"const": "{kind}"' in schema for kind in HTTP)
    assert "ssh_key" not in schema


@pytest.mark.parametrize(
    "given",
    [
        {"type": "oauth2", "token_url": REFERENCE, "client_id": REFERENCE, "client_secret": REFERENCE},
        {"type": "oauth2", **URLS, "client_authentication": "private_key_jwt", "private_key": REFERENCE},
        {"type": "oauth2", **URLS, "client_secret": REFERENCE, "scopes": REFERENCE},
        {"type": "jwt", "secret": REFERENCE, "expires_in": REFERENCE},
        {"type": "jwt", "algorithm": REFERENCE, "secret": "short"},
        {"type": "api_key", "key": f"{REFERENCE}\n"},
        {"type": "certificate", "certificate": REFERENCE, "key": REFERENCE},
        {"type": "certificate", "certificate": REFERENCE, "key": REFERENCE, "ca": REFERENCE},
    ],
)
def test_a_reference_is_looked_at_once_it_is_resolved(given: dict[str, Any]) -> None:
    assert problems(given) == ([], [])


@pytest.mark.ledger_part("S3-35", "a secret of less than 32 bytes is refused, and times that are none")
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"type": "jwt", "secret": "canary"}, "JWT: the secret has less than 32 bytes"),
        ({"type": "jwt", "algorithm": "RS256", "private_key": "canary"}, "JWT: the key cannot be read"),
        ({"type": "jwt", "algorithm": "none", "secret": SECRET}, "algorithm"),
        ({"type": "jwt", "secret": SECRET, "expires_in": "2d"}, "from 10s to 1d"),
        ({"type": "jwt", "secret": SECRET, "expires_in": 5}, "from 10s to 1d"),
        ({"type": "jwt", "secret": SECRET, "expires_in": "canary"}, "from 10s to 1d"),
        ({"type": "api_key", "key": "canary\r\nX: 1"}, "characters"),
        ({"type": "api_key", "key": "canary;", "location": "cookie"}, "characters"),
        ({"type": "api_key", "key": "canary", "header_name": "Host"}, "no header of ours"),
        ({"type": "api_key", "key": "canary", "header_name": "X Y"}, "no header of ours"),
        ({"type": "api_key", "key": "canary", "location": "path"}, "location"),
        ({"type": "bearer", "token": "canary canary"}, "characters"),
        ({"type": "basic", "username": "a:b", "password": "canary"}, "no colon"),
        ({"type": "oauth2", **URLS, "client_secret": "canary", "scopes": ['a"b']}, "a scope has characters"),
        ({"type": "oauth2", **URLS, "client_secret": "canary", "token_url": "https://u:canary@h/"}, "no credentials"),
        ({"type": "oauth2", **URLS, "client_secret": "canary", "token_url": "ftp://h/"}, "https://host/path"),
        ({"type": "oauth2", **URLS, "client_secret": "canary", "token_url": "https://h/#f"}, "https://host/path"),
        ({"type": "oauth2", **URLS, "client_authentication": "private_key_jwt", "private_key": "canary"}, "OAuth2: "),
        ({"type": "certificate", "certificate": "canary", "key": "canary"}, "is no PEM certificate"),
        ({"type": "certificate", "pkcs12": "canary!"}, "is no base64"),
        ({"type": "certificate", "pkcs12": "AAAA", "passphrase": "canary"}, "is no PKCS#12 file"),
    ],
)
def test_what_cannot_work_is_said_without_quoting_it(given: dict[str, Any], error: str) -> None:
    (found,), _ = problems(given)
    assert error in found
    assert "canary" not in found


def test_warnings() -> None:
    (warning,) = problems({"type": "api_key", "key": "canary", "location": "query"})[1]
    assert "query" in warning
    (warning,) = problems({"type": "oauth2", **URLS, "token_url": "http://id.example/", "client_secret": "x"})[1]
    assert "recommend using HTTPS" in warning
    assert problems({"type": "oauth2", **URLS, "token_url": "http://127.0.0.1/", "client_secret": "x"})[1] == []


# What stands in the request


def signed(given: dict[str, Any], url: str = "https://lab.example/a?b=c%20d", **headers: str) -> httpx.Request:
    request = httpx.Request("POST", url, headers=headers, content=b"body")
    found = read(given)
    found.check()
    found.sign(request)
    return request


@pytest.mark.ledger_part("S3-34", "header, query and cookie; X-API-Key by default")
def test_an_api_key_stands_where_it_is_wanted() -> None:
    assert signed({"type": "api_key", "key": "k-1"}).headers["x-api-key"] == "k-1"
    assert signed({"type": "api_key", "key": "k-1", "headerName": "Auth"}, Auth="old").headers.get_list("auth") == [
        "k-1"
    ]
    asked = signed({"type": "api_key", "key": "k&1=ü", "location": "query", "queryParam": "apikey"})
    assert str(asked.url) == "https://lab.example/a?b=c%20d&apikey=k%261%3D%C3%BC"
    assert str(signed({"type": "api_key", "key": "k", "location": "query"}, "https://h/").url) == "https://h/?api_key=k"
    cookie = {"type": "api_key", "key": "k-1", "location": "cookie", "header_name": "sid"}
    assert signed(cookie).headers["cookie"] == "sid=k-1"
    assert signed(cookie, Cookie="a=b").headers["cookie"] == "a=b; sid=k-1"


def test_basic_and_bearer() -> None:
    basic = signed({"type": "basic", "username": "ada", "password": "pä:ss"}).headers["authorization"]
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == "ada:pä:ss"
    bearer = signed({"type": "bearer", "token": "t-1"}, Authorization="Basic old")
    assert bearer.headers.get_list("authorization") == ["Bearer t-1"]


@pytest.mark.ledger_part("S3-35", "a token for each request, never stored")
def test_a_jwt_is_signed_anew_for_each_request() -> None:
    given = {"type": "jwt", "secret": SECRET, "issuer": "hub", "audience": "lab", "subject": "s", "key_id": "k-1"}
    texts = [signed(given).headers["authorization"].removeprefix("Bearer ") for _ in range(2)]
    (one, other) = (jws.deserialize_compact(text, OctKey.import_key(SECRET), algorithms=["HS256"]) for text in texts)
    claims = json.loads(one.payload)
    assert one.protected["kid"] == "k-1"
    assert {claims[name] for name in ("iss", "sub", "aud")} == {"hub", "s", "lab"}
    assert claims["exp"] - claims["iat"] == 3_600
    assert claims["jti"] != json.loads(other.payload)["jti"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3_600), ("90s", 90), ("5m", 300), ("1d", 86_400), ("300", 300), (60, 60)],
)
def test_times(text: Any, seconds: int) -> None:
    found = read({"type": "jwt", "secret": SECRET, "expiresIn": text})
    assert getattr(found, "lifetime") == seconds  # noqa: B009 - of one kind alone


def test_where_a_person_is_sent_to_consent() -> None:
    found = read({
        "type": "oauth2", **URLS, "grant_type": "authorization_code", "scopes": "a b", "redirect_uri": "https://hub/b",
        "authorization_url": "https://id.example/authorize?tenant=1",
    })  # fmt: skip
    assert isinstance(found, OAuth2)
    url = urlsplit(found.consent("state-1", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    said = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.netloc, url.path, said["tenant"]) == ("id.example", "/authorize", "1")
    assert (said["response_type"], said["client_id"], said["scope"]) == ("code", "hub", "a b")
    assert said["code_challenge"] == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    assert said["code_challenge_method"] == "S256"


def test_what_an_address_says_itself_weakens_nothing() -> None:
    """Nobody is sent away with another challenge, state or way back than ours (RFC 9700, 2.1.1)."""
    odd = "https://id.example/authorize?code_challenge_method=plain&state=theirs&redirect_uri=https%3A%2F%2Fevil&x=1"
    found = read({"type": "oauth2", **URLS, "grant_type": "authorization_code", "authorization_url": odd})
    assert isinstance(found, OAuth2)
    said = parse_qs(urlsplit(found.consent("ours", "verifier", "https://hub.example/back")).query)
    assert (said["state"], said["redirect_uri"], said["x"]) == (["ours"], ["https://hub.example/back"], ["1"])
    assert (said["code_challenge_method"], len(said["code_challenge"])) == (["S256"], 1)


@pytest.mark.parametrize(
    ("configured", "said", "fits"),
    [
        ("https://id.example/realms/a", "https://id.example/realms/a", True),
        ("https://id.example/realms/a", "https://id.example/realms/a/", False),
        ("https://id.example/realms/a", "https://id.example/realms/b", False),
        ("", "https://id.example/realms/a", True),
        ("", "https://id.example:443", True),
        ("", "http://id.example", False),
        ("", "https://id.example.evil", False),
        ("", "https://id.example:99999", False),
        ("", "", False),
    ],
)
def test_which_issuer_people_may_come_back_from(configured: str, said: str, fits: bool) -> None:
    authorization = {"authorization_url": "https://id.example/authorize", "issuer": configured}
    found = read({"type": "oauth2", **URLS, "grant_type": "authorization_code", **authorization})
    assert isinstance(found, OAuth2)
    assert found.from_here(said) is fits


@pytest.mark.ledger("S3-35")
def test_a_jwt_of_our_own() -> None:
    assert problems({"type": "jwt"})[0] == ["JWT secret is required"]
    assert "less than 32 bytes" in problems({"type": "jwt", "secret": "x" * 31})[0][0]
    rsa, elliptic, edwards = (
        RSAKey.generate_key(2048), ECKey.generate_key("P-384"), OKPKey.generate_key("Ed25519")
    )  # fmt: skip
    keys = {"HS256": OctKey.import_key(SECRET), "RS256": rsa, "PS512": rsa, "ES384": elliptic, "Ed25519": edwards}
    for algorithm, key in keys.items():
        texts = [SECRET] if algorithm == "HS256" else [
            key.as_pem(private=True).decode(), json.dumps(key.as_dict(private=True))
        ]  # fmt: skip
        for text in texts:
            given = {"type": "jwt", "algorithm": algorithm, "issuer": "hub"}
            given |= {"secret": text} if algorithm == "HS256" else {"private_key": text}
            found = read(given)
            assert (problems(given), dict(found)["expires_in"]) == (([], []), "1h")
            found.check()  # which signs one, to see whether the key does
            request = httpx.Request("GET", "https://lab.example/")
            found.sign(request)
            token = request.headers["authorization"].removeprefix("Bearer ")
            claims = json.loads(jws.deserialize_compact(token, key, algorithms=[algorithm]).payload)
            assert (claims.keys(), claims["exp"] - claims["iat"]) == ({"iss", "iat", "exp", "jti"}, 3_600)
            assert "eyJ" not in found.model_dump_json() + repr(found), "no token is kept"


# Certificates


def issued(days: int = 30, *uses: x509.ObjectIdentifier) -> tuple[str, str]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    begins, ends = sorted([clock.now() - datetime.timedelta(days=1), clock.now() + datetime.timedelta(days=days)])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    )  # fmt: skip
    if uses:
        made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    text = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return text, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.ledger_part("S3-37", "PEM or PKCS#12; the pair must match, hold now, and be for clients")
def test_a_client_certificate_fits_its_key_holds_now_and_is_for_clients() -> None:
    chain, key = issued(30, ExtendedKeyUsageOID.CLIENT_AUTH)
    assert problems({"type": "certificate", "certificate": chain, "key": key}) == ([], [])
    plain, plain_key = issued()
    assert problems({"type": "certificate", "certificate": plain, "key": plain_key}) == ([], [])
    cases = {
        "is not the key of the certificate": (chain, plain_key),
        "not now": issued(-9),
        "is not for clients": issued(30, ExtendedKeyUsageOID.SERVER_AUTH),
    }
    for reason, (certificate, own) in cases.items():
        (error,), _ = problems({"type": "certificate", "certificate": certificate, "key": own})
        assert reason in error
        with pytest.raises(ConfigError, match=reason):
            read({"type": "certificate", "certificate": certificate, "key": own}).check()


@pytest.mark.ledger("S3-37")
@pytest.mark.parametrize("packed", [False, True])
def test_a_client_certificate_is_shown(packed: bool) -> None:
    assert problems({"type": "certificate"})[0] == ["Client certificate and private key are required"]
    chain, text = issued(30, ExtendedKeyUsageOID.CLIENT_AUTH)
    for faulty, reason in (
        ((chain, issued()[1]), "is not the key of"), (issued(-9), "not now"),
        (issued(30, ExtendedKeyUsageOID.SERVER_AUTH), "is not for clients"),
    ):  # fmt: skip
        (error,), _ = problems({"type": "certificate", "certificate": faulty[0], "key": faulty[1]})
        assert reason in error
    key, lock = load_pem_private_key(text.encode(), None), BestAvailableEncryption(b"canary-passphrase")
    leaf = x509.load_pem_x509_certificate(chain.encode())
    file = pkcs12.serialize_key_and_certificates(b"hub", key, leaf, None, lock)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()
    authority = trustme.CA()
    held = {"pkcs12": base64.b64encode(file).decode()} if packed else {"certificate": chain, "key": locked}
    found = read({
        "type": "certificate", "passphrase": "canary-passphrase", "ca": authority.cert_pem.bytes().decode(), **held
    })  # fmt: skip
    found.check()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("lab.example").configure_cert(server)
    server.load_verify_locations(cadata=chain)
    server.verify_mode = ssl.CERT_REQUIRED
    found.present(client)
    assert shaken(server, client) == leaf.public_bytes(Encoding.DER)
    with pytest.raises(OSError):  # noqa: PT011 - it ends the connection, in one way or another
        shaken(server, ssl.create_default_context(cadata=authority.cert_pem.bytes().decode()))


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """The certificate that the server was shown. Raises OSError where it got none."""
    near, far = socket.socketpair()
    seen: list[bytes | None] = []

    def answer() -> None:
        with far, contextlib.suppress(OSError), server.wrap_socket(far, server_side=True) as secured:
            seen.append(secured.getpeercert(binary_form=True))
            secured.send(b"x")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with near, client.wrap_socket(near, server_hostname="lab.example") as secured:
            if secured.recv(1) != b"x":
                raise ConnectionError("it hung up")
    finally:
        near.close()
        thread.join()
    return seen[0]


@pytest.mark.ledger_part("S3-37", "a passphrase for PEM keys and PKCS#12 files")
def test_a_passphrase_opens_key_and_file() -> None:
    leaf = trustme.CA().issue_cert("hub@hospital.example")
    chain = leaf.cert_chain_pems[0].bytes()
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary")).decode()
    given = {"type": "certificate", "certificate": chain.decode(), "key": locked}
    assert "needs its passphrase" in problems(given)[0][0]
    assert problems({**given, "passphrase": "canary"}) == ([], [])
    assert "another passphrase" in problems({**given, "passphrase": "wrong"})[0][0]
    file = pkcs12.serialize_key_and_certificates(
        b"hub", key, x509.load_pem_x509_certificate(chain), None, BestAvailableEncryption(b"canary")
    )  # fmt: skip
    given = {"type": "certificate", "pkcs12": base64.encodebytes(file).decode()}
    assert problems({**given, "passphrase": "canary"}) == ([], [])
    assert "another passphrase" in problems(given)[0][0]
