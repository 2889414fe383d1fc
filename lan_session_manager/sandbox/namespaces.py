"""A socket of the server that listens inside of a box's network namespace."""

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable

from lan_session_manager.sandbox import host

_CLONE_NEWNET = 0x40000000
_WAITING = 64


def listen_in_box(box_pid: int, box_fd: int, address: str, port: int) -> socket.socket:
    """A listening socket at an IPv4 address of the network namespace of the box's first process; it does not block.

    `box_fd` is the process's descriptor (pidfd). Raises OSError, also where the process has ended.
    """
    namespace = os.open(f"/proc/{box_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Asked after opening: the id cannot belong to another process as long as this one has not ended.
        if host.wait_for(box_fd, 0):
            raise ProcessLookupError("the box has ended")
        return _in_thread(lambda: _listen(namespace, address, port))
    finally:
        os.close(namespace)


def _listen(namespace: int, address: str, port: int) -> socket.socket:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_WAITING)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _in_thread(work: Callable[[], socket.socket]) -> socket.socket:
    """Do the work in a thread that then ends: a namespace belongs to a thread, and this one is not used again."""
    made: list[socket.socket] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the work was asked for
            failed.append(error)

    thread = threading.Thread(target=run, name="namespace")
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "the machine has no thread left") from error
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
