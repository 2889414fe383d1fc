"""The certificate authority (CA) of this server, and the certificates that it signs. Pure.

Owners install the CA on their devices, so it must be able to sign nothing but this server: it has critical name
constraints (RFC 5280, section 4.2.1.10) and is for TLS servers only. Whether a client keeps to those of a CA that is
installed is left open there: OpenSSL does, and Chromium from 112 on (its policy EnforceLocalAnchorConstraintsEnabled).
All know the extension, so where a system does not look at that of an installed CA, nothing breaks.

The names are the machine's own and those that its owner allowed when the CA was made. Its addresses may change as
long as the CA lives, so all private ones are within the constraints: they are nobody's site. Of public addresses only
those are that the machine had then, with the /64 of an IPv6 address.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lan_session_manager.hosts import parse_host
from lan_session_manager.names import Own

CA_DAYS = 3653
# Apple takes 825 days at most (support.apple.com/103769); 398, its bound for public CAs, is what all others take too.
SERVER_DAYS = 397
RENEWED_DAYS = 30
_BACKDATED = datetime.timedelta(days=1)  # for devices whose clock is slow; within the days above
_ORGANISATION = "LAN Session Manager"
_PRIVATE = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598, which private overlays use as well
        "169.254.0.0/16",
        "127.0.0.0/8",
        "::1/128",
        "fc00::/7",
    )
)

_Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Names:
    """Whom a certificate is for. Names in lower case; addresses canonical, without a zone."""

    names: frozenset[str]
    addresses: frozenset[str]


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def wanted_names(own: Own, allowed: Iterable[str]) -> Names:
    """The names and addresses of a machine and those that its owner allows, as a certificate can have them.

    A link-local IPv6 address means nothing without its zone, and a certificate has no zones.
    """
    hosts = [parse_host(text) for text in (*own.names, *own.addresses, *allowed, "localhost", "127.0.0.1", "::1")]
    addresses = {ip_address(host.text) for host in hosts if host.is_address}
    return Names(
        frozenset(host.text for host in hosts if not host.is_address),
        frozenset(
            str(address)
            for address in addresses
            if not (address.is_unspecified or address.is_multicast or (address.version == 6 and address.is_link_local))
        ),
    )


def make_ca(names: Names, host: str, now: datetime.datetime) -> Pair:
    """A new CA that can sign these names and addresses; `host` is what people will read in its name."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Two CAs of the same name confuse clients: a new one has another.
    title = f"{_ORGANISATION} CA, {host[:20]}, {serial % 0x10000:04x}"
    subject = _name(title)
    certificate = (
        _builder(subject, subject, key.public_key(), serial, now, now + datetime.timedelta(days=CA_DAYS) - _BACKDATED)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(_constraints(names), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def make_server(ca: Pair, names: Names, now: datetime.datetime) -> Pair:
    """A new certificate, with a new key, for those of the names that the CA may sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + datetime.timedelta(days=SERVER_DAYS) - _BACKDATED, ca.certificate.not_valid_after_utc)
    end = max(end, now)  # the CA has ended, or the clock says so: serving goes on, and clients decide
    signed = coverable(ca.certificate, names)
    others: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(signed.names)]
    others += [x509.IPAddress(ip_address(text)) for text in sorted(signed.addresses)]
    serial = x509.random_serial_number()
    issuer_key = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(_name(_ORGANISATION), ca.certificate.subject, key.public_key(), serial, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def coverable(ca: x509.Certificate, names: Names) -> Names:
    """Those of the names and addresses that the CA may sign."""
    permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    known = {each.value for each in permitted if isinstance(each, x509.DNSName)}
    networks = [each.value for each in permitted if isinstance(each, x509.IPAddress)]
    return Names(
        names.names & known,
        frozenset(
            text
            for text in names.addresses
            if any(isinstance(net, _Network) and ip_address(text) in net for net in networks)
        ),
    )


def names_of(certificate: x509.Certificate) -> Names:
    """The names and addresses that a certificate is for."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names(frozenset(), frozenset())
    return Names(
        frozenset(name.lower() for name in value.get_values_for_type(x509.DNSName)),
        frozenset(str(address) for address in value.get_values_for_type(x509.IPAddress)),
    )


def is_due(server: Pair, ca: Pair, names: Names, now: datetime.datetime) -> bool:
    """Whether a new certificate has to be made in the place of `server`."""
    certificate = server.certificate
    try:
        certificate.verify_directly_issued_by(ca.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return True
    if now < certificate.not_valid_before_utc or names_of(certificate) != coverable(ca.certificate, names):
        return True
    soon = now + datetime.timedelta(days=RENEWED_DAYS)
    # At the very end of the CA a new one would last no longer.
    return certificate.not_valid_after_utc < min(soon, ca.certificate.not_valid_after_utc)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 as devices show it: pairs of upper-case digits with colons between them."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def as_pem(pair: Pair) -> bytes:
    """Certificate and key in one text."""
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pair.certificate.public_bytes(Encoding.PEM) + key


def read_pem(text: bytes) -> Pair:
    """The reverse of `as_pem`. Raises ValueError, also for a key that is not the certificate's."""
    certificate = x509.load_pem_x509_certificate(text)
    try:
        key = load_pem_private_key(text[text.rfind(b"-----BEGIN") :], None)
    except TypeError:
        raise ValueError("the key has a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key is not the certificate's")
    return Pair(certificate, key)


def _constraints(names: Names) -> x509.NameConstraints:
    networks: set[_Network] = set(_PRIVATE)
    for text in names.addresses:
        address = ip_address(text)
        if not any(address in network for network in _PRIVATE):
            networks.add(ip_network(f"{text}/{32 if address.version == 4 else 64}", strict=False))
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(names.names)]
    permitted += [x509.IPAddress(network) for network in sorted(networks, key=lambda each: (each.version, each))]
    # A permitted name permits all names below it, and a host may be called "dev" or "cloud". With a point before it,
    # a name means only those below it, or nothing, where a library takes RFC 5280 by the letter.
    below = [name for name in names.names if not any(other.endswith(f".{name}") for other in names.names)]
    return x509.NameConstraints(permitted, [x509.DNSName(f".{name}") for name in sorted(below)])


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
