"""Certificates: uploaded or asked for, renewed without a gap, and ending is said in time."""

from __future__ import annotations

import dataclasses
import datetime
import ssl
import uuid
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usages

from hilum import clock
from hilum.app import Hub
from hilum.errors import ConfigError, Conflict, NotFound, Stale
from hilum.jobs import Context, vault_reminders
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.sdk.tls import Tls
from hilum.services.certificates import Certificates, Upload
from hilum.services.credentials import Credentials
from hilum.store import Connection, audit, configuration, jobs
from hilum.store.credentials import DAY
from hilum.store.schema_people import certificate

pytestmark = pytest.mark.anyio
SOMEBODY = Principal(PrincipalKind.USER, "ada", "Ada", 1)
SUBJECT = {"common_name": "hub.clinic.example"}


HOME = Scope(1)


def act(action: str = "certificate.create", scope: Scope = HOME) -> Act:
    return Act(dataclasses.replace(SOMEBODY, organization=scope.organization), scope, action)


@pytest.fixture
def desk(hub: Hub) -> Certificates:
    return Certificates(hub.store, hub.vault)


@pytest.fixture(scope="module")
def leaf() -> trustme.LeafCert:
    return trustme.CA().issue_cert("lab.example")


class Authority:
    """Makes certificates of requests, and lists of those that hold no more."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
        self.chain = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))

    def __call__(self, request: str, use: x509.ObjectIdentifier | None = None) -> str:
        wanted = x509.load_pem_x509_csr(request.encode())
        return self._sign(wanted.subject, wanted.public_key(), x509.ExtendedKeyUsage([use]) if use else None)

    def revoked(self, chain: str) -> str:
        now, one = clock.now(), x509.RevokedCertificateBuilder()
        serial = x509.load_pem_x509_certificate(chain.encode()).serial_number
        entry = one.serial_number(serial).revocation_date(now - datetime.timedelta(days=1)).build()
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name).add_revoked_certificate(entry)
        made = made.last_update(now - datetime.timedelta(days=1)).next_update(now + datetime.timedelta(days=1))
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, subject: x509.Name, key: Any, extension: x509.ExtensionType | None) -> str:
        now = clock.now()
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=90))
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def issue() -> Authority:
    return Authority()


def upload(leaf: trustme.LeafCert, *, key: bool = True) -> Upload:
    chain = "".join(one.bytes().decode() for one in leaf.cert_chain_pems)
    return Upload(chain, leaf.private_key_pem.bytes().decode() if key else None)


@pytest.mark.ledger_part("S3-04", "inventory with chains; private keys are write-only")
async def test_an_uploaded_one_is_listed_and_its_key_is_not_shown(
    hub: Hub, desk: Certificates, leaf: trustme.LeafCert
) -> None:
    made = await desk.upload(act(), "lab-tls", upload(leaf))
    one = made.certificate
    assert (one.name, one.state, one.key, one.renewing) == ("lab-tls", "valid", {"set": True}, False)
    assert one.names == ("lab.example",)
    assert one.days_left is not None
    assert one.days_left > 300
    assert (await desk.list(Scope(1), 0, 10))[0] == [one]
    key = leaf.private_key_pem.bytes().decode()
    body = key.splitlines()[1]
    events = await hub.store.read(audit.newest, 1, audit.EventFilter(), limit=100)
    for shown in (repr(made), repr(events), repr(upload(leaf))):
        assert body not in shown
    values = await desk.values(1, None, {"lab-tls"})
    assert set(values) == {"lab-tls", "lab-tls.chain", "lab-tls.key"}
    assert serialization.load_pem_private_key(values["lab-tls.key"].encode(), None)
    assert values["lab-tls"] == values["lab-tls.key"] + values["lab-tls.chain"]


async def test_one_without_a_key(desk: Certificates, leaf: trustme.LeafCert) -> None:
    made = await desk.upload(act(), "partner", upload(leaf, key=False))
    assert made.certificate.key == {"set": False}
    assert set(await desk.values(1, None, {"partner"})) == {"partner", "partner.chain"}


async def test_a_request_is_completed(desk: Certificates, issue: Authority, leaf: trustme.LeafCert) -> None:
    asked = await desk.request(act("certificate.request"), "hub-tls", SUBJECT, ["hub.clinic.example"], "ec-p256")
    one = uuid.UUID(asked.certificate.id)
    assert asked.certificate.state == "requested"
    assert "BEGIN CERTIFICATE REQUEST" in asked.request
    assert await desk.values(1, None, {"hub-tls"}) == {}, "there is nothing to be used yet"
    with pytest.raises(ConfigError, match="is not the key"):
        await desk.complete(act("certificate.complete"), one, 1, upload(leaf).chain or "")
    done = await desk.complete(act("certificate.complete"), one, 1, issue(asked.request))
    assert (done.certificate.state, done.request, done.certificate.version) == ("valid", "", 2)
    assert len(await desk.values(1, None, {"hub-tls"})) == 3
    with pytest.raises(Conflict, match="nothing was asked for"):
        await desk.complete(act("certificate.complete"), one, 2, issue(asked.request))


@pytest.mark.ledger_part("S3-04", "a certificate is renewed beside the one in use")
async def test_the_old_one_is_used_until_the_new_one_has_come(desk: Certificates, issue: Authority) -> None:
    asked = await desk.request(act("certificate.request"), "hub-tls", SUBJECT, [], "ec-p256")
    one = uuid.UUID(asked.certificate.id)
    await desk.complete(act("certificate.complete"), one, 1, issue(asked.request))
    before = await desk.values(1, None, {"hub-tls"})
    renewing = await desk.renew(act("certificate.renew"), one, 2, SUBJECT, [], "ec-p384")
    assert renewing.certificate.renewing
    assert renewing.certificate.state == "valid"
    assert await desk.values(1, None, {"hub-tls"}) == before
    done = await desk.complete(act("certificate.complete"), one, 3, issue(renewing.request))
    after = await desk.values(1, None, {"hub-tls"})
    assert not done.certificate.renewing
    assert after["hub-tls.key"] != before["hub-tls.key"]
    assert after["hub-tls.chain"] != before["hub-tls.chain"]


async def test_a_chain_is_replaced_under_the_same_key(
    desk: Certificates, issue: Authority, leaf: trustme.LeafCert
) -> None:
    asked = await desk.request(act("certificate.request"), "hub-tls", SUBJECT, [], "ec-p256")
    one = uuid.UUID(asked.certificate.id)
    await desk.complete(act("certificate.complete"), one, 1, issue(asked.request))
    before = await desk.values(1, None, {"hub-tls"})
    await desk.replace(act("certificate.replace"), one, 2, Upload(issue(asked.request)))
    after = await desk.values(1, None, {"hub-tls"})
    assert after["hub-tls.key"] == before["hub-tls.key"]
    assert after["hub-tls.chain"] != before["hub-tls.chain"]
    with pytest.raises(ConfigError, match="is not the key"):
        await desk.replace(act("certificate.replace"), one, 3, upload(leaf, key=False))
    with pytest.raises(Stale):
        await desk.replace(act("certificate.replace"), one, 2, upload(leaf))


async def test_names_are_shared_with_credentials_and_use_forbids_removal(
    hub: Hub, desk: Certificates, leaf: trustme.LeafCert
) -> None:
    credentials = Credentials(hub.store, hub.vault)
    await credentials.create(act(), name="lab", kind="bearer", fields={}, secrets={})
    with pytest.raises(Conflict, match="credential or certificate lab already"):
        await desk.upload(act(), "lab", upload(leaf))
    made = await desk.upload(act(), "lab-tls", upload(leaf))
    one = uuid.UUID(made.certificate.id)
    document = {"endpoints": [{"tls": {"key": "${secret:lab-tls.key}"}}]}
    await hub.store.write(configuration.put_integration, 1, "lab", document, "api")
    assert [use.where for use in (await desk.usage(Scope(1), one)).items] == ["endpoints[0].tls.key"]
    with pytest.raises(Conflict, match="lab-tls is in use by lab"):
        await desk.remove(act("certificate.remove"), one, 1)
    await hub.store.write(configuration.remove_integration, 1, "lab")
    await desk.remove(act("certificate.remove"), one, 1)
    assert await desk.values(1, None, {"lab-tls"}) == {}


async def test_another_organizations_is_not_there(hub: Hub, desk: Certificates, leaf: trustme.LeafCert) -> None:
    made = await desk.upload(act(), "lab-tls", upload(leaf))
    other = Scope(await hub.store.write(configuration.put_organization, "other", {}))
    assert await desk.list(other, 0, 10) == ([], 0)
    assert await desk.values(other.organization, None, {"lab-tls"}) == {}
    with pytest.raises(NotFound):
        await desk.show(other, uuid.UUID(made.certificate.id))
    with pytest.raises(NotFound):
        await desk.remove(act("certificate.remove", other), uuid.UUID(made.certificate.id), 1)


@pytest.mark.ledger("S3-04")
async def test_the_whole_inventory(hub: Hub, desk: Certificates, issue: Authority) -> None:
    """Client, server, authority and signing: asked for, completed, seen, renewed with overlap, ending, revoked."""
    uses = {"client": Usages.CLIENT_AUTH, "server": Usages.SERVER_AUTH, "signing": Usages.CODE_SIGNING}
    for name, use in uses.items():
        asked = await desk.request(act("certificate.request"), name, {"common_name": name}, [name], "ec-p256")
        one = uuid.UUID(asked.certificate.id)
        done = await desk.complete(act("certificate.complete"), one, 1, issue(asked.request, use) + issue.chain)
        assert [link.subject for link in done.links] == [f"CN={name}", "CN=Authority"]
    await desk.upload(act(), "authority", Upload(issue.chain))
    inventory = (await desk.list(Scope(1), 0, 10))[0]
    assert {one.name: one.uses for one in inventory} == {name: (name,) for name in (*uses, "authority")}
    assert {one.name: one.key["set"] for one in inventory} == {**dict.fromkeys(uses, True), "authority": False}
    server = next(one for one in inventory if one.name == "server")
    before = await desk.values(1, None, {"server"})
    renewing = await desk.renew(
        act("certificate.renew"), uuid.UUID(server.id), 2, {"common_name": "server"}, [], "ec-p256"
    )
    assert await desk.values(1, None, {"server"}) == before
    renewed = issue(renewing.request, Usages.SERVER_AUTH) + issue.chain
    await desk.complete(act("certificate.complete"), uuid.UUID(server.id), 3, renewed)
    after = await desk.values(1, None, {"server"})
    assert after["server.key"] != before["server.key"]
    Tls(certificate=after["server.chain"], key=after["server.key"]).listener()
    lists = issue.revoked(before["server.chain"])
    strict = Tls(ca=issue.chain, revocation="leaf", crl=lists).sender()
    assert strict.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert strict.cert_store_stats()["crl"] == 1
    context = Context(hub.store, None, {})  # type: ignore[arg-type]  # no engine runs
    job = await hub.store.read(jobs.get, await hub.store.write(jobs.insert, "vault_reminders", {}, actor="schedule"))
    told = []
    for days in (61, 60, 45, 30, 14, 7, 7, 1, 0):
        await hub.store.write(ends, clock.micros() + days * DAY)
        told.append((await vault_reminders.run(context, job))["certificates"])
    assert told == [0, 4, 0, 4, 4, 4, 0, 4, 0], "at 60, 30, 14, 7 and 1 days, once each"


def ends(connection: Connection, at: int) -> None:
    connection.execute(certificate.update().values(not_after=at))
