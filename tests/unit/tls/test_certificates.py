"""What the CA may sign, what is in a certificate, and when there has to be a new one."""

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.names import Own
from lan_session_manager.tls.certificates import (
    CA_DAYS,
    RENEWED_DAYS,
    Names,
    Pair,
    as_pem,
    coverable,
    fingerprint,
    is_due,
    make_ca,
    make_server,
    names_of,
    read_pem,
    wanted_names,
)

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAMES = Names(
    frozenset({"lab-pc", "lab-pc.local", "localhost"}), frozenset({"192.168.1.5", "127.0.0.1", "::1", "2001:db8:1::5"})
)
CA = make_ca(NAMES, "lab-pc", NOW)


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.Extension[x509.ExtensionType]:
    return certificate.extensions.get_extension_for_class(kind)


def _connects(tmp_path: Path, ca: Pair, server: Pair, host: str) -> bool:
    """Whether a client that trusts the CA alone takes the certificate for the host; without a network."""
    (tmp_path / "server.pem").write_bytes(as_pem(server))
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(tmp_path / "server.pem")
    theirs = ssl.create_default_context(cadata=as_pem(ca).partition(b"-----BEGIN PRIVATE")[0].decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = theirs.wrap_bio(down, up, server_hostname=host)
    serving = ours.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, serving):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                return False
    return client.version() is not None


def test_a_certificate_is_for_the_machines_names_and_addresses_but_link_local_ones() -> None:
    own = Own(
        frozenset({"lab-pc", "lab-pc.local"}), frozenset({"192.168.1.5", "fe80::1", "169.254.3.4", "2001:db8::1", "::"})
    )
    assert wanted_names(own, ["Lab.Example.org", "[2001:DB8::2]", "203.0.113.7"]) == Names(
        frozenset({"lab-pc", "lab-pc.local", "localhost", "lab.example.org"}),
        frozenset({"192.168.1.5", "169.254.3.4", "2001:db8::1", "2001:db8::2", "203.0.113.7", "127.0.0.1", "::1"}),
    )


def test_the_ca_lives_ten_years_and_is_for_servers_and_nothing_below_it_only() -> None:
    certificate = CA.certificate
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life == CA_DAYS * DAY
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert _extension(certificate, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert _extension(certificate, x509.NameConstraints).critical
    usage = _extension(certificate, x509.ExtendedKeyUsage).value
    assert usage == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def test_a_certificate_lives_no_longer_than_every_client_takes_and_no_longer_than_the_ca() -> None:
    certificate = make_server(CA, NAMES, NOW).certificate
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life <= 398 * DAY
    assert certificate.not_valid_before_utc < NOW
    late = make_server(CA, NAMES, CA.certificate.not_valid_after_utc - 5 * DAY).certificate
    assert late.not_valid_after_utc == CA.certificate.not_valid_after_utc


def test_every_certificate_has_a_key_of_its_own() -> None:
    first, second = make_server(CA, NAMES, NOW), make_server(CA, NAMES, NOW)
    assert len({pair.key.private_numbers().private_value for pair in (CA, first, second)}) == 3


@pytest.mark.parametrize("host", sorted(NAMES.names | NAMES.addresses))
def test_a_client_that_trusts_the_ca_connects_by_every_name_and_address(tmp_path: Path, host: str) -> None:
    now = datetime.datetime.now(datetime.UTC)  # OpenSSL looks at the clock itself
    ca = make_ca(NAMES, "lab-pc", now)
    assert _connects(tmp_path, ca, make_server(ca, NAMES, now), host)


def _signed_for(ca: Pair, host: str, now: datetime.datetime) -> Pair:
    """What somebody who has taken the CA's key would sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        name: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    issuer = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
    )
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


@pytest.mark.parametrize("host", ["bank.example", "www.lab-pc", "a.lab-pc.local", "1.1.1.1", "2001:db8:2::1"])
def test_a_stolen_ca_can_vouch_for_no_other_site(tmp_path: Path, host: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ca = make_ca(NAMES, "lab-pc", now)
    assert not _connects(tmp_path, ca, _signed_for(ca, host, now), host)


@pytest.mark.parametrize("host", ["lab-pc.local", "192.168.77.1"])
def test_the_attack_on_the_constraints_would_work_on_what_they_permit(tmp_path: Path, host: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ca = make_ca(NAMES, "lab-pc", now)
    assert _connects(tmp_path, ca, _signed_for(ca, host, now), host)


def test_a_name_below_another_one_that_is_permitted_too_is_not_excluded(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    names = Names(frozenset({"example.org", "lab.example.org"}), frozenset({"127.0.0.1"}))
    ca = make_ca(names, "lab", now)
    assert _connects(tmp_path, ca, make_server(ca, names, now), "lab.example.org")


def test_what_the_ca_may_not_sign_is_left_out() -> None:
    more = Names(NAMES.names | {"new.example.org"}, NAMES.addresses | {"10.9.8.7", "203.0.113.9", "2001:db8:1::77"})
    covered = coverable(CA.certificate, more)
    assert covered == Names(NAMES.names, NAMES.addresses | {"10.9.8.7", "2001:db8:1::77"})
    assert names_of(make_server(CA, more, NOW).certificate) == covered


@pytest.mark.parametrize(
    ("days", "due"),
    [(0, False), (396 - RENEWED_DAYS - 1, False), (396 - RENEWED_DAYS + 1, True), (1000, True), (-2, True)],
)
def test_a_new_one_is_due_when_30_days_are_left_and_where_the_clock_was_wrong(days: int, due: bool) -> None:
    assert is_due(make_server(CA, NAMES, NOW), CA, NAMES, NOW + days * DAY) is due


@pytest.mark.parametrize(
    "names",
    [
        Names(NAMES.names, NAMES.addresses | {"192.168.1.6"}),
        Names(NAMES.names, NAMES.addresses - {"192.168.1.5"}),
        Names(NAMES.names - {"lab-pc"}, NAMES.addresses),
    ],
    ids=["new address", "address lost", "name lost"],
)
def test_a_new_one_is_due_when_names_or_addresses_change(names: Names) -> None:
    assert is_due(make_server(CA, NAMES, NOW), CA, names, NOW)


def test_none_is_due_for_what_a_new_one_could_not_have_either() -> None:
    more = Names(NAMES.names | {"new.example.org"}, NAMES.addresses)
    assert not is_due(make_server(CA, more, NOW), CA, more, NOW)
    end = CA.certificate.not_valid_after_utc
    assert not is_due(make_server(CA, NAMES, end - 20 * DAY), CA, NAMES, end - DAY)


def test_a_new_one_is_due_when_another_ca_has_signed_it() -> None:
    assert is_due(make_server(make_ca(NAMES, "lab-pc", NOW), NAMES, NOW), CA, NAMES, NOW)


@given(
    st.lists(st.ip_addresses(), max_size=5), st.lists(st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){0,2}", fullmatch=True))
)
def test_whatever_a_machine_is_called_its_first_ca_may_sign_all_of_it(
    addresses: list[object], names: list[str]
) -> None:
    wanted = wanted_names(Own(frozenset(names), frozenset(map(str, addresses))), [])
    assert coverable(make_ca(wanted, "lab", NOW).certificate, wanted) == wanted


def test_a_pair_is_read_as_it_was_written_and_a_wrong_key_refused() -> None:
    server = make_server(CA, NAMES, NOW)
    again = read_pem(as_pem(server))
    assert again.certificate == server.certificate
    assert again.key.private_numbers() == server.key.private_numbers()
    with pytest.raises(ValueError, match="not the certificate's"):
        read_pem(as_pem(Pair(server.certificate, CA.key)))
    for broken in (b"", as_pem(server)[:-40], as_pem(server)[40:]):
        with pytest.raises(ValueError, match=r"."):
            read_pem(broken)


def test_the_fingerprint_is_what_devices_show() -> None:
    shown = fingerprint(CA.certificate)
    assert len(shown.split(":")) == 32
    assert bytes.fromhex(shown.replace(":", "")) == CA.certificate.fingerprint(hashes.SHA256())
