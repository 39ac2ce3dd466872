"""What an organization decides for itself: passwords, sessions, signatures, retention. All of it within bounds.

21 CFR 11.300(b) wants passwords that are periodically checked, recalled or revised; NIST SP 800-63B advises against
routine expiry. So both can be had: the default is a year, 0 is never.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hilum.model.configuration import Document
from hilum.model.retention import CLASSES, MOST, Class
from hilum.model.signing import Rule

_CREDENTIAL = r"^[a-z0-9][a-z0-9_-]{0,62}(\.[A-Za-z][A-Za-z0-9_]{0,62})?$"


class AuditFeed(Document):
    """A collector that gets every audit event: syslog (RFC 5424) over TLS (RFC 5425), or signed webhooks."""

    name: str = Field(
        "", max_length=40, pattern=r"^[a-z0-9-]*$", description="What tells it from others; how far it is goes by that."
    )
    url: str = Field(
        ...,
        max_length=300,
        pattern=r"^(syslog\+tls://[A-Za-z0-9.-]+:[0-9]{1,5}|https://[^\s?#@]+)$",
        description="syslog+tls://HOST:PORT, or the https address that batches are posted to.",
        examples=["syslog+tls://logs.example.org:6514", "https://siem.example.org/hilum"],
    )
    format: Literal["event", "fhir", "ocsf", "cef"] = Field(
        "event",
        description="The hub's own document; FHIR R4 AuditEvent by IHE BALP; OCSF 1.8.0; CEF 0, over syslog alone.",
    )
    credential: str | None = Field(
        None,
        pattern=_CREDENTIAL,
        description="NAME or NAME.FIELD of the credential that webhooks are signed with (whsec_ or whsk_).",
    )
    authorization: str | None = Field(
        None,
        pattern=_CREDENTIAL,
        description="NAME or NAME.FIELD of the credential that holds the header Authorization, where one is wanted.",
    )
    batch: int = Field(100, ge=1, le=500, description="Events of one webhook at the most.")
    authority: str = Field(
        "", max_length=20_000, description="The certificates, as PEM, that it is believed by; none: the system's."
    )

    @property
    def is_webhook(self) -> bool:
        return self.url.startswith("https://")

    @model_validator(mode="after")
    def _fits_its_transport(self) -> Self:
        if self.is_webhook and self.format == "cef":
            raise ValueError("CEF goes over syslog alone")
        if self.is_webhook and self.credential is None:
            raise ValueError("a webhook is signed: name the credential that holds its secret")
        if not self.is_webhook and (self.credential or self.authorization):
            raise ValueError("syslog has no room for a credential")
        return self


class SignInProvider(Document):
    """An OpenID Connect provider that the organization's people may sign in with, by their verified address."""

    issuer: str = Field(..., max_length=300, pattern=r"^https://[^\s?#]+$", description="Its address, as it says it.")
    client_id: str = Field(..., min_length=1, max_length=300, description="What it knows this hub as.")
    credential: str | None = Field(
        None, max_length=200, description="NAME or NAME.FIELD of the credential that holds the client's secret."
    )
    domain: str = Field(
        ..., max_length=253, pattern=r"^[a-z0-9.-]+$", description="Only addresses of it sign in, such as example.org."
    )
    authority: str = Field(
        "", max_length=20_000, description="The certificates, as PEM, that it is believed by; none: the system's."
    )


class ExportRules(Document):
    """What exports of the organization must keep to. Whatever it says, every export is recorded."""

    at_once: int = Field(5, ge=1, le=50, description="Exports that may be at work at once.")
    megabytes: int = Field(20_000, ge=10, le=10_000_000, description="MB that files of exports may take up together.")
    days: int = Field(7, ge=1, le=30, description="Days that the file of an export can be fetched.")
    purpose: bool = Field(False, description="Must every export say its purpose?")
    receiver: bool = Field(False, description="Must every export say who gets it, and in which country?")
    countries: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = Field(
        (), max_length=250, description="Countries (ISO 3166-1) that data may go to; none: any."
    )
    agreement: bool = Field(
        False, description="May data go to an endpoint only whose vendor has a BAA or DPA that holds?"
    )
    variables: tuple[str, ...] = Field(
        (), max_length=2_000, description="The variables that may leave (minimum necessary); none: all."
    )
    deidentified: bool = Field(False, description="Must rows of data sets be de-identified?")


def _kept(kind: Class) -> Any:
    one = CLASSES[kind]
    text = f"{one.unit.capitalize()} that {one.what} are kept; {one.least} at least, for {one.why}."
    return Field(one.usual, ge=one.least, le=MOST[one.unit], description=text)


class Settings(Document):
    """An organization's settings. What it did not set is the hub's default."""

    password_days: int = Field(365, ge=0, le=3_650, description="Days after which a password must be new; 0: never.")
    session_idle: int = Field(15, ge=5, le=60, description="Minutes without a request after which a session ends.")
    session_hours: int = Field(12, ge=1, le=24, description="Hours after which a session ends, whatever happens.")
    lockout_failures: int = Field(5, ge=3, le=10, description="Wrong passwords in a row that lock a user out.")
    lockout_minutes: int = Field(15, ge=5, le=1_440, description="Minutes that a lock-out lasts.")
    second_factor: Literal["optional", "privileged", "everybody"] = Field(
        "optional", description="Who needs a one-time code to sign in; privileged: administrators and operators."
    )
    strict: bool = Field(False, description="Are integrations for administrators alone, to look at as well?")
    audit_years: int = _kept("audit_events")
    archive_bodies: bool = Field(False, description="Are bodies archived before retention removes them?")
    archive_years: int = _kept("archives")
    log_years: int = _kept("integration_logs")
    diagnostic_years: int = _kept("diagnostics")
    test_years: int = _kept("test_results")
    health_years: int = _kept("health_results")
    execution_years: int = _kept("executions")
    execution_body_days: int = _kept("execution_bodies")
    webhook_days: int = _kept("webhook_deliveries")
    session_years: int = _kept("sessions")
    job_days: int = _kept("jobs")
    audit_feeds: tuple[AuditFeed, ...] = Field(
        (), max_length=8, description="Whereto every audit event is sent as well; each has a name of its own."
    )
    oidc: SignInProvider | None = Field(None, description="Whom people may sign in with besides their password.")
    exports: ExportRules = Field(ExportRules(), description="What exports must keep to.")
    policy: tuple[Rule, ...] = Field(
        (), max_length=100, description="Its own rules of what needs a reason, a signature or a second person."
    )

    @field_validator("audit_feeds")
    @classmethod
    def _names_differ(cls, feeds: tuple[AuditFeed, ...]) -> tuple[AuditFeed, ...]:
        if len({one.name for one in feeds}) < len(feeds):
            raise ValueError("two feeds have the same name")
        return feeds

    @model_validator(mode="before")
    @classmethod
    def _was_one_feed(cls, given: Any) -> Any:
        """`audit_feed` is how settings say it that are from when there could be one only."""
        if not isinstance(given, dict) or "audit_feed" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "audit_feed"}
        one = given["audit_feed"]
        return rest if one is None else rest | {"audit_feeds": [one, *rest.get("audit_feeds", ())]}
