"""One-time codes: as RFC 6238 has them, for the step that is and its neighbours."""

from __future__ import annotations

import base64

import pyotp
import pytest

from hilum.security import totp

KEY = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("time", "code"),
    [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")],
)
def test_the_codes_of_the_standard_hold(time: int, code: str) -> None:
    """The last six of the eight digits of RFC 6238, appendix B."""
    assert totp.verify(KEY, code, time * SECOND) == time // 30


def test_a_code_holds_for_its_step_and_the_ones_beside_it() -> None:
    secret, now = totp.secret(), 1_700_000_010
    code = pyotp.TOTP(secret).at(now)
    step = now // 30
    assert [totp.verify(secret, code, (now + move) * SECOND) for move in (-30, 0, 30)] == [step] * 3
    assert totp.verify(secret, code, (now + 60) * SECOND) is None
    assert totp.verify(secret, code, (now - 60) * SECOND) is None


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708a", "２８７０８２", " 287082", "-87082"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert totp.verify(KEY, code, 59 * SECOND) is None


def test_a_secret_has_160_bits_and_its_uri_names_who_it_is_for() -> None:
    secret = totp.secret()
    assert len(base64.b32decode(secret)) == 20
    assert secret != totp.secret()
    uri = totp.uri(secret, "ada@example.org", "demo")
    assert uri.startswith("otpauth://totp/Hilum%20demo:ada%40example.org?")
    assert f"secret={secret}" in uri
