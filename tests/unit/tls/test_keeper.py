"""What is kept on disk, whole or not at all, and which certificate is in force."""

import datetime
import itertools
import logging
import os
import ssl
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from lan_session_manager.errors import CertificateError, DataDirError
from lan_session_manager.names import Own
from lan_session_manager.tls.certificates import Names, Pair, as_pem, make_ca, make_server, names_of, read_pem
from lan_session_manager.tls.keeper import CA_FILE, SERVER_FILE, GivenCertificate, OwnCertificate, server_context

DAY = datetime.timedelta(days=1)


class Machine:
    """A machine whose names and clock a test sets."""

    def __init__(self) -> None:
        self.own = Own(frozenset({"lab-pc"}), frozenset({"192.168.1.5"}))
        self.now = datetime.datetime.now(datetime.UTC)

    def serve(self, directory: Path) -> OwnCertificate:
        return OwnCertificate(directory, ["lab.example.org"], look=lambda: self.own, clock=lambda: self.now)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tls"


def _kept(directory: Path, name: str) -> Pair:
    return read_pem((directory / name).read_bytes())


def test_keys_are_the_servers_alone_and_a_new_start_keeps_them(machine: Machine, directory: Path) -> None:
    before = os.umask(0)
    try:
        first = machine.serve(directory)
    finally:
        os.umask(before)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        CA_FILE: 0o600,
        SERVER_FILE: 0o600,
    }
    assert "lab.example.org" in first.names
    files = {path: path.read_bytes() for path in directory.iterdir()}
    assert machine.serve(directory).ca == first.ca
    assert {path: path.read_bytes() for path in directory.iterdir()} == files


def test_everybody_may_have_the_certificate_of_the_ca_and_nobody_its_key(machine: Machine, directory: Path) -> None:
    ca = machine.serve(directory).ca
    assert ca is not None
    assert b"PRIVATE" not in ca.pem
    assert ca.pem in (directory / CA_FILE).read_bytes()


def test_a_new_address_gets_a_new_certificate_of_the_same_ca_for_new_connections(
    machine: Machine, directory: Path
) -> None:
    serving = machine.serve(directory)
    ca, old = serving.ca, serving.context
    serving.refresh()
    assert serving.context is old
    machine.own = Own(frozenset({"lab-pc"}), frozenset({"10.0.0.9"}))
    serving.refresh()
    assert serving.context is not old
    assert serving.ca == ca
    addresses = names_of(_kept(directory, SERVER_FILE).certificate).addresses
    assert addresses == {"10.0.0.9", "127.0.0.1", "::1"}


def test_it_is_renewed_in_time_and_the_ca_never_by_itself(machine: Machine, directory: Path) -> None:
    serving = machine.serve(directory)
    ca, first = serving.ca, _kept(directory, SERVER_FILE)
    machine.now += 380 * DAY
    serving.refresh()
    assert _kept(directory, SERVER_FILE).certificate.not_valid_after_utc > first.certificate.not_valid_after_utc
    machine.now += 20 * 365 * DAY
    serving.refresh()
    assert machine.serve(directory).ca == ca


def test_the_owner_is_told_before_the_ca_ends(
    machine: Machine, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.serve(directory)
    assert not caplog.records
    machine.now += 3600 * DAY
    machine.serve(directory)
    assert "install that on every device" in caplog.text


def test_what_the_ca_may_not_sign_is_said_once(
    machine: Machine, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serving = machine.serve(directory)
    machine.own = Own(frozenset({"other-pc"}), frozenset({"192.168.1.5"}))
    with caplog.at_level(logging.WARNING):
        serving.refresh()
        serving.refresh()
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["The certificate leaves out other-pc"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_made_anew_and_a_damaged_ca_stops_the_start(
    machine: Machine, directory: Path, content: bytes
) -> None:
    ca = machine.serve(directory).ca
    (directory / SERVER_FILE).write_bytes(content)
    assert machine.serve(directory).ca == ca
    (directory / CA_FILE).write_bytes(content)
    with pytest.raises(CertificateError):
        machine.serve(directory)
    assert (directory / CA_FILE).read_bytes() == content


def test_a_link_in_the_place_of_the_ca_is_not_followed(machine: Machine, directory: Path, tmp_path: Path) -> None:
    machine.serve(directory)
    (directory / CA_FILE).rename(tmp_path / "elsewhere.pem")
    (directory / CA_FILE).symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(DataDirError):
        machine.serve(directory)


def _killed(machine: Machine, directory: Path, steps: int) -> bool:
    """Have a process of its own start that is killed before its next step; gives whether it was."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 9)
        return status == 9
    left = steps

    def step(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in ("open", "os.mkdir", "os.rename", "os.remove") and str(arguments[0]).startswith(str(directory)):
            if not left:
                os._exit(9)
            left -= 1

    try:
        sys.addaudithook(step)
        machine.serve(directory)
        os._exit(0)
    finally:
        os._exit(1)


def test_a_start_that_is_killed_at_any_step_leaves_nothing_half(machine: Machine, tmp_path: Path) -> None:
    for steps in itertools.count():
        directory = tmp_path / f"tls-{steps}"
        killed = _killed(machine, directory, steps)
        found = [name for name in (CA_FILE, SERVER_FILE) if (directory / name).exists()]
        for name in found:
            _kept(directory, name)
        before = (directory / CA_FILE).read_bytes() if CA_FILE in found else None
        machine.serve(directory)
        assert before in (None, (directory / CA_FILE).read_bytes())
        assert {path.name for path in directory.iterdir()} == {CA_FILE, SERVER_FILE}
        if not killed:
            assert steps >= 5
            break


def test_a_full_disk_leaves_the_certificate_in_force(
    machine: Machine, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = machine.serve(directory)
    old, content = serving.context, (directory / SERVER_FILE).read_bytes()
    machine.own = Own(frozenset(), frozenset())

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            serving.refresh()
    assert serving.context is old
    assert (directory / SERVER_FILE).read_bytes() == content
    serving.refresh()
    assert serving.context is not old


def _given(tmp_path: Path, host: str = "lab.example.org") -> tuple[Path, Path]:
    """An owner's certificate and key in two files, written anew with each call."""
    now = datetime.datetime.now(datetime.UTC)
    names = Names(frozenset({host}), frozenset())
    pair = make_server(make_ca(names, "theirs", now), names, now)
    text = as_pem(pair)
    at = text.index(b"-----BEGIN PRIVATE")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(text[:at])
    key.write_bytes(text[at:])
    return cert, key


def test_the_owners_certificate_is_loaded_again_once_both_files_fit(tmp_path: Path) -> None:
    cert, key = _given(tmp_path)
    given = GivenCertificate(cert, key)
    assert given.names == {"lab.example.org"}
    assert given.ca is None
    old, old_key = given.context, key.read_bytes()
    given.refresh()
    assert given.context is old
    _given(tmp_path, "new.example.org")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    with pytest.raises(CertificateError, match="the key is not the certificate's"):
        given.refresh()
    assert given.context is old
    given.refresh()  # nothing new to say
    key.write_bytes(new_key)
    given.refresh()
    assert given.context is not old
    assert given.names == {"new.example.org"}


def test_a_pair_of_the_owners_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    cert, key = _given(tmp_path)
    for one, other, why in (
        (cert, tmp_path / "none", "No such file"),
        (cert, cert, "no certificate and key in PEM"),
        (tmp_path, key, "directory"),
    ):
        with pytest.raises(CertificateError, match=why):
            GivenCertificate(one, other)
    locked = read_pem(cert.read_bytes() + key.read_bytes()).key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    key.write_bytes(locked)
    with pytest.raises(CertificateError, match="password"):
        GivenCertificate(cert, key)


def test_old_versions_and_renegotiation_are_refused(machine: Machine, directory: Path) -> None:
    machine.serve(directory)
    context = server_context(directory / SERVER_FILE)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not [name for cipher in context.get_ciphers() if "NULL" in (name := cipher["name"]) or "RC4" in name]
