"""`import`: hands the queue file of another orchestrator to a session, beside a running server or without one."""

import argparse
import sys
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from lan_session_manager import runners
from lan_session_manager.addresses import parse_address
from lan_session_manager.batches import BatchItem
from lan_session_manager.errors import AddressError, DataDirError, InvalidInputError, LSMError, QueueFullError
from lan_session_manager.manager import DEFAULT_DATA_DIR, LANSessionManager
from lan_session_manager.queue_files import LARGEST_FILE, QueueFile, read_queue
from lan_session_manager.sandbox import launcher
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.store.records import SessionRecord

_SHOWN = 20  # tasks that a dry run lists


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """The options of `import`."""
    parser.add_argument("file", type=Path, help="a queue file of another orchestrator (JSON)")
    parser.add_argument(
        "--session",
        default="127.0.0.1",
        help="whose tasks they are: an address, or the name of a workspace (127.0.0.1)",
    )
    parser.add_argument("--runner", default=runners.SWARM, choices=runners.NAMES, help="what is to run them (swarm)")
    parser.add_argument("--dry-run", action="store_true", help="check the file and say what it asks for, no more")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(DEFAULT_DATA_DIR), help="where the server keeps everything"
    )


def run_import(options: argparse.Namespace) -> int:
    """Import the file, all of it or nothing; gives the exit status."""
    try:
        queue = read_queue(_bytes(options.file), options.runner)
        if options.dry_run:
            _tell(queue)
        elif queue.items:
            _import(options, queue)
        else:
            print(f"Nothing to import: all {queue.ended} tasks of the file have ended.")
    except LSMError as error:
        print(error.message, file=sys.stderr)
    except ValidationError as error:
        print(f"The settings do not fit: {error.errors()[0]['msg']}. The server says which one.", file=sys.stderr)
    else:
        return 0
    return 1


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1).removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InvalidInputError(what=f"The file {path} cannot be read: {error.strerror}.") from None


def _tell(queue: QueueFile) -> None:
    print(f"{len(queue.items)} tasks would be handed in, {queue.ended} have ended.")
    for item in queue.items[:_SHOWN]:
        waits = f", after {', '.join(item.request.depends_on)}" if item.request.depends_on else ""
        print(f"  {item.ref}: {item.request.description[:80]}{waits}")
    if len(queue.items) > _SHOWN:
        print(f"  and {len(queue.items) - _SHOWN} more")


def _import(options: argparse.Namespace, queue: QueueFile) -> None:
    data_dir: Path = options.data_dir.absolute()
    if not (data_dir / STATE_DIR).is_dir():
        raise DataDirError(path=data_dir, why="no server has ever used it")
    launcher.enter(passing=True)
    try:
        manager = LANSessionManager(data_dir)
    except OSError as error:
        raise DataDirError(path=data_dir, why=error.strerror or "it cannot be used") from None
    with closing(manager):
        session = _session(manager, options.session)
        known = [_is_known(manager, session, item) for item in queue.items]
        try:
            tasks = manager.tasks.submit_batch(session.id, queue.items).result()
        except QueueFullError as error:
            raise InvalidInputError(
                what=f"{error.message} The file has {known.count(False)} tasks that are new: give the session a larger"
                " queue_bound on the admin page, or raise LSM_QUEUE_BOUND."
            ) from None
    fresh = [task for task, was_there in zip(tasks, known, strict=True) if not was_there]
    new = [task.id for task in sorted(fresh, key=lambda task: task.seq)]
    ids = f": {new[0]}" + (f" to {new[-1]}" if len(new) > 1 else "") if new else ""
    print(f"{len(new)} tasks handed in for {session.name}{ids}")
    print(f"{known.count(True)} were there already, {queue.ended} of the file have ended.")


def _session(manager: LANSessionManager, who: str) -> SessionRecord:
    """The session that a person names, live from now on."""
    try:
        return manager.sessions.open(parse_address(who))
    except AddressError:
        session = manager.store.read.session_named(who)
        if session is None:
            raise InvalidInputError(what=f"There is no session {who}. Give an address or a workspace.") from None
        return manager.sessions.resume(session)


def _is_known(manager: LANSessionManager, session: SessionRecord, item: BatchItem) -> bool:
    key = item.request.idempotency_key
    return key is not None and manager.store.read.task_of_key(session.id, key) is not None
