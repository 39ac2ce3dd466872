"""What the routes work with, and who asks: handed in by the composition root, found in the app's state."""

from __future__ import annotations

import dataclasses
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from hilum.model.access import Principal
from hilum.model.audit import Act, Outcome
from hilum.sdk.registry import Registry
from hilum.services.activity import Activity
from hilum.services.analytics import Analytics
from hilum.services.answers import Answers
from hilum.services.api_keys import ApiKeys
from hilum.services.approvals import Approvals
from hilum.services.archives import Archives
from hilum.services.audit import Trail
from hilum.services.backup import Report
from hilum.services.certificates import Certificates
from hilum.services.configuration import Configurations
from hilum.services.connections import Connections
from hilum.services.consents import Consents
from hilum.services.credentials import Credentials
from hilum.services.datasets import Datasets
from hilum.services.entries import Entries
from hilum.services.events import Events
from hilum.services.executions import Executions
from hilum.services.export_links import ExportLinks
from hilum.services.export_plans import ExportPlans
from hilum.services.exports import Exports
from hilum.services.health import Health
from hilum.services.identity import Still
from hilum.services.initializing import Initializing
from hilum.services.integration_health import IntegrationHealth
from hilum.services.integrations import Integrations
from hilum.services.jobs import Jobs
from hilum.services.lanes import Lanes
from hilum.services.legal_holds import LegalHolds
from hilum.services.mappings import Mappings
from hilum.services.messages import Messages
from hilum.services.metrics import Metrics
from hilum.services.names import Names
from hilum.services.oidc import Oidc
from hilum.services.organizations import Organizations
from hilum.services.own_account import OwnAccount
from hilum.services.policy import Policy
from hilum.services.proofs import Proofs
from hilum.services.replays import Replays
from hilum.services.retention import Retention
from hilum.services.route_documents import RouteDocuments
from hilum.services.sign_in import SignIn
from hilum.services.signatures import Signatures
from hilum.services.signing_keys import SigningKeys
from hilum.services.sources import Sources
from hilum.services.studies import Studies
from hilum.services.subject_exports import SubjectExports
from hilum.services.tests import Tests
from hilum.services.users import Users
from hilum.services.vault import Vault
from hilum.services.vendors import Vendors
from hilum.services.webhook_receivers import WebhookReceivers
from hilum.services.webhook_subscriptions import WebhookSubscriptions


class Identity(Protocol):
    """Tells who somebody is by what they show."""

    async def bearer(self, text: str, source: str) -> Principal:
        """By an access token or an API key. Raises Unauthenticated."""

    async def cookie(self, text: str) -> tuple[Principal, str]:
        """By the console's cookie, with the CSRF token that belongs to it. Raises Unauthenticated."""

    async def still(self, text: str, source: str, *, cookie: bool = False) -> Still:
        """By either, over a connection that stays open, which is no use of a session. Raises Unauthenticated."""


class Record(Protocol):
    """Stores the audit event of an act that changed nothing."""

    async def __call__(
        self, act: Act, *, outcome: Outcome = Outcome.SUCCESS, code: str = "", error: str = ""
    ) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """One set a hub."""

    registry: Registry
    names: Names
    messages: Messages
    replays: Replays
    lanes: Lanes
    sources: Sources
    jobs: Jobs
    configurations: Configurations
    connections: Connections
    consents: Consents
    reload: Callable[[], Awaitable[None]]
    backup: Callable[[Path], Awaitable[Report]]
    events: Events
    health: Health
    metrics: Metrics
    integrations: Integrations
    initializing: Initializing
    route_documents: RouteDocuments
    mappings: Mappings
    organizations: Organizations
    studies: Studies
    users: Users
    api_keys: ApiKeys
    vault: Vault
    vendors: Vendors
    credentials: Credentials
    certificates: Certificates
    entries: Entries
    policy: Policy
    signatures: Signatures
    approvals: Approvals
    answers: Answers
    identity: Identity
    signing_keys: SigningKeys
    proofs: Proofs
    sign_in: SignIn
    own_account: OwnAccount
    oidc: Oidc
    tests: Tests
    executions: Executions
    integration_health: IntegrationHealth
    activity: Activity
    analytics: Analytics
    record: Record
    audit: Trail
    legal_holds: LegalHolds
    retention: Retention
    archives: Archives
    subject_exports: SubjectExports
    datasets: Datasets
    exports: Exports
    export_links: ExportLinks
    export_plans: ExportPlans
    webhook_subscriptions: WebhookSubscriptions
    webhook_receivers: WebhookReceivers


async def _services(request: Request) -> Services:  # not async, it would be run in a thread
    found: Services = request.app.state.services
    return found


Used = Annotated[Services, Depends(_services)]


def local_name(uid: int) -> str:
    """The actor that a user of this machine is: local:alice."""
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:{uid}"
