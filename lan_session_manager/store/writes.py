"""The changes that are made to the database, by name. Each writes its event row in the same transaction."""

from lan_session_manager.store.device_writes import DeviceWrites
from lan_session_manager.store.log_writes import LogWrites
from lan_session_manager.store.message_writes import MessageWrites
from lan_session_manager.store.session_writes import SessionWrites
from lan_session_manager.store.task_writes import TaskWrites
from lan_session_manager.store.worker_lease_writes import WorkerLeaseWrites


class Transaction(SessionWrites, DeviceWrites, TaskWrites, WorkerLeaseWrites, LogWrites, MessageWrites):
    """Reads and changes inside one transaction of the writer thread."""
