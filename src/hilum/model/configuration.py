"""The configuration document: what a YAML file, the API and the console all write.

Fields that belong to a connector (`ack`, `tls`, `charset` …) stay in an endpoint's `options`; the
connector's own Config reads them, so that adding a connector touches nothing here.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$")]
Protocol = Literal[
    "hl7_v2", "rest_api", "fhir_api", "websocket", "file_transfer", "database", "message_queue", "dicom", "smtp"
]
IntegrationType = Literal[
    "HL7", "FHIR", "REST_API", "PAYMENT_GATEWAY", "LAB_SYSTEM", "IMAGING", "PHARMACY", "INSURANCE", "WEBHOOK", "OTHER"
]


class Document(BaseModel):
    """Unknown keys are errors: a misspelt key must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Lane(Document):
    """How deliveries to a destination line up."""

    key: str | None = Field(None, description="Path whose value keys the lanes, such as PID-3.1; none: one lane.")
    concurrency: int = Field(1, ge=1, le=256, description="Keys sent at the same time; 1 keeps one outstanding.")


class Breaker(Document):
    """When to stop knocking at a partner that does not answer."""

    failures: int = Field(5, ge=1, le=1000, description="Failures in a row that open the breaker.")
    open_for: int = Field(5_000, ge=100, le=3_600_000, description="Milliseconds until the next probe.")


class RateLimit(Document):
    """At most `messages` in every `period`."""

    messages: int = Field(..., ge=1, le=1_000_000, description="Messages allowed in a period.")
    period: int = Field(1_000, ge=10, le=86_400_000, description="The period in milliseconds.")


class Plaintext(Document):
    """Why an unencrypted connection to another host is accepted in production, and until when."""

    reason: str = Field(..., min_length=8, max_length=500, description="Why TLS is not possible yet.")
    until: datetime.date = Field(..., description="The last day on which this holds.")


class Endpoint(Document):
    """One address of an integration. Keys not listed here belong to the connector of the URL's scheme."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Name = Field(..., description="Name within the integration.")
    direction: Literal["inbound", "outbound"] = Field(..., description="Does the hub receive here or send there?")
    url: str = Field(
        ..., min_length=1, max_length=2_000, description="The scheme picks the connector: mllp://host:port …"
    )
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds to wait for an answer.")
    retries: int = Field(3, ge=0, le=1_000, description="Retries after an answer about the message (AE, 429, 5xx).")
    lane: Lane = Field(Lane(), description="How deliveries line up.")
    on_ambiguous: Literal["resend", "dead"] = Field(
        "resend", description="After a time-out once sent: resend or give up."
    )
    on_dead: Literal["continue", "block"] = Field(
        "continue", description="After a dead letter: go on, or stop the lane."
    )
    expire: int | None = Field(None, ge=1_000, description="Milliseconds after which a waiting delivery expires.")
    max_backlog: int | None = Field(None, ge=1, description="Deliveries that may wait; above it the sources are held.")
    max_lag: int = Field(1_000, ge=1, description="Deliveries a healthy lane may lag before its sources are held.")
    breaker: Breaker = Field(Breaker(), description="When to stop knocking at a partner that does not answer.")
    rate_limit: RateLimit | None = Field(None, description="The partner's limit.")
    search: dict[Name, str] = Field(
        {}, description="Searchable keys, name to path, such as patient: PID-3.1. HL7 v2 has patient by default."
    )
    dedupe: bool = Field(
        True, description="Answer a repeated message (same MSH-3, 4, 10 and body) without a second run."
    )
    plaintext: Plaintext | None = Field(
        None, description="Needed in production for an unencrypted connection to another host."
    )
    timezone: str = Field("UTC", description="The zone of timestamps without an offset, such as Europe/Berlin.")

    @property
    def options(self) -> dict[str, Any]:
        """What the connector's own Config reads."""
        return dict(self.model_extra or {})

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()


class Integration(Document):
    """A managed connection to one external system."""

    name: Name = Field(..., description="Unique within the organization.")
    description: str = Field("", max_length=2_000, description="What it is for.")
    type: IntegrationType = Field("OTHER", description="The kind of system.")
    protocol: Protocol = Field(..., description="How it is spoken to.")
    active: bool = Field(True, description="false: nothing is received from it or sent to it; deliveries wait.")
    endpoints: list[Endpoint] = Field([], description="Its addresses.")


class Retention(Document):
    """How long things are kept."""

    bodies: int = Field(90, ge=1, le=36_500, description="Days that bodies are kept.")


class Route(Document):
    """From one inbound endpoint through steps to outbound endpoints."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Name = Field(..., description="Unique within the organization.")
    source: Reference = Field(..., alias="from", description="The inbound endpoint, integration/endpoint.")
    steps: list[dict[str, Any]] = Field([], description="One verb each: {filter: …}, {map: …} …")
    to: list[Reference] = Field([], description="Outbound endpoints, integration/endpoint.")
    otherwise: list[Reference] = Field([], description="Where a message goes that a filter step turned away.")
    retention: Retention | None = Field(None, description="Overrides the file's retention.")

    @model_validator(mode="after")
    def _one_verb_a_step(self) -> Route:
        for number, step in enumerate(self.steps):
            if len(step) != 1:
                verbs = ", ".join(map(str, step)) or "none"
                raise ValueError(f"steps[{number}] must name exactly one verb, not: {verbs}")
        return self


class Configuration(Document):
    """One YAML file or folder."""

    version: Literal[1] = Field(..., description="The format's version.")
    organization: Name = Field("default", description="The organization that everything in this file belongs to.")
    environment: Literal["production", "staging", "development", "test"] = Field(
        "development", description="production refuses plaintext to other hosts unless it names a reason."
    )
    retention: Retention = Field(Retention(), description="How long things are kept.")
    integrations: list[Integration] = Field([], description="The connected systems.")
    routes: list[Route] = Field([], description="What goes from where to where.")
