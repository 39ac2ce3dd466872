"""Certificates by file or as text: the vault has no files, and OpenSSL takes keys from nothing else."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hilum import clock
from hilum.errors import ConfigError
from hilum.sdk.tls import Tls


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def shaken(listener: ssl.SSLContext, sender: ssl.SSLContext) -> str | None:
    """The protocol that both agree on."""
    near, far = socket.socketpair()

    def answer() -> None:
        with contextlib.suppress(OSError), far, listener.wrap_socket(far, server_side=True) as secured:
            secured.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with near, sender.wrap_socket(near, server_hostname="lab.example") as secured:
            secured.send(b"x")
            return secured.version()
    finally:
        near.close()
        thread.join()


@pytest.mark.ledger_part("S3-04", "connections use certificates and keys of the vault")
@pytest.mark.parametrize("as_text", [True, False])
def test_both_ways_speak_tls(authority: trustme.CA, tmp_path: Path, as_text: bool) -> None:
    leaf = authority.issue_cert("lab.example")
    files = {"chain": leaf.cert_chain_pems[0], "key": leaf.private_key_pem, "ca": authority.cert_pem}
    given = {}
    for name, pem in files.items():
        pem.write_to_path(tmp_path / name)
        given[name] = pem.bytes().decode() if as_text else str(tmp_path / name)
    listener = Tls(certificate=given["chain"], key=given["key"], ca=given["ca"], client="optional")
    sender = Tls(certificate=given["chain"], key=given["key"], ca=given["ca"])
    assert shaken(listener.listener(), sender.sender()) == "TLSv1.3"
    assert "PRIVATE KEY" not in repr(listener)


@pytest.mark.parametrize("text", ["-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n", "/no/such/file"])
def test_what_cannot_be_loaded_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="tls: cannot load"):
        Tls(certificate=text).listener()
    with pytest.raises(ConfigError, match="tls: cannot load"):
        Tls(ca=text).sender()


def revoked(authority: trustme.CA, *leaves: trustme.LeafCert, days: int = 1) -> str:
    """The authority's list of certificates that hold no more."""
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
    now = clock.now()
    made = x509.CertificateRevocationListBuilder().issuer_name(issuer)
    made = made.last_update(now - datetime.timedelta(days=2)).next_update(now + datetime.timedelta(days=days))
    for leaf in leaves:
        serial = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - datetime.timedelta(days=1))
        made = made.add_revoked_certificate(one.build())
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.ledger_part("S3-04", "a policy of revocation: none, the leaf, or the whole chain")
@pytest.mark.parametrize("as_text", [True, False])
def test_a_revoked_certificate_is_refused(authority: trustme.CA, tmp_path: Path, as_text: bool) -> None:
    good, bad = authority.issue_cert("lab.example"), authority.issue_cert("lab.example")
    text = revoked(authority, bad)
    (tmp_path / "crl.pem").write_text(text)
    ca = authority.cert_pem.bytes().decode()
    strict = Tls(ca=ca, revocation="leaf", crl=text if as_text else str(tmp_path / "crl.pem"))
    for leaf, held in ((good, True), (bad, False)):
        chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
        listener = Tls(certificate=chain, key=key)
        assert shaken(listener.listener(), Tls(ca=ca).sender()), "without the policy both hold"
        if held:
            assert shaken(listener.listener(), strict.sender())
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
                shaken(listener.listener(), strict.sender())


def test_a_list_that_is_missing_or_has_ended_refuses_everybody(authority: trustme.CA) -> None:
    ca = authority.cert_pem.bytes().decode()
    with pytest.raises(ConfigError, match=r"tls\.crl: checking for revocation needs the lists"):
        Tls(ca=ca, revocation="chain").sender()
    leaf = authority.issue_cert("lab.example")
    listener = Tls(
        certificate=leaf.cert_chain_pems[0].bytes().decode(), key=leaf.private_key_pem.bytes().decode()
    ).listener()  # fmt: skip
    for lists in (revoked(authority, days=-1), revoked(trustme.CA())):
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(listener, Tls(ca=ca, revocation="leaf", crl=lists).sender())
