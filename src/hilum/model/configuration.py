"""The configuration document: what a YAML file, the API and the console all write.

Fields that belong to a connector (`ack`, `tls`, `charset` …) stay in an endpoint's `options`; the
connector's own Config reads them, so that adding a connector touches nothing here.
"""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from hilum.model.processing import DataCategory, LegalBasis

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$")]
RESERVED = "system"
"""The hub's own organization, which nobody else may be called."""

Protocol = Literal[
    "hl7_v2", "rest_api", "fhir_api", "websocket", "file_transfer", "database", "message_queue", "dicom", "smtp"
]
IntegrationType = Literal[
    "HL7", "FHIR", "PAYMENT_GATEWAY", "LAB_SYSTEM", "IMAGING_SYSTEM", "PHARMACY_SYSTEM", "EHR_SYSTEM", "INSURANCE",
    "API", "WEBHOOK", "OTHER",
]  # fmt: skip
Environment = Literal["production", "staging", "development", "test"]
UNSEEN = r"\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff"
"""Characters that nobody sees, for a pattern."""

Title = Annotated[str, StringConstraints(max_length=120, pattern=rf"^[^{UNSEEN}]*$")]
HANDED_DOWN = ("timeout", "retries", "authentication")
"""What an integration says for those of its endpoints that do not say it themselves; headers are joined."""


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
    """At most `messages` in every `period`, `burst` of them at once after a rest, `concurrency` beside each other."""

    messages: int = Field(..., ge=1, le=1_000_000, description="Messages allowed in a period.")
    period: int = Field(1_000, ge=10, le=86_400_000, description="The period in milliseconds.")
    burst: int | None = Field(None, ge=1, le=1_000_000, description="Messages at once after a rest; none: `messages`.")
    concurrency: int | None = Field(
        None, ge=1, le=256, description="Messages and executions at the partner at a time; none: any number."
    )


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
        ..., min_length=1, max_length=2_048, description="The scheme picks the connector: mllp://host:port …"
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
    data_mapping: dict[str, Any] | str | None = Field(
        None, description="Of what is executed through the API: a mapping, or its name, applied before it is sent."
    )
    response_mapping: dict[str, Any] | str | None = Field(None, description="The same, applied to the answer.")

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
    title: Title = Field("", description="What people call it; empty: its name.")
    description: str = Field("", max_length=2_000, description="What it is for.")
    type: IntegrationType = Field("OTHER", description="The kind of system.")
    provider: Title = Field("", description="Who makes or runs the other system.")
    protocol: Protocol = Field(..., description="How it is spoken to.")
    environment: Environment | None = Field(None, description="Overrides the file's environment.")
    tags: list[Name] = Field([], max_length=20, description="Words to find it by.")
    study: Name | None = Field(None, description="The study it belongs to: people of that study alone see it too.")
    gxp: bool = Field(False, description="Good practice (GxP) holds for it: changes need a reason and a second person.")
    data_categories: list[DataCategory] = Field([], max_length=50, description="What passes over it; own words: x-….")
    legal_basis: list[LegalBasis] = Field([], max_length=20, description="Why that is lawful, such as gdpr-9-2-h.")
    active: bool = Field(True, description="false: nothing is received from it or sent to it; deliveries wait.")
    error_after: int = Field(3, ge=1, le=1_000, description="Checks in a row without any answer, and it is in error.")
    auto_recover: bool = Field(True, description="false: after an error a person activates it, not the next success.")
    timeout: int | None = Field(None, ge=100, le=300_000, description="For endpoints that name none: milliseconds.")
    retries: int | None = Field(None, ge=0, le=1_000, description="For endpoints that name none.")
    authentication: dict[str, Any] | None = Field(None, description="For endpoints that name none: how to sign in.")
    headers: dict[str, str] = Field({}, description="Sent to every endpoint, beside its own headers.")
    config: dict[str, Any] = Field({}, description="Facts of the site's own, under keys that begin with x-.")
    endpoints: list[Endpoint] = Field([], description="Its addresses.")

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, given: Any) -> Any:
        """Every reader sees endpoints as they work, whoever said what."""
        if not isinstance(given, dict) or not isinstance(given.get("endpoints"), list):
            return given
        shared = {key: given[key] for key in HANDED_DOWN if given.get(key) is not None}
        headers = given["headers"] if isinstance(given.get("headers"), dict) else {}
        fhir = given.get("protocol") == "fhir_api"
        if not (shared or headers or fhir):
            return given
        return {**given, "endpoints": [_inherit(one, shared, headers, fhir=fhir) for one in given["endpoints"]]}

    @field_validator("config")
    @classmethod
    def _is_bounded(cls, config: dict[str, Any]) -> dict[str, Any]:
        for key in config:
            if not key.startswith("x-"):
                raise ValueError(f"{key!r} is no key that the hub knows; a site's own begin with x-")
        if len(json.dumps(config)) > 65_536:
            raise ValueError("must have 64 KiB at most")
        if _depth(config) > 10:
            raise ValueError("must have 10 levels at most")
        return config


def _inherit(endpoint: Any, shared: dict[str, Any], headers: dict[str, Any], *, fhir: bool) -> Any:
    if not isinstance(endpoint, dict):
        return endpoint
    own = endpoint.get("headers")
    sends = endpoint.get("direction") == "outbound" and str(endpoint.get("url")).lower().startswith("http")
    if fhir and sends and endpoint.get("format", "json") == "json":
        shared = {**shared, "content_type": "application/fhir+json"}
    joined = {"headers": {**headers, **(own if isinstance(own, dict) else {})}} if headers else {}
    return {**shared, **endpoint, **joined}


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(one) for one in value), default=0)
    return 0


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
    environment: Environment = Field(
        "development", description="production refuses plaintext to other hosts unless it names a reason."
    )
    retention: Retention = Field(Retention(), description="How long things are kept.")
    integrations: list[Integration] = Field([], description="The connected systems.")
    routes: list[Route] = Field([], description="What goes from where to where.")
