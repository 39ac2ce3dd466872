"""AWS KMS, over a server that checks signatures as AWS does and binds the encryption context."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import ConfigError, StoreError
from hilum.security.keys import context
from hilum.security.keys.kms import KmsAddress, KmsKeys
from hilum.security.keys.signature import Signer

KEY = secrets.token_bytes(32)
BOUND = context(1, 1)
ARN = "arn:aws:kms:eu-central-1:111122223333:key/{}"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Kms:
    """Keys by ARN; `alias/hilum` leads to the newest."""

    def __init__(self) -> None:
        self.keys = {ARN.format("1"): AESGCM(secrets.token_bytes(32))}

    def __call__(self, path: str, headers: dict[str, str], asked: dict[str, Any], raw: bytes) -> tuple[int, Any]:
        if not self._signed(path, headers, raw):
            return 403, {"__type": "InvalidSignatureException"}
        try:
            return 200, getattr(self, headers["x-amz-target"].removeprefix("TrentService."))(asked)
        except (InvalidTag, KeyError):
            return 400, {"__type": "InvalidCiphertextException"}

    def _signed(self, path: str, headers: dict[str, str], raw: bytes) -> bool:
        """Signs what came once more and compares."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=AKID/(\d{8})/eu-central-1/kms/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            headers["authorization"],
        )
        if found is None:
            return False
        names = found[2].split(";")
        assert {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(names)
        at = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        given = {name: headers[name] for name in names if name not in ("host", "x-amz-date", "x-amz-security-token")}
        token = headers.get("x-amz-security-token", "")
        signer = Signer("AKID", SECRET, "eu-central-1", "kms", token)
        again = signer.headers(f"http://{headers['host']}{path}", raw, given, at)
        return again["authorization"] == headers["authorization"]

    def _newest(self, name: str) -> str:
        return list(self.keys)[-1] if name == "alias/hilum" else name

    def Encrypt(self, asked: dict[str, Any]) -> dict[str, str]:
        return self._seal(
            self._newest(asked["KeyId"]), base64.b64decode(asked["Plaintext"]), asked["EncryptionContext"]
        )

    def Decrypt(self, asked: dict[str, Any]) -> dict[str, str]:
        arn, plain = self._open(asked["CiphertextBlob"], asked["EncryptionContext"])
        assert arn == asked["KeyId"]
        return {"KeyId": arn, "Plaintext": base64.b64encode(plain).decode()}

    def ReEncrypt(self, asked: dict[str, Any]) -> dict[str, str]:
        arn, plain = self._open(asked["CiphertextBlob"], asked["SourceEncryptionContext"])
        assert arn == asked["SourceKeyId"]
        return self._seal(self._newest(asked["DestinationKeyId"]), plain, asked["DestinationEncryptionContext"])

    def _seal(self, arn: str, plain: bytes, bound: dict[str, str]) -> dict[str, str]:
        nonce = secrets.token_bytes(12)
        blob = arn.encode() + b"|" + nonce + self.keys[arn].encrypt(nonce, plain, json.dumps(bound).encode())
        return {"KeyId": arn, "CiphertextBlob": base64.b64encode(blob).decode()}

    def _open(self, text: str, bound: dict[str, str]) -> tuple[str, bytes]:
        arn, _, raw = base64.b64decode(text).partition(b"|")
        return arn.decode(), self.keys[arn.decode()].decrypt(raw[:12], raw[12:], json.dumps(bound).encode())


def keys(url: str, **values: str) -> KmsKeys:
    given = {"region": "eu-central-1", "key": "alias/hilum", "access_key": "AKID", "secret_key": SECRET, **values}
    return KmsKeys(KmsAddress(url, **given))


@pytest.mark.ledger_part("S0-33", "data keys are wrapped by an AWS-KMS-compatible service")
@pytest.mark.parametrize("token", ["", "a-session-token"])
def test_wrap_unwrap_and_rewrap(serve: Callable[..., Any], token: str) -> None:
    kms = Kms()
    service = serve(kms)
    here = keys(service.url, session_token=token)
    wrapped = here.wrap(KEY, BOUND)
    assert (wrapped.provider, wrapped.wrapped_by) == ("kms", ARN.format("1"))
    assert here.unwrap(wrapped, BOUND) == KEY
    kms.keys[ARN.format("2")] = AESGCM(secrets.token_bytes(32))
    again = here.rewrap(wrapped, BOUND)
    assert again.wrapped_by == ARN.format("2")
    assert here.unwrap(again, BOUND) == KEY
    assert "Plaintext" not in service.asked[2][2], "the data key did not come here"
    assert service.asked[0][2]["EncryptionContext"] == {"hilum": BOUND.decode()}


def test_another_context_or_secret_key_is_refused(serve: Callable[..., Any]) -> None:
    service = serve(Kms())
    wrapped = keys(service.url).wrap(KEY, BOUND)
    with pytest.raises(StoreError, match="KMS refused with status 400"):
        keys(service.url).unwrap(wrapped, context(2, 1))
    with pytest.raises(StoreError, match="KMS refused with status 403"):
        keys(service.url, secret_key="another-secret-key").unwrap(wrapped, BOUND)


@pytest.mark.parametrize("answer", [{}, {"KeyId": 1}, {"KeyId": "a", "CiphertextBlob": 7}])
def test_an_answer_that_is_none_is_said(serve: Callable[..., Any], answer: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="KMS answers without"):
        keys(serve(lambda *_: (200, answer)).url).wrap(KEY, BOUND)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="needs its region, secret key"):
        keys("https://kms", region="", secret_key="")


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_signature_is_that_of_amazons_test_suite(method: str, signature: str) -> None:
    """get-vanilla and post-vanilla of the Signature Version 4 test suite."""
    signer = Signer("AKIDEXAMPLE", SECRET, "us-east-1", "service")
    at = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)
    found = signer.headers("https://example.amazonaws.com/", b"", {}, at, method)
    assert found["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    assert hashlib.sha256(b"").hexdigest() not in str(found)
