"""Settings hold what fits together, those of before can still be read, and the documentation's examples are some."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hilum.model.organization import AuditFeed, Settings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "prove-what-happened.md"
SYSLOG, HTTPS = "syslog+tls://logs.example.org:6514", "https://siem.example.org/hilum"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url": HTTPS}, "signed"),
        ({"url": HTTPS, "format": "cef", "credential": "siem"}, "syslog alone"),
        ({"url": SYSLOG, "credential": "siem"}, "no room"),
        ({"url": SYSLOG, "authorization": "siem"}, "no room"),
        ({"url": SYSLOG, "format": "leef"}, "format"),
        ({"url": "http://siem.example.org/", "credential": "siem"}, "pattern"),
        ({"url": "https://me:secret@siem.example.org/", "credential": "siem"}, "pattern"),
        ({"url": "https://siem.example.org/?token=x", "credential": "siem"}, "pattern"),
        ({"url": HTTPS, "credential": "two words"}, "pattern"),
        ({"url": HTTPS, "credential": "siem", "batch": 0}, "batch"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        AuditFeed.model_validate(given)


def test_feeds_of_a_name_are_one_too_many() -> None:
    with pytest.raises(ValidationError, match="same name"):
        Settings.model_validate({"audit_feeds": [{"url": SYSLOG}, {"url": SYSLOG}]})
    found = Settings.model_validate({"audit_feeds": [{"url": SYSLOG}, {"name": "b", "url": SYSLOG}]})
    assert [one.name for one in found.audit_feeds] == ["", "b"]


def test_the_one_feed_of_before_is_the_one_without_a_name() -> None:
    found = Settings.model_validate({"audit_feed": {"url": SYSLOG, "authority": "PEM"}, "strict": True})
    assert found == Settings(audit_feeds=(AuditFeed(url=SYSLOG, authority="PEM"),), strict=True)
    assert "audit_feed" not in found.model_dump(exclude_defaults=True)
    assert Settings.model_validate({"audit_feed": None}) == Settings()


def test_the_documented_feeds_are_settings() -> None:
    blocks = re.findall(r"```json runnable\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    feeds = [one for text in blocks for one in Settings.model_validate(json.loads(text)["settings"]).audit_feeds]
    assert {one.format for one in feeds} == {"event", "fhir", "ocsf", "cef"}
    assert {one.is_webhook for one in feeds} == {True, False}
