"""X.509 (RFC 5280): reads chains and keys, checks that they belong together, makes keys and requests (PKCS#10)."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Sequence
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hilum import telemetry
from hilum.errors import ConfigError

LONGEST = 10  # certificates of a chain
_MOST = 262_144  # characters or bytes of what is uploaded
_ODD = (
    ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion
)  # fmt: skip
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
KeyKind = Literal["ec-p256", "ec-p384", "rsa-3072", "rsa-4096"]
Use = Literal["client", "server", "authority", "signing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """One certificate of a chain. Times are microseconds; the fingerprint is SHA-256 in hexadecimal."""

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: int
    not_after: int
    names: tuple[str, ...]  # that it is valid for (subject alternative names)
    uses: tuple[Use, ...]
    key: str  # algorithm and size


@dataclasses.dataclass(frozen=True, slots=True)
class Bundle:
    """A chain that was checked, the leaf first, and its private key (PKCS#8 PEM), if there is one."""

    chain: str
    links: tuple[Link, ...]
    key: str | None = dataclasses.field(default=None, repr=False)


def read_pem(chain: str, key: str | None = None, passphrase: str | None = None) -> Bundle:
    """A PEM chain in any order. Raises ConfigError where it is no chain or the key is another's."""
    if len(chain) > _MOST or len(key or "") > _MOST:
        raise ConfigError("is too long for a certificate", where="chain")
    if "PRIVATE KEY-----" in chain:
        raise ConfigError("holds a private key: give that by itself as `key`, where it is kept secret", where="chain")
    try:
        found = x509.load_pem_x509_certificates(chain.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("is no PEM certificate", where="chain") from None
    return _bundle(found, _read_key(key, passphrase) if key is not None else None)


def read_pkcs12(content: bytes, passphrase: str | None) -> Bundle:
    """A PKCS#12 file (RFC 7292) with a key and its chain. Raises ConfigError."""
    if len(content) > _MOST:
        raise ConfigError("is too long for a certificate", where="pkcs12")
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(content, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("is no PKCS#12 file, or it has another passphrase", where="pkcs12") from None
    if leaf is None:
        raise ConfigError("holds no certificate", where="pkcs12")
    return _bundle([leaf, *others], _usable(key) if key is not None else None)


def check_key(bundle: Bundle, key: str) -> Bundle:
    """The chain with the key that it was asked for with. Raises ConfigError where that is another's."""
    found = x509.load_pem_x509_certificates(bundle.chain.encode())
    return _bundle(found, _read_key(key, None))


def request(subject: dict[str, str], names: Sequence[str], kind: KeyKind) -> tuple[str, str]:
    """A new private key (PKCS#8) and a request for a certificate of it (PKCS#10), both PEM. Raises ConfigError."""
    attributes = {"common_name": NameOID.COMMON_NAME, "organization": NameOID.ORGANIZATION_NAME,
                  "unit": NameOID.ORGANIZATIONAL_UNIT_NAME, "locality": NameOID.LOCALITY_NAME,
                  "state": NameOID.STATE_OR_PROVINCE_NAME, "country": NameOID.COUNTRY_NAME}  # fmt: skip
    try:
        wanted = x509.Name([x509.NameAttribute(attributes[name], value) for name, value in subject.items() if value])
        builder = x509.CertificateSigningRequestBuilder().subject_name(wanted)
        if names:
            alternatives = x509.SubjectAlternativeName([_general(one) for one in names])
            builder = builder.add_extension(alternatives, critical=False)
    except ValueError as error:
        raise ConfigError(str(error), where="subject") from None
    key: PrivateKey
    if kind.startswith("ec-"):
        key = ec.generate_private_key(ec.SECP256R1() if kind == "ec-p256" else ec.SECP384R1())
    else:
        key = rsa.generate_private_key(65_537, int(kind.removeprefix("rsa-")))
    made = builder.sign(key, hashes.SHA384() if kind == "ec-p384" else hashes.SHA256())
    return _write_key(key), made.public_bytes(serialization.Encoding.PEM).decode()


def links(chain: str) -> tuple[Link, ...]:
    """What stands in a stored chain."""
    return tuple(_link(one) for one in x509.load_pem_x509_certificates(chain.encode())) if chain else ()


def _bundle(found: Sequence[x509.Certificate], key: PrivateKey | None) -> Bundle:
    if len(found) > LONGEST:
        raise ConfigError(f"has more than {LONGEST} certificates", where="chain")
    try:
        ordered = _order(found, key)
        text = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in ordered)
        return Bundle(text, tuple(_link(one) for one in ordered), _write_key(key) if key is not None else None)
    except _ODD:
        raise ConfigError("holds a certificate that cannot be read", where="chain") from None


def _order(found: Sequence[x509.Certificate], key: PrivateKey | None) -> list[x509.Certificate]:
    """From the leaf up, each signed by the next."""
    issuers = [one for one in found if any(_issued(one, other) for other in found if other is not one)]
    leaves = [one for one in found if one not in issuers]
    if key is not None:
        leaves = [one for one in found if one.public_key() == key.public_key()]
        if not leaves:
            raise ConfigError("is not the key of the certificate", where="key")
    if len(leaves) != 1:
        raise ConfigError(
            "is not one chain: each certificate must be signed by another, up from the leaf", where="chain"
        )
    ordered, left = [leaves[0]], [one for one in found if one is not leaves[0]]
    while left:
        above = next((one for one in left if _issued(one, ordered[-1])), None)
        if above is None:
            name = _name(ordered[-1].subject)
            raise ConfigError(f"is not one chain: who signed {name} is missing, or others do not belong", where="chain")
        ordered.append(above)
        left.remove(above)
    return ordered


def _issued(issuer: x509.Certificate, one: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _read_key(text: str, passphrase: str | None) -> PrivateKey:
    telemetry.secrets.add(text)
    try:
        key = serialization.load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except TypeError:
        wrong = "needs its passphrase" if not passphrase else "has no passphrase"
        raise ConfigError(wrong, where="key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("is no PEM private key, or it has another passphrase", where="key") from None
    return _usable(key)


def _usable(key: object) -> PrivateKey:
    """Raises ConfigError for algorithms and sizes that TLS partners refuse, or that are too weak."""
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2_048:
        raise ConfigError("is an RSA key of less than 2048 bits", where="key")
    if not isinstance(key, PrivateKey):
        raise ConfigError("is neither an RSA nor an elliptic-curve key", where="key")
    return key


def _write_key(key: PrivateKey) -> str:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    telemetry.secrets.add(text)
    return text


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def _link(one: x509.Certificate) -> Link:
    return Link(
        _name(one.subject), _name(one.issuer), f"{one.serial_number:x}", one.fingerprint(hashes.SHA256()).hex(),
        _micros(one.not_valid_before_utc), _micros(one.not_valid_after_utc), _names(one), _uses(one),
        _algorithm(one),
    )  # fmt: skip


def _micros(at: datetime.datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _names(one: x509.Certificate) -> tuple[str, ...]:
    try:
        found = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    values = [getattr(name, "value", None) for name in found]
    return tuple(str(value) for value in values if value is not None)


def _uses(one: x509.Certificate) -> tuple[Use, ...]:
    """What it may be used for, by its extensions; one that says nothing may be used by clients and servers."""
    try:
        constraints = one.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            return ("authority",)
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        wanted = set(one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        return ("client", "server")
    kinds: list[tuple[Use, x509.ObjectIdentifier]] = [
        ("client", ExtendedKeyUsageOID.CLIENT_AUTH), ("server", ExtendedKeyUsageOID.SERVER_AUTH),
        ("signing", ExtendedKeyUsageOID.CODE_SIGNING), ("signing", ExtendedKeyUsageOID.EMAIL_PROTECTION),
        ("signing", ExtendedKeyUsageOID.TIME_STAMPING),
    ]  # fmt: skip
    return tuple(dict.fromkeys(use for use, oid in kinds if oid in wanted))


def _algorithm(one: x509.Certificate) -> str:
    try:
        key = one.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").removeprefix("_")
