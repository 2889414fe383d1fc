"""Every error that a caller can meet.

The docstring of a class is the sentence that the user reads: what happened and what to do. `code` names it for
programs, `status` is its HTTP status. Facts in braces are filled in by keyword. An exception that is not in this file
never reaches a client with its own text: the web answers `InternalError` in its place.
"""

from inspect import cleandoc
from typing import ClassVar


class LSMError(Exception):
    """The request could not be carried out."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        self.message = " ".join(cleandoc(type(self).__doc__ or "").split()).format(**facts)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.facts))


def _rebuild(kind: type[LSMError], facts: dict[str, object]) -> LSMError:
    return kind(**facts)


class InternalError(LSMError):
    """The server met a fault of its own. Your data is safe; please try again, and tell the owner if it stays."""

    code = "internal"


class NotFoundError(LSMError):
    """There is nothing here under that name. Check the address, or go back to your dashboard."""

    status = 404
    code = "not_found"


class InvalidInputError(LSMError):
    """{what}"""

    status = 422
    code = "invalid_input"


class AddressError(LSMError):
    """This is not an IP address. Give one such as 192.168.1.100 or fe80::1%eth0."""

    status = 404
    code = "not_found"


class ForwardedError(LSMError):
    """The proxy in between sent a header (X-Forwarded-For, Forwarded, X-Real-IP or the like) that names no address, or
    two that name different ones. Its owner should mend it.
    """

    status = 400
    code = "forwarded"


class HostHeaderError(LSMError):
    """The Host header of this request is missing, given twice, or no host. Send one, such as 192.168.1.5:5000."""

    status = 400
    code = "host"


class ForwardedHostError(LSMError):
    """The proxy in between sent an X-Forwarded-Host or X-Forwarded-Proto header that is not one host or one scheme. Its
    owner should mend it.
    """

    status = 400
    code = "forwarded"


class MisdirectedError(LSMError):
    """This server does not go by {host}. Open it by its IP address or its own host name, or have its owner add that
    name to LSM_ALLOWED_HOSTS.
    """

    status = 421
    code = "misdirected"


class CrossSiteError(LSMError):
    """This request comes from another site than this server's own page, so nothing was done. Use the page at the
    server's own address; a program sends neither Origin nor cookies.
    """

    status = 403
    code = "cross_site"


class ContentTypeError(LSMError):
    """This address takes JSON only. Send the body as application/json."""

    status = 415
    code = "content_type"


class FileTypeError(LSMError):
    """This address takes {kind} only. Send the body with that Content-Type."""

    status = 415
    code = "content_type"


class NoPreviewError(LSMError):
    """A file of this kind cannot be shown safely. Download it."""

    status = 415
    code = "no_preview"


class HandshakeError(LSMError):
    """This is no handshake of a WebSocket. Connect with a WebSocket client of version 13."""

    status = 400
    code = "handshake"


class RequestError(LSMError):
    """This is no valid HTTP request. Send one of version 1.1."""

    status = 400
    code = "request"


class HeadersTooLargeError(LSMError):
    """The headers of this request are too large. Send fewer or shorter ones."""

    status = 431
    code = "headers"


class TlsNeededError(LSMError):
    """This port speaks TLS. Connect by https or wss; where this server's own certificate authority can be had from,
    /ca says in plain HTTP.
    """

    status = 426
    code = "tls_needed"


class SecurityError(LSMError):
    """This path is outside of the session's workspace. Give a path below inputs/, outputs/, temp/ or shared/."""

    status = 403
    code = "outside_workspace"


class ReadOnlyError(LSMError):
    """{path} is read-only: nobody can change it from here. Copy it to inputs/ and change the copy."""

    status = 403
    code = "read_only"


class AdminOnlyError(LSMError):
    """Only the owner can do this. Send the admin token as "Authorization: Bearer ...": the server printed at its start
    where the token is.
    """

    status = 401
    code = "admin_only"


class AdminTokenError(LSMError):
    """This is not the admin token. The server printed at its start where the token is."""

    status = 401
    code = "admin_token"


class WorkerOnlyError(LSMError):
    """Only a swarm worker or the owner can do this. Send the worker token or the admin token as
    "Authorization: Bearer ...".
    """

    status = 401
    code = "worker_only"


class DeviceNeededError(LSMError):
    """This server cannot tell from the address which device you are. Open its page in a browser; a program sends
    POST /api/device with {{"program": true}} once, and the token of the answer as the header LSM-Device from then on.
    """

    status = 401
    code = "device_needed"


class CarryError(LSMError):
    """This code opens no session: it is mistyped, used up or older than two minutes. Have the other device show a new
    one.
    """

    status = 404
    code = "no_such_code"


class QueueFullError(LSMError):
    """Your queue is full: {bound} tasks wait already. Wait for some to end, or cancel some, then submit again."""

    status = 429
    code = "queue_full"


class TooManyRequestsError(LSMError):
    """You ask for this more often than this server allows. Try again in {seconds} s."""

    status = 429
    code = "too_many_requests"


class LimitTooHighError(LSMError):
    """{name} is {asked} {unit}, more than this session may use. Ask for {allowed} {unit} at most."""

    status = 422
    code = "limit_too_high"


class NetworkError(LSMError):
    """There is no network {asked} for this session. Choose one of: {allowed}."""

    status = 422
    code = "no_such_network"


class QuotaError(LSMError):
    """The workspace is full: {quota_mb} MB may be used, and this needs more. Delete files, then try again."""

    status = 413
    code = "workspace_full"


class TooManyFilesError(LSMError):
    """The workspace is full: {quota_files} files and directories may be in it, and this is one more. Delete files, then
    try again.
    """

    status = 413
    code = "workspace_full"


class TooLargeError(LSMError):
    """The request is larger than {allowed}. Send less at once."""

    status = 413
    code = "too_large"


class IllegalMoveError(LSMError):
    """The {subject} cannot become {wanted}: that needs it to be {expected}, and it is {actual}. Load it again and
    decide anew.
    """

    status = 409
    code = "illegal_move"


class RunsHereError(LSMError):
    """The task {task_id} runs in a sandbox of this server and ends by itself. Cancel it if it should stop."""

    status = 409
    code = "runs_here"


class StillActiveError(LSMError):
    """The task {task_id} has not ended. Cancel it first, then delete it."""

    status = 409
    code = "still_active"


class SessionInUseError(LSMError):
    """A task of this session has not ended yet. Try again once it has."""

    status = 409
    code = "session_in_use"


class ConflictError(LSMError):
    """{what}"""

    status = 409
    code = "conflict"


class OffsetError(LSMError):
    """These bytes do not begin where the upload goes on: {offset} bytes of it are here. Send what comes after them."""

    status = 409
    code = "offset"


class TooManyUploadsError(LSMError):
    """{most} uploads of this session are unfinished. Finish one or give it up, then start another."""

    status = 409
    code = "too_many_uploads"


class NoSandboxError(LSMError):
    """This server cannot run tasks: its sandbox did not pass the self-test at start. The owner sees why where the
    server was started.
    """

    status = 503
    code = "no_sandbox"


class BusyError(LSMError):
    """The server has more work than it can take at this moment. Try again in a few seconds."""

    status = 503
    code = "busy"


class StoppingError(LSMError):
    """The server stops, and nobody can say whether this was still done. Look once it is back, and try again if it was
    not; what has an idempotency_key is not done twice.
    """

    status = 503
    code = "stopping"


class TooManyConnectionsError(LSMError):
    """Too many connections are open, to this server or from your address. Close some pages, or wait for downloads to
    end, and try again in some seconds.
    """

    status = 503
    code = "too_many_connections"


class StorageError(LSMError):
    """The server could not write to its disk, so nothing was changed. The owner should look at its free space; then
    try again.
    """

    status = 507
    code = "storage"


class VolumeError(LSMError):
    """The workspace of this session cannot be opened: {why}. Its files are left as they are. The owner sees more in the
    server's log, and what to do in docs/operations.md.
    """

    status = 503
    code = "volume"


class TooManySessionsError(LSMError):
    """This server has user ids for {most} sessions, and all are taken. Its owner can give it more, as
    docs/operations.md says.
    """

    status = 503
    code = "too_many_sessions"


class RangeError(LSMError):
    """The range starts after the end: there are {size} bytes. Ask for an earlier one."""

    status = 416
    code = "range"


class PortError(LSMError):
    """The server cannot listen on {host} port {port}: {why}. Give another --host, --port or --ws-port."""

    code = "port"


class DataDirError(LSMError):
    """The server cannot use the data directory {path}: {why}. Give another --data-dir."""

    code = "data_dir"


class NewerDatabaseError(LSMError):
    """The database {path} is of a newer version of this server (its schema is {found}, this one knows {known}). Start
    that version, or restore the copy in backups/ from before the update.
    """

    code = "newer_database"


class UpgradeError(LSMError):
    """The database {path} could not be brought up to date, and nothing in it was changed: {why}. Mend that, then start
    the server again.
    """

    code = "upgrade"


class CertificateError(LSMError):
    """The server cannot use the certificate {cert} with the key {key}: {why}. Give a certificate (with its chain behind
    it) and its key in PEM, without a password; docs/operations.md says more.
    """

    code = "certificate"


class HardQuotaError(LSMError):
    """The server cannot have the kernel keep the disk quota: {why}. Mend that, or set LSM_QUOTA_MODE to "watch"."""

    code = "hard_quota"
