"""The changes that are made to the database, by name. Each writes its event row in the same transaction."""

from lan_session_manager.store.device_writes import DeviceWrites
from lan_session_manager.store.log_writes import LogWrites
from lan_session_manager.store.session_writes import SessionWrites
from lan_session_manager.store.task_writes import TaskWrites


class Transaction(SessionWrites, DeviceWrites, TaskWrites, LogWrites):
    """Reads and changes inside one transaction of the writer thread."""
