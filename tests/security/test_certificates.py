"""Chains in any order, keys that fit and keys that do not, requests that an authority signs."""

from __future__ import annotations

import datetime

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from hilum import clock, telemetry
from hilum.errors import ConfigError
from hilum.security import certificates


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA().create_child_ca()


@pytest.fixture(scope="module")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("lab.example", "127.0.0.1", common_name="lab.example")


def chain_of(leaf: trustme.LeafCert, *above: trustme.CA) -> list[str]:
    found = [one.bytes().decode() for one in leaf.cert_chain_pems]
    return found + [one.cert_pem.bytes().decode() for one in above]


@pytest.mark.ledger_part("S3-04", "chains are verified in order, with the key that fits")
def test_a_chain_in_any_order_is_put_in_order(leaf: trustme.LeafCert) -> None:
    pems = chain_of(leaf)
    assert len(pems) == 2
    bundle = certificates.read_pem("".join(reversed(pems)), leaf.private_key_pem.bytes().decode())
    assert bundle.links[1].uses == ("authority",)
    assert set(bundle.links[0].uses) >= {"client", "server"}
    assert bundle.links[0].subject.startswith("CN=lab.example")
    assert bundle.links[0].issuer == bundle.links[1].subject
    assert bundle.links[0].names == ("lab.example", "127.0.0.1")
    assert bundle.links[0].not_after > clock.micros()
    assert certificates.links(bundle.chain) == bundle.links
    assert bundle.key is not None
    assert bundle.key not in repr(bundle)
    assert telemetry.mask(bundle.key) == telemetry.MASK


def test_a_key_of_another_certificate_is_refused(authority: trustme.CA, leaf: trustme.LeafCert) -> None:
    other = authority.issue_cert("other.example").private_key_pem.bytes().decode()
    with pytest.raises(ConfigError, match="key: is not the key of the certificate"):
        certificates.read_pem(chain_of(leaf)[0], other)


def test_what_is_not_one_chain_is_refused(authority: trustme.CA, leaf: trustme.LeafCert) -> None:
    stranger, key = trustme.CA(), leaf.private_key_pem.bytes().decode()
    other = authority.issue_cert("other.example")
    for extra in (stranger.cert_pem, other.cert_chain_pems[0]):
        with pytest.raises(ConfigError, match="is not one chain"):
            certificates.read_pem("".join([*chain_of(leaf), extra.bytes().decode()]))
        with pytest.raises(ConfigError, match="is not one chain"):
            certificates.read_pem("".join([*chain_of(leaf), extra.bytes().decode()]), key)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="chain: is no PEM certificate"):
        certificates.read_pem(text)


def test_a_private_key_among_the_chain_is_refused(leaf: trustme.LeafCert) -> None:
    with pytest.raises(ConfigError, match="give that by itself as `key`"):
        certificates.read_pem(leaf.private_key_and_cert_chain_pem.bytes().decode())


def test_a_key_with_a_passphrase(leaf: trustme.LeafCert) -> None:
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    ).decode()
    chain = chain_of(leaf)[0]
    opened = certificates.read_pem(chain, locked, "open sesame")
    assert opened.key is not None
    assert opened.key.startswith("-----BEGIN PRIVATE KEY-----")
    for passphrase, reason in ((None, "needs its passphrase"), ("wrong one", "another passphrase")):
        with pytest.raises(ConfigError, match=reason):
            certificates.read_pem(chain, locked, passphrase)
    with pytest.raises(ConfigError, match="has no passphrase"):
        certificates.read_pem(chain, leaf.private_key_pem.bytes().decode(), "superfluous")


def test_a_pkcs12_file(leaf: trustme.LeafCert) -> None:
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    found = [x509.load_pem_x509_certificate(one.encode()) for one in chain_of(leaf)]
    locked = serialization.BestAvailableEncryption(b"open sesame")
    content = pkcs12.serialize_key_and_certificates(b"lab", key, found[0], found[1:], locked)
    bundle = certificates.read_pkcs12(content, "open sesame")
    assert len(bundle.links) == 2
    assert bundle.key is not None
    for wrong in ((content, "another one"), (b"x", None), (content[:-9], "open sesame")):
        with pytest.raises(ConfigError, match="pkcs12: is no PKCS#12 file, or it has another passphrase"):
            certificates.read_pkcs12(*wrong)


def test_weak_and_odd_keys_are_refused() -> None:
    weak = rsa.generate_private_key(65_537, 1_024)
    text = weak.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    ours = certificates.request({"common_name": "x"}, [], "ec-p256")[0]
    chain = issued(certificates.request({"common_name": "x"}, [], "ec-p256")[1])
    with pytest.raises(ConfigError, match="less than 2048 bits"):
        certificates.read_pem(chain, text)
    with pytest.raises(ConfigError, match="is not the key"):
        certificates.read_pem(chain, ours)


def issued(request: str, days: int = 90) -> str:
    """What an authority makes of a request: a certificate, and its own above it."""
    wanted = x509.load_pem_x509_csr(request.encode())
    assert wanted.is_signature_valid
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
    now = clock.now().replace(microsecond=0)

    def signed(subject: x509.Name, public: object, ca: bool) -> str:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)  # type: ignore[arg-type]  # of either kind
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    return signed(wanted.subject, wanted.public_key(), False) + signed(name, key.public_key(), True)


@pytest.mark.ledger_part("S3-04", "a key and a request are made here, and the issued chain fits")
@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-3072"])
def test_a_request_is_signed_and_completed(kind: certificates.KeyKind) -> None:
    subject = {"common_name": "hub.clinic.example", "organization": "Clinic", "country": "DE"}
    key, request = certificates.request(subject, ["hub.clinic.example", "10.0.0.1", "it@clinic.example"], kind)
    found = x509.load_pem_x509_csr(request.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [type(one).__name__ for one in names] == ["DNSName", "IPAddress", "RFC822Name"]
    bundle = certificates.check_key(certificates.read_pem(issued(request)), key)
    assert bundle.key == key
    assert len(bundle.links) == 2
    with pytest.raises(ConfigError, match="is not the key"):
        certificates.check_key(certificates.read_pem(issued(request)), certificates.request(subject, [], kind)[0])


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="subject"):
        certificates.request({"common_name": "x", "country": "GERMANY"}, [], "ec-p256")
