"""The questions that are asked of the database, by name."""

from lan_session_manager.store.device_reads import DeviceReads
from lan_session_manager.store.event_reads import EventReads
from lan_session_manager.store.session_reads import SessionReads
from lan_session_manager.store.task_reads import TaskReads


class Reads(SessionReads, DeviceReads, TaskReads, EventReads):
    """Reads over one connection, for one thread. Each method is one statement, and so one consistent view.

    Each raises BusyError or StorageError where the file cannot be read.
    """
