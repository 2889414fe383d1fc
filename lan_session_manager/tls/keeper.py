"""The certificate in force, renewed while the server serves: new connections get the new one, open ones keep theirs."""

import asyncio
import datetime
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lan_session_manager import names
from lan_session_manager.errors import CertificateError, DataDirError
from lan_session_manager.names import Own
from lan_session_manager.tls.certificates import (
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
from lan_session_manager.tls.kept import keep, read_kept

_log = logging.getLogger(__name__)

_CHECK_S = 5.0
_WARN_DAYS = 90
TLS_DIR = "tls"  # below the directory of the server's state
CA_FILE = "ca.pem"
SERVER_FILE = "server.pem"


@dataclass(frozen=True)
class Ca:
    """What everybody may know of our CA: the certificate, and its SHA-256 to compare it by."""

    pem: bytes
    fingerprint: str


class Tls(Protocol):
    """The certificate of the server."""

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection speaks TLS with."""

    @property
    def ca(self) -> Ca | None:
        """The CA of ours that has signed it; None: the certificate is its owner's."""

    @property
    def names(self) -> frozenset[str]:
        """The names, without the addresses, that the certificate is for."""

    def refresh(self) -> None:
        """Look whether there has to be, or is, another certificate. Raises OSError and CertificateError."""


class OwnCertificate:
    """A CA of our own and a certificate of it, in `directory`. Made at the first start."""

    def __init__(
        self,
        directory: Path,
        allowed: Iterable[str] = (),
        *,
        look: Callable[[], Own] = names.look,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        """Raises CertificateError for a CA on disk that cannot be read, DataDirError where nothing can be written."""
        self._directory = directory
        self._allowed = tuple(allowed)
        self._look = look
        self._clock = clock
        self._left_out: Names | None = None
        try:
            wanted = self._wanted()
            self._ca = self._kept_ca() or self._new_ca(wanted)
            self.ca: Ca | None = Ca(self._ca.certificate.public_bytes(Encoding.PEM), fingerprint(self._ca.certificate))
            self._server = self._kept_server()
            self._renew(wanted)
            self.context = server_context(directory / SERVER_FILE)
        except OSError as error:
            raise DataDirError(path=directory, why=error.strerror or "it cannot be used") from None
        left = self._ca.certificate.not_valid_after_utc - self._clock()
        if left < datetime.timedelta(days=_WARN_DAYS):
            # Never by itself: a clock that is set wrong would take the trust of every device.
            _log.warning(
                "The certificate authority of this server ends in %d days. Remove %s and start again for a new one, "
                "then install that on every device.",
                left.days,
                directory,
            )

    @property
    def names(self) -> frozenset[str]:
        """The names that the certificate is for."""
        return names_of(self._server.certificate).names if self._server else frozenset()

    def refresh(self) -> None:
        """Make a new certificate if it is time for one, or names or addresses have changed."""
        if self._renew(self._wanted()):
            self.context = server_context(self._directory / SERVER_FILE)
            _log.info("the certificate has been renewed")

    def _wanted(self) -> Names:
        return wanted_names(self._look(), self._allowed)

    def _renew(self, wanted: Names) -> bool:
        self._say_left_out(wanted)
        if self._server and not is_due(self._server, self._ca, wanted, self._clock()):
            return False
        server = make_server(self._ca, wanted, self._clock())
        keep(self._directory / SERVER_FILE, as_pem(server))
        self._server = server
        return True

    def _say_left_out(self, wanted: Names) -> None:
        covered = coverable(self._ca.certificate, wanted)
        left_out = Names(wanted.names - covered.names, wanted.addresses - covered.addresses)
        if left_out != self._left_out and (left_out.names or left_out.addresses):
            _log.warning(
                "The certificate leaves out %s, because the certificate authority was made when this server did not go "
                "by that. Remove %s and start again for a new one, then install that on every device.",
                ", ".join(sorted(left_out.names | left_out.addresses)),
                self._directory,
            )
        self._left_out = left_out

    def _new_ca(self, wanted: Names) -> Pair:
        ca = make_ca(wanted, socket.gethostname().partition(".")[0], self._clock())
        keep(self._directory / CA_FILE, as_pem(ca))
        return ca

    def _kept_ca(self) -> Pair | None:
        path = self._directory / CA_FILE
        text = read_kept(path)
        if text is None:
            return None
        try:
            ca = read_pem(text)
            coverable(ca.certificate, Names(frozenset(), frozenset()))
        except (ValueError, x509.ExtensionNotFound) as error:
            # A new one would need every device again, so that is for the owner to decide.
            raise CertificateError(cert=path, key=path, why=_why(error)) from None
        return ca

    def _kept_server(self) -> Pair | None:
        text = read_kept(self._directory / SERVER_FILE)
        try:
            return read_pem(text) if text is not None else None
        except ValueError:
            return None  # it is made anew


class GivenCertificate:
    """The owner's own certificate and key, loaded again when the files change."""

    ca: Ca | None = None

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises CertificateError."""
        self._cert = cert
        self._key = key
        self._stamp = self._stamped()
        self.context, self.names = self._load()

    def refresh(self) -> None:
        """Load the pair if its files have changed. One that does not fit leaves the old one in force."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self.context, self.names = self._load()
        _log.info("the certificate has been loaded again")

    def _load(self) -> tuple[ssl.SSLContext, frozenset[str]]:
        try:
            context = server_context(self._cert, self._key)
            [certificate, *_] = x509.load_pem_x509_certificates(self._cert.read_bytes())
        except (OSError, ValueError) as error:
            raise CertificateError(cert=self._cert, key=self._key, why=_why(error)) from None
        return context, frozenset(name for name in names_of(certificate).names if "*" not in name)

    def _stamped(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._cert, self._key))


def server_context(cert: Path, key: Path | None = None) -> ssl.SSLContext:
    """What a connection speaks TLS with: version 1.2 or later, and the ciphers that Python holds to be safe.

    Raises OSError (ssl.SSLError) and ValueError for a pair that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key, password=_no_password)
    return context


async def keep_fresh(tls: Tls) -> None:
    """Have the certificate renewed for as long as the server runs. A failure is said once, and tried again."""
    said = ""
    while True:
        await asyncio.sleep(_CHECK_S)
        try:
            await asyncio.to_thread(tls.refresh)
            said = ""
        except (OSError, CertificateError) as error:
            if str(error) != said:
                said = str(error)
                _log.warning("The certificate stays as it was: %s", error)


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        return "they are no certificate and key in PEM"
    if isinstance(error, OSError):
        return error.strerror or "they cannot be read"
    return "there is no certificate in it" if isinstance(error, x509.ExtensionNotFound) else str(error).splitlines()[0]
